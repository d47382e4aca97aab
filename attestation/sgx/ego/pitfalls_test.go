// SPDX-License-Identifier: Apache-2.0

//go:build ego

package ego

import (
	"bytes"
	"errors"
	"testing"

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
