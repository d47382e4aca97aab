// SPDX-License-Identifier: Apache-2.0

//go:build ego

package ego

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/edgelesssys/ego/ecrypto"
	"github.com/edgelesssys/ego/enclave"

	"github.com/glovebox-dev/glovebox/attestation/sgx"
)

// TestEGoOutsideEnclave: outside an enclave reports fail, and so does everything of ours.
func TestEGoOutsideEnclave(t *testing.T) {
	if _, err := enclave.GetSelfReport(); err == nil {
		t.Skip("this is an enclave")
	}
	if _, err := enclave.GetRemoteReport(make([]byte, 64)); err == nil {
		t.Error("EGo quotes outside an enclave")
	}
	if _, err := Open(Config{}); !errors.Is(err, sgx.ErrOutside) {
		t.Errorf("got %v", err)
	}
}

// TestEGoSealKeyIsZeroOutsideEnclave: the trap is EGo's 16 zero bytes without an error; ours refuses twice over.
func TestEGoSealKeyIsZeroOutsideEnclave(t *testing.T) {
	for name, get := range map[string]func() (key, info []byte, err error){
		//lint:ignore SA1019 the trap is that of these two as well
		"GetUniqueSealKey": enclave.GetUniqueSealKey, "GetProductSealKey": enclave.GetProductSealKey,
		"GetRandomUniqueSealKey": enclave.GetRandomUniqueSealKey,
	} {
		key, _, err := get()
		if err != nil || !bytes.Equal(key, make([]byte, 16)) {
			t.Errorf("%s: %x, %v: the trap is gone, say so in the documentation", name, key, err)
		}
	}
	var none *sgx.Collector // there is no other: Open refuses
	if _, _, err := none.NewSealKey(); !errors.Is(err, sgx.ErrSealKey) {
		t.Errorf("without Open: %v", err)
	}
	c, err := sgx.Open(Config{}, lying{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.NewSealKey(); !errors.Is(err, sgx.ErrSealKey) {
		t.Errorf("key of zeros: %v", err)
	}
	if _, err := c.SealKey(make([]byte, 512)); !errors.Is(err, sgx.ErrSealKey) {
		t.Errorf("key of zeros, again: %v", err)
	}
}

// lying is EGo outside an enclave, but for a report of itself.
type lying struct{ runtime }

func (lying) Self() (sgx.Self, error) {
	return sgx.Self{MREnclave: bytes.Repeat([]byte{1}, 32), MRSigner: bytes.Repeat([]byte{2}, 32)}, nil
}

// TestEGoGetRemoteReportNilPanics: ours cannot pass anything but 64 bytes.
func TestEGoGetRemoteReportNilPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("GetRemoteReport(nil) no longer panics: say so in the documentation")
		}
	}()
	_, _ = enclave.GetRemoteReport(nil)
}

// TestEGoEcryptoSealsUnderZeroKey: EGo's own sealing encrypts outside an enclave, under the key of zeros. Nothing here calls it.
func TestEGoEcryptoSealsUnderZeroKey(t *testing.T) {
	sealed, err := ecrypto.SealWithUniqueKey([]byte("secret"), nil)
	if err != nil {
		t.Skipf("the trap is gone: %v", err)
	}
	n := 4 + int(binary.LittleEndian.Uint32(sealed)) // what to ask for the key again with comes first
	if plain, err := ecrypto.Decrypt(sealed[n:], make([]byte, 16), nil); err != nil || string(plain) != "secret" {
		t.Errorf("not under the key of zeros: %q, %v: the trap is gone, say so in the documentation", plain, err)
	}
	for path, deps := range dependencies(t, "../..") {
		if slices.Contains(deps, "github.com/edgelesssys/ego/ecrypto") {
			t.Errorf("%s reaches ecrypto", path)
		}
	}
}

// TestEGoNetHTTPInOnePackage: EGo brings net/http along. With the tag, this package has it, and neither the package with the
// rules nor the verifier has.
func TestEGoNetHTTPInOnePackage(t *testing.T) {
	for path, deps := range dependencies(t, "..") {
		has, want := slices.Contains(deps, "net/http"), strings.HasSuffix(path, "/attestation/sgx/ego")
		if has != want {
			t.Errorf("%s: net/http: %t, want %t", path, has, want)
		}
	}
}

// dependencies of the packages below dir, with the tag.
func dependencies(t *testing.T, dir string) map[string][]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-tags", "ego", "-f", `{{.ImportPath}} {{join .Deps " "}}`, "./...")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		all[f[0]] = f[1:]
	}
	if len(all) < 3 {
		t.Fatalf("%d packages below %s", len(all), dir)
	}
	return all
}
