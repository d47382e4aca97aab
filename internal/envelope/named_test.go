// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// TestVerifyNamed: the key that a statement names is not believed before it is seen to have signed, and the caller may refuse it.
func TestVerifyNamed(t *testing.T) {
	s, other := newSigner(t, envelope.RoleBuyer), newSigner(t, envelope.RoleBuyer)
	named := func(p *sample) (envelope.PublicKey, error) { return p.Key, nil }
	signed := s.job(t)
	v, err := envelope.VerifyNamed(signed, envelope.JobType, named)
	if err != nil || !v.Predicate.Key.Equal(s.Public()) {
		t.Fatalf("%+v, %v", v, err)
	}
	if p, err := envelope.Verify[sample](signed, s.expect()); err != nil || p.ID != v.ID {
		t.Fatalf("another identity than by key: %v", err)
	}
	_, payload, _, err := envelope.Parts(signed)
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	for name, c := range map[string]struct {
		signed []byte
		typ    string
		key    func(*sample) (envelope.PublicKey, error)
		want   error
	}{
		"signed by another":   {other.resign(t, envelope.PayloadType, payload), envelope.JobType, named, envelope.ErrSignature},
		"payload changed":     {s.resignOther(t, signed, payload), envelope.JobType, named, envelope.ErrSignature},
		"another type":        {signed, envelope.CancelType, named, envelope.ErrType},
		"unknown type":        {signed, "https://example.org/x", named, envelope.ErrRole},
		"no type":             {signed, "", named, envelope.ErrRole},
		"other payload type":  {s.resign(t, "text/plain", payload), envelope.JobType, named, envelope.ErrType},
		"no key":              {signed, envelope.JobType, func(*sample) (envelope.PublicKey, error) { return envelope.PublicKey{}, nil }, envelope.ErrRole},
		"refused by caller":   {signed, envelope.JobType, func(p *sample) (envelope.PublicKey, error) { return p.Key, refused }, refused},
		"another key allowed": {signed, envelope.JobType, func(*sample) (envelope.PublicKey, error) { return other.Public(), nil }, envelope.ErrSignature},
	} {
		if v, err := envelope.VerifyNamed(c.signed, c.typ, c.key); !errors.Is(err, c.want) || v != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// resignOther puts the signature of one payload on another.
func (s signer) resignOther(t testing.TB, signed, payload []byte) []byte {
	t.Helper()
	_, _, sig, err := envelope.Parts(signed)
	if err != nil {
		t.Fatal(err)
	}
	out, err := envelope.Join(envelope.PayloadType, bytes.Replace(payload, []byte(`"hello"`), []byte(`"hellO"`), 1), sig)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
