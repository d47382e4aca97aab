// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func TestSignJOSE(t *testing.T) {
	s, err := envelope.GenerateSigner(envelope.RoleBroker)
	if err != nil {
		t.Fatal(err)
	}
	const input = "eyJhbGciOiJFUzI1NiJ9.e30"
	sig, err := s.SignJOSE(input)
	if err != nil || len(sig) != 64 {
		t.Fatal(sig, err)
	}
	if err := s.Public().VerifyJOSE(input, sig); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key   envelope.PublicKey
		input string
		sig   []byte
	}{
		"other input":  {s.Public(), input + "A", sig},
		"short":        {s.Public(), input, sig[:63]},
		"long":         {s.Public(), input, append(sig[:64:64], 0)},
		"zero key":     {envelope.PublicKey{}, input, sig},
		"no signature": {s.Public(), input, nil},
		"all zero":     {s.Public(), input, make([]byte, 64)},
	} {
		if err := c.key.VerifyJOSE(c.input, c.sig); !errors.Is(err, envelope.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.Wipe()
	if _, err := s.SignJOSE(input); !errors.Is(err, envelope.ErrKey) {
		t.Errorf("a wiped key signs: %v", err)
	}
}

// TestEnvelopeSignedAsJOSE: whoever may have a key sign JOSE inputs cannot have it sign an envelope that way, nor the
// other way round.
func TestEnvelopeSignedAsJOSE(t *testing.T) {
	s, err := envelope.GenerateSigner(envelope.RoleBroker)
	if err != nil {
		t.Fatal(err)
	}
	pae := string(envelope.PAE(envelope.PayloadType, []byte(`{}`)))
	for _, input := range []string{pae, "", ".", "a.b", "eyJ", "eyJ.", "eyJ.a.b", "eyJ=.a", "eyJ.a b", "eyJ.a\n", " eyJ.a", "eyJ.+/"} {
		if _, err := s.SignJOSE(input); !errors.Is(err, envelope.ErrMalformed) {
			t.Errorf("%q is signed: %v", input, err)
		}
		if err := s.Public().VerifyJOSE(input, make([]byte, 64)); !errors.Is(err, envelope.ErrMalformed) {
			t.Errorf("%q: %v", input, err)
		}
	}
}
