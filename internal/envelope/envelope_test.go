// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// sample is a predicate with one field of each kind.
type sample struct {
	Text   string             `json:"text"`
	Number int64              `json:"number"`
	Digest envelope.Digest    `json:"digest"`
	Key    envelope.PublicKey `json:"key"`
	Nonce  envelope.Nonce     `json:"nonce"`
	List   []string           `json:"list"`
}

type signer struct {
	*envelope.Signer
	secret *ecdsa.PrivateKey
}

func newSigner(t testing.TB, r envelope.Role) signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := envelope.NewSigner(r, k)
	if err != nil {
		t.Fatal(err)
	}
	return signer{s, k}
}

func subjects() []envelope.Subject {
	return []envelope.Subject{envelope.NewSubject("thing", envelope.Sum([]byte("thing")))}
}

func (s signer) sample() sample {
	return sample{"hello", 42, envelope.Sum([]byte("x")), s.Public(), envelope.Nonce{1}, []string{"a"}}
}

func (s signer) job(t testing.TB) []byte {
	t.Helper()
	signed, _, err := envelope.Sign(s.Signer, envelope.JobType, subjects(), s.sample())
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// resign signs a payload as it is.
func (s signer) resign(t testing.TB, payloadType string, payload []byte) []byte {
	t.Helper()
	h := sha256.Sum256(envelope.PAE(payloadType, payload))
	sig, err := ecdsa.SignASN1(rand.Reader, s.secret, h[:])
	if err != nil {
		t.Fatal(err)
	}
	signed, err := envelope.Join(payloadType, payload, sig)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (s signer) expect() envelope.Expect {
	return envelope.Expect{Role: envelope.RoleBuyer, Key: s.Public(), PayloadType: envelope.PayloadType, PredicateType: envelope.JobType}
}

func TestSignAndVerify(t *testing.T) {
	s := newSigner(t, envelope.RoleBuyer)
	signed, id, err := envelope.Sign(s.Signer, envelope.JobType, subjects(), s.sample())
	if err != nil {
		t.Fatal(err)
	}
	v, err := envelope.Verify[sample](signed, s.expect())
	if err != nil {
		t.Fatal(err)
	}
	if v.ID != id || v.PredicateType != envelope.JobType || !slices.Equal(v.Subject, subjects()) {
		t.Errorf("verified %+v with id %s, want %s", v.Statement, v.ID, id)
	}
	if d := cmp.Diff(s.sample(), v.Predicate); d != "" {
		t.Error(d)
	}
	if got, err := envelope.ID(signed); err != nil || got != id {
		t.Errorf("ID = %s, %v", got, err)
	}
	p, err := envelope.Peek[sample](signed, envelope.JobType)
	if err != nil || p.ID != id {
		t.Errorf("Peek: %v", err)
	}
	typ, payload, sig, err := envelope.Parts(signed)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := envelope.Join(typ, payload, sig); err != nil || !bytes.Equal(again, signed) {
		t.Errorf("Join is not the inverse of Parts: %v", err)
	}
}

// TestVerifyWithout: no part of what is expected may be left out.
func TestVerifyWithout(t *testing.T) {
	s := newSigner(t, envelope.RoleBuyer)
	signed := s.job(t)
	for name, c := range map[string]struct {
		change func(*envelope.Expect)
		want   error
	}{
		"role":                 {func(e *envelope.Expect) { e.Role = "" }, envelope.ErrRole},
		"key":                  {func(e *envelope.Expect) { e.Key = envelope.PublicKey{} }, envelope.ErrRole},
		"payload type":         {func(e *envelope.Expect) { e.PayloadType = "" }, envelope.ErrRole},
		"predicate type":       {func(e *envelope.Expect) { e.PredicateType = "" }, envelope.ErrRole},
		"everything":           {func(e *envelope.Expect) { *e = envelope.Expect{} }, envelope.ErrRole},
		"the right role":       {func(e *envelope.Expect) { e.Role = envelope.RoleOwner }, envelope.ErrRole},
		"the right key":        {func(e *envelope.Expect) { e.Key = newSigner(t, envelope.RoleBuyer).Public() }, envelope.ErrSignature},
		"the right payload":    {func(e *envelope.Expect) { e.PayloadType = "text/plain" }, envelope.ErrType},
		"the right predicate":  {func(e *envelope.Expect) { e.PredicateType = envelope.CancelType }, envelope.ErrType},
		"a known predicate":    {func(e *envelope.Expect) { e.PredicateType = "https://example.org/x" }, envelope.ErrRole},
		"another's statement":  {func(e *envelope.Expect) { e.Role, e.PredicateType = envelope.RoleBroker, envelope.GrantType }, envelope.ErrType},
		"role of another type": {func(e *envelope.Expect) { e.PredicateType = envelope.GrantType }, envelope.ErrRole},
	} {
		e := s.expect()
		c.change(&e)
		if v, err := envelope.Verify[sample](signed, e); !errors.Is(err, c.want) || v != nil {
			t.Errorf("without %s: %v, want %v", name, err, c.want)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	s := newSigner(t, envelope.RoleBuyer)
	wiped := newSigner(t, envelope.RoleBuyer)
	wiped.Wipe()
	zero := envelope.Subject{Name: "x", Digest: envelope.DigestSet{SHA256: strings.Repeat("0", 64)}}
	for name, c := range map[string]struct {
		s       *envelope.Signer
		typ     string
		about   []envelope.Subject
		content any
		want    error
	}{
		"no signer":       {nil, envelope.JobType, subjects(), s.sample(), envelope.ErrRole},
		"wiped signer":    {wiped.Signer, envelope.JobType, subjects(), s.sample(), envelope.ErrRole},
		"another role":    {s.Signer, envelope.GrantType, subjects(), s.sample(), envelope.ErrRole},
		"unknown type":    {s.Signer, "https://example.org/x", subjects(), s.sample(), envelope.ErrRole},
		"no subject":      {s.Signer, envelope.JobType, nil, s.sample(), envelope.ErrMalformed},
		"nameless":        {s.Signer, envelope.JobType, []envelope.Subject{envelope.NewSubject("", envelope.Sum(nil))}, s.sample(), envelope.ErrMalformed},
		"zero subject":    {s.Signer, envelope.JobType, []envelope.Subject{zero}, s.sample(), envelope.ErrMalformed},
		"no key in field": {s.Signer, envelope.JobType, subjects(), sample{}, envelope.ErrKey},
		"inexact number":  {s.Signer, envelope.JobType, subjects(), map[string]int64{"n": 1 << 53}, envelope.ErrMalformed},
	} {
		if _, _, err := envelope.Sign(c.s, c.typ, c.about, c.content); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestEveryPredicateHasOneRole: a statement verifies only under the role that its type belongs to.
func TestEveryPredicateHasOneRole(t *testing.T) {
	types := []string{
		envelope.ManifestType, envelope.RevocationType, envelope.JobType, envelope.CancelType, envelope.ReferenceType,
		envelope.AKEndorsementType, envelope.ChallengeType, envelope.TicketType, envelope.GrantType, envelope.AllowanceType,
		envelope.CommitType, envelope.DenialType, envelope.LeaseLostType, envelope.HeartbeatType, envelope.UsageType,
	}
	roles := []envelope.Role{envelope.RoleOwner, envelope.RoleBuyer, envelope.RoleBroker, envelope.RoleEnclave, envelope.RoleReference}
	for _, typ := range types {
		for _, r := range roles {
			s := newSigner(t, r)
			signed, _, err := envelope.Sign(s.Signer, typ, subjects(), s.sample())
			if (envelope.PredicateRole(typ) == r) != (err == nil) {
				t.Errorf("role %s signs %s: %v", r, typ, err)
			}
			if err != nil {
				continue
			}
			if _, err := envelope.Verify[sample](signed, envelope.Expect{Role: r, Key: s.Public(), PayloadType: envelope.PayloadType, PredicateType: typ}); err != nil {
				t.Errorf("%s by %s: %v", typ, r, err)
			}
		}
	}
	if r := envelope.PredicateRole(""); r != "" {
		t.Errorf("the empty type belongs to %q", r)
	}
}

// TestStatementWithoutField deletes and zeroes every field of a signed statement and its envelope, signs it again, and
// expects a refusal.
func TestStatementWithoutField(t *testing.T) {
	s := newSigner(t, envelope.RoleBuyer)
	_, payload, _, err := envelope.Parts(s.job(t))
	if err != nil {
		t.Fatal(err)
	}
	members := map[string][]any{"": {"_type", "subject", "predicateType", "predicate"}, "predicate": {"text", "number", "digest", "key", "nonce", "list"}}
	for at, names := range members {
		for _, name := range names {
			for _, zero := range []any{nil, "", 0, []any{}, map[string]any{}, strings.Repeat("0", 64), "sha256:" + strings.Repeat("0", 64), "absent"} {
				var root map[string]any
				if err := json.Unmarshal(payload, &root); err != nil {
					t.Fatal(err)
				}
				m := root
				if at != "" {
					m = root[at].(map[string]any)
				}
				if zero == "absent" {
					delete(m, name.(string))
				} else {
					m[name.(string)] = zero
				}
				changed, err := envelope.Canonical(root)
				if err != nil {
					t.Fatal(err)
				}
				v, err := envelope.Verify[sample](s.resign(t, envelope.PayloadType, changed), s.expect())
				// A predicate's own zero values are its Validate's business; here they must at least round-trip.
				if err == nil && (at == "" || zero == "absent" || slices.Contains([]any{"digest", "key", "nonce"}, name)) {
					t.Errorf("%s.%s = %v: accepted as %+v", at, name, zero, v.Statement)
				}
			}
		}
	}
}

func TestEnvelopeWithoutField(t *testing.T) {
	s := newSigner(t, envelope.RoleBuyer)
	for _, path := range []string{"payload", "payloadType", "signatures", "sig"} {
		for _, zero := range []any{nil, "", []any{}, "absent"} {
			var root map[string]any
			if err := json.Unmarshal(s.job(t), &root); err != nil {
				t.Fatal(err)
			}
			m := root
			if path == "sig" {
				m = root["signatures"].([]any)[0].(map[string]any)
			}
			if zero == "absent" {
				delete(m, path)
			} else {
				m[path] = zero
			}
			changed, err := envelope.Canonical(root)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := envelope.Verify[sample](changed, s.expect()); err == nil {
				t.Errorf("%s = %v: accepted", path, zero)
			}
		}
	}
}

func TestUnknownFieldAnywhere(t *testing.T) {
	s := newSigner(t, envelope.RoleBuyer)
	_, payload, _, err := envelope.Parts(s.job(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{`{"_type"`, `"predicate":{"digest"`, `{"digest":{"sha256"`} {
		i := strings.Index(string(payload), at)
		if i < 0 {
			t.Fatalf("no %s in %s", at, payload)
		}
		brace := i + strings.Index(at, "{") + 1
		changed := string(payload[:brace]) + `"AAA":1,` + string(payload[brace:])
		if _, err := envelope.Verify[sample](s.resign(t, envelope.PayloadType, []byte(changed)), s.expect()); !errors.Is(err, envelope.ErrMalformed) {
			t.Errorf("unknown field in %s: %v", at, err)
		}
	}
}

// TestEveryByte flips each byte of an envelope; nothing verifies but re-encodings of the same signature value.
func TestEveryByte(t *testing.T) {
	s := newSigner(t, envelope.RoleBuyer)
	signed := s.job(t)
	for i := range signed {
		for _, flip := range []byte{1, 0x20, 0x80} {
			b := bytes.Clone(signed)
			b[i] ^= flip
			if _, err := envelope.Verify[sample](b, s.expect()); err == nil {
				t.Errorf("byte %d ^ %#x: accepted", i, flip)
			}
		}
	}
}

// TestMalleableSignature: the other ECDSA signature over the same payload verifies too, which is why identity is the
// payload's digest.
func TestMalleableSignature(t *testing.T) {
	s := newSigner(t, envelope.RoleBuyer)
	signed := s.job(t)
	typ, payload, sig, err := envelope.Parts(signed)
	if err != nil {
		t.Fatal(err)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &rs); err != nil {
		t.Fatal(err)
	}
	rs.S.Sub(elliptic.P256().Params().N, rs.S)
	other, err := asn1.Marshal(rs)
	if err != nil {
		t.Fatal(err)
	}
	twin, err := envelope.Join(typ, payload, other)
	if err != nil {
		t.Fatal(err)
	}
	a, err := envelope.Verify[sample](signed, s.expect())
	if err != nil {
		t.Fatal(err)
	}
	b, err := envelope.Verify[sample](twin, s.expect())
	if err != nil || a.ID != b.ID || bytes.Equal(signed, twin) {
		t.Errorf("twin: %v, ids %s and %s", err, a.ID, b.ID)
	}
}

func TestTwoSignatures(t *testing.T) {
	s := newSigner(t, envelope.RoleBuyer)
	var e map[string]any
	if err := json.Unmarshal(s.job(t), &e); err != nil {
		t.Fatal(err)
	}
	one := e["signatures"].([]any)
	e["signatures"] = append(one, one[0])
	b, err := envelope.Canonical(e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := envelope.Verify[sample](b, s.expect()); !errors.Is(err, envelope.ErrMalformed) {
		t.Errorf("%v, want ErrMalformed", err)
	}
	e["signatures"] = []any{map[string]any{"keyid": "anything", "sig": one[0].(map[string]any)["sig"]}}
	if b, err = envelope.Canonical(e); err != nil {
		t.Fatal(err)
	}
	if _, err := envelope.Verify[sample](b, s.expect()); err != nil {
		t.Errorf("a key id must be ignored: %v", err)
	}
}

func TestTooLarge(t *testing.T) {
	s := newSigner(t, envelope.RoleBuyer)
	big := append(s.job(t), bytes.Repeat([]byte{' '}, envelope.MaxEnvelope)...)
	for name, f := range map[string]func() error{
		"Verify": func() error { _, err := envelope.Verify[sample](big, s.expect()); return err },
		"Peek":   func() error { _, err := envelope.Peek[sample](big, envelope.JobType); return err },
		"ID":     func() error { _, err := envelope.ID(big); return err },
		"Parts":  func() error { _, _, _, err := envelope.Parts(big); return err },
	} {
		if err := f(); !errors.Is(err, envelope.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
	}
}

func TestPAE(t *testing.T) {
	// The example of the DSSE specification, v1.0.2.
	got := envelope.PAE("http://example.com/HelloWorld", []byte("hello world"))
	if want := "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; string(got) != want {
		t.Errorf("PAE = %q, want %q", got, want)
	}
}
