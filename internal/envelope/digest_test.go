// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func TestDigestText(t *testing.T) {
	d := envelope.Sum([]byte("abc")) // FIPS 180-4, example
	if want := "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; d.String() != want {
		t.Fatalf("%s, want %s", d, want)
	}
	got, err := envelope.ParseDigest(d.String())
	if err != nil || got != d {
		t.Errorf("round trip: %v", err)
	}
	for _, bad := range []string{
		"", "sha256:", d.Hex(), "sha512:" + d.Hex(), "SHA256:" + d.Hex(), "sha256:" + strings.ToUpper(d.Hex()),
		d.String() + "0", d.String()[:70], "sha256:" + strings.Repeat("g", 64),
	} {
		if _, err := envelope.ParseDigest(bad); !errors.Is(err, envelope.ErrDigest) {
			t.Errorf("%q: %v, want ErrDigest", bad, err)
		}
	}
	zero := "sha256:" + strings.Repeat("0", 64)
	if err := got.UnmarshalText([]byte(zero)); !errors.Is(err, envelope.ErrDigest) {
		t.Errorf("zero: %v, want ErrDigest", err)
	}
	if got != d {
		t.Error("a refused text changed the value")
	}
}

// TestHashEncoding: label and fields are each preceded by their length, and no two inputs share an encoding.
func TestHashEncoding(t *testing.T) {
	want := sha256.Sum256([]byte("\x00\x00\x00\x00\x00\x00\x00\x01L\x00\x00\x00\x00\x00\x00\x00\x02ab\x00\x00\x00\x00\x00\x00\x00\x00"))
	if got := envelope.Hash("L", []byte("ab"), nil); got != envelope.Digest(want) {
		t.Errorf("%s, want %x", got, want)
	}
	seen := map[envelope.Digest]int{}
	for i, fields := range [][][]byte{
		nil, {nil}, {nil, nil}, {[]byte("a"), []byte("b")}, {[]byte("ab")}, {[]byte("ab"), nil}, {nil, []byte("ab")}, {[]byte("a"), nil, []byte("b")},
	} {
		d := envelope.Hash("L", fields...)
		if j, ok := seen[d]; ok {
			t.Errorf("inputs %d and %d share a hash", i, j)
		}
		seen[d] = i
	}
	if envelope.Hash("La", []byte("b")) == envelope.Hash("L", []byte("ab")) {
		t.Error("label and field share an encoding")
	}
}
