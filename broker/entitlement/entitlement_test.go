// SPDX-License-Identifier: Apache-2.0

package entitlement_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/entitlement"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/jws"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func signer(t testing.TB, role envelope.Role) *envelope.Signer {
	t.Helper()
	s, err := envelope.GenerateSigner(role)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// world is a broker, an enclave's lease key and a capability for it.
type world struct {
	broker *envelope.Signer
	lease  envelope.PublicKey
	c      entitlement.Capability
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{broker: signer(t, envelope.RoleBroker), lease: signer(t, envelope.RoleEnclave).Public()}
	sale := envelope.Sum([]byte("sale"))
	w.c = entitlement.Capability{
		Issued: now.Unix(), Expires: now.Add(time.Hour).Unix(), Confirm: receipt.Confirm{JKT: jwk.ThumbprintOf(w.lease)},
		Binding: envelope.Sum([]byte("d")), Job: envelope.Sum([]byte("job")), Manifest: envelope.Sum([]byte("manifest")),
		Dataset: envelope.PackageID{7}, Version: 3, Operations: []string{receipt.ScopeTrain},
		Chunks: entitlement.ChunksOf(grant.Ranges{{First: 0, Count: 4}, {First: 9, Count: 1}}), Epochs: 2, Receipt: &sale, Payment: "pay_1",
	}
	return w
}

func (w *world) mint(t testing.TB) (string, envelope.Digest) {
	t.Helper()
	compact, digest, err := entitlement.Mint(w.c, w.broker)
	if err != nil {
		t.Fatal(err)
	}
	return compact, digest
}

func TestMint(t *testing.T) {
	w := newWorld(t)
	compact, digest := w.mint(t)
	v, err := entitlement.VerifyCapability(compact, w.broker.Public(), w.c.Binding, jwk.ThumbprintOf(w.lease), now)
	if err != nil {
		t.Fatal(err)
	}
	want := w.c
	want.Issuer, want.Audience, want.Uses = w.broker.Public(), w.broker.Public(), 1
	want.ID = entitlement.CapabilityID(w.c.Binding, w.c.Manifest)
	if !reflect.DeepEqual(v.Capability, want) || v.Digest != digest {
		t.Errorf("%+v", v)
	}
	again, same := w.mint(t)
	if same != digest || again == compact {
		t.Error("the digest depends on the signature")
	}
	if v.Chunks.First != 0 || v.Chunks.Count != 10 || v.Chunks.Leaves != 5 {
		t.Errorf("%+v", v.Chunks)
	}
}

// TestMintIncomplete: nothing is minted with a field missing, nor by a key of another role.
func TestMintIncomplete(t *testing.T) {
	w := newWorld(t)
	byMint := map[string]bool{"Issuer": true, "Audience": true, "ID": true, "Uses": true, "Permit": true}
	v := reflect.ValueOf(&w.c).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		f, was := v.Field(i), reflect.ValueOf(v.Field(i).Interface())
		f.SetZero()
		_, _, err := entitlement.Mint(w.c, w.broker)
		if (err == nil) != byMint[name] || err != nil && !errors.Is(err, entitlement.ErrInvalid) {
			t.Errorf("without %s: %v", name, err)
		}
		f.Set(was)
	}
	permit := envelope.Sum([]byte("permit"))
	for name, change := range map[string]func(*entitlement.Capability){
		"receipt and permit":     func(c *entitlement.Capability) { c.Permit = &permit },
		"permit with a payment":  func(c *entitlement.Capability) { c.Receipt, c.Permit = nil, &permit },
		"zero receipt":           func(c *entitlement.Capability) { c.Receipt = &envelope.Digest{} },
		"ends before it begins":  func(c *entitlement.Capability) { c.Expires = c.Issued },
		"lasts for ever":         func(c *entitlement.Capability) { c.Expires = c.Issued + 1 + int64(entitlement.MaxLife/time.Second) },
		"thumbprint in hex":      func(c *entitlement.Capability) { c.Confirm.JKT = strings.Repeat("a", 64) },
		"operations unsorted":    func(c *entitlement.Capability) { c.Operations = []string{"train", "evaluate"} },
		"operation twice":        func(c *entitlement.Capability) { c.Operations = []string{"train", "train"} },
		"more leaves than there": func(c *entitlement.Capability) { c.Chunks.Leaves = c.Chunks.Count + 1 },
	} {
		c := w.c
		change(&c)
		if _, _, err := entitlement.Mint(c, w.broker); !errors.Is(err, entitlement.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.c.Receipt, w.c.Payment, w.c.Permit = nil, "", &permit
	if _, _, err := entitlement.Mint(w.c, w.broker); err != nil {
		t.Errorf("for a permit: %v", err)
	}
	for _, role := range []envelope.Role{envelope.RoleOwner, envelope.RoleBuyer, envelope.RoleEnclave} {
		if _, _, err := entitlement.Mint(w.c, signer(t, role)); !errors.Is(err, envelope.ErrRole) {
			t.Errorf("%s mints: %v", role, err)
		}
	}
	if _, _, err := entitlement.Mint(w.c, nil); !errors.Is(err, envelope.ErrRole) {
		t.Error(err)
	}
}

// TestStolenCapability: it is no bearer token. Another enclave, another binding or another broker's key, and it opens
// nothing.
func TestStolenCapability(t *testing.T) {
	w := newWorld(t)
	compact, _ := w.mint(t)
	thief := jwk.ThumbprintOf(signer(t, envelope.RoleEnclave).Public())
	mine := jwk.ThumbprintOf(w.lease)
	for name, c := range map[string]struct {
		broker  envelope.PublicKey
		binding envelope.Digest
		jkt     string
		now     time.Time
		want    error
	}{
		"another enclave's key": {w.broker.Public(), w.c.Binding, thief, now, entitlement.ErrHolder},
		"another binding":       {w.broker.Public(), envelope.Sum([]byte("d2")), mine, now, entitlement.ErrBinding},
		"another broker":        {signer(t, envelope.RoleBroker).Public(), w.c.Binding, mine, now, entitlement.ErrSignature},
		"expired":               {w.broker.Public(), w.c.Binding, mine, now.Add(time.Hour), entitlement.ErrExpired},
		"before it was issued":  {w.broker.Public(), w.c.Binding, mine, now.Add(-time.Second), entitlement.ErrNotYet},
		"no holder":             {w.broker.Public(), w.c.Binding, "", now, entitlement.ErrInvalid},
		"no binding":            {w.broker.Public(), envelope.Digest{}, mine, now, entitlement.ErrInvalid},
		"no broker":             {envelope.PublicKey{}, w.c.Binding, mine, now, entitlement.ErrInvalid},
		"no time":               {w.broker.Public(), w.c.Binding, mine, time.Time{}, entitlement.ErrInvalid},
	} {
		v, err := entitlement.VerifyCapability(compact, c.broker, c.binding, c.jkt, c.now)
		if v != nil || !errors.Is(err, c.want) || !errors.Is(err, entitlement.ErrCapability) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := entitlement.Read(compact, envelope.PublicKey{}); !errors.Is(err, entitlement.ErrInvalid) {
		t.Error(err)
	}
}

// forge signs any claims with the broker's key.
func (w *world) forge(t *testing.T, typ string, claims any) string {
	t.Helper()
	compact, _, err := jws.Sign(typ, jwk.ThumbprintOf(w.broker.Public()), claims, w.broker)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// TestCapabilityClaims: each member deleted, nulled or zeroed, and what Mint alone decides, is checked again when read.
func TestCapabilityClaims(t *testing.T) {
	w := newWorld(t)
	compact, _ := w.mint(t)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	loose := func() map[string]any {
		m := map[string]any{}
		if err := json.Unmarshal(payload, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	tried := 0
	refuse := func(name string, m map[string]any) {
		t.Helper()
		tried++
		if v, err := entitlement.Read(w.forge(t, entitlement.Type, m), w.broker.Public()); v != nil || !errors.Is(err, entitlement.ErrCapability) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, v := range loose() {
		for how, spoil := range map[string]func(map[string]any){
			"deleted": func(m map[string]any) { delete(m, name) },
			"null":    func(m map[string]any) { m[name] = nil },
			"zero": func(m map[string]any) {
				if v != nil {
					m[name] = reflect.Zero(reflect.TypeOf(v)).Interface()
				}
			},
		} {
			m := loose()
			if spoil(m); reflect.DeepEqual(m, loose()) {
				continue // permit is null
			}
			refuse(name+" "+how, m)
		}
	}
	other := signer(t, envelope.RoleBroker).Public().String()
	for name, v := range map[string]any{"jti": envelope.NewNonce().String(), "uses": 2, "aud": other, "iss": other, "more": 1, "epochs": -1, "permit": envelope.Sum(nil).String()} {
		m := loose()
		m[name] = v
		refuse("other "+name, m)
	}
	m := loose()
	m["iss"], m["aud"] = other, other
	refuse("another broker's name", m)
	if tried < 55 {
		t.Errorf("only %d changes tried", tried)
	}
	if _, err := entitlement.Read(w.forge(t, entitlement.Type, loose()), w.broker.Public()); err != nil {
		t.Fatal(err)
	}
}

// TestReceiptAsCapability: a token of one kind is not one of the other, even where one key signed both.
func TestReceiptAsCapability(t *testing.T) {
	w := newWorld(t)
	compact, _ := w.mint(t)
	v, err := entitlement.Read(compact, w.broker.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{receipt.Type, "JWT", ""} {
		if _, err := entitlement.Read(w.forge(t, typ, v.Capability), w.broker.Public()); !errors.Is(err, entitlement.ErrInvalid) {
			t.Errorf("%s: %v", typ, err)
		}
	}
	if _, err := receipt.Peek(compact); !errors.Is(err, receipt.ErrType) {
		t.Error(err)
	}
	// A signed statement of the broker is not a token, and a token's signature is not that of a statement.
	parts := strings.Split(compact, ".")
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	signed, err := envelope.Join(envelope.PayloadType, payload, sig)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := grant.VerifyGrant(signed, w.broker.Public()); err == nil {
		t.Error("a capability is a grant")
	}
}

// TestCapabilityEveryByte: flipping any byte refuses the capability.
func TestCapabilityEveryByte(t *testing.T) {
	w := newWorld(t)
	compact, _ := w.mint(t)
	for i := range len(compact) {
		b := []byte(compact)
		b[i] ^= 1
		if _, err := entitlement.Read(string(b), w.broker.Public()); !errors.Is(err, entitlement.ErrCapability) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

// TestOneCapabilityOfALease: two for the same binding and package have the same jti, so a ledger that spends each jti once
// spends one.
func TestOneCapabilityOfALease(t *testing.T) {
	w := newWorld(t)
	read := func() *entitlement.Verified {
		compact, _ := w.mint(t)
		v, err := entitlement.Read(compact, w.broker.Public())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first := read()
	w.c.Expires, w.c.Epochs = w.c.Expires+1, 3
	if second := read(); second.ID != first.ID || second.Digest == first.Digest {
		t.Error("two capabilities of one lease")
	}
	w.c.Binding = envelope.Sum([]byte("d2"))
	if third := read(); third.ID == first.ID {
		t.Error("two leases, one capability")
	}
	w.c.Binding, w.c.Manifest = first.Binding, envelope.Sum([]byte("other"))
	if fourth := read(); fourth.ID == first.ID {
		t.Error("two packages, one capability")
	}
}

func TestChunksOf(t *testing.T) {
	if (entitlement.ChunksOf(nil) != entitlement.Chunks{}) {
		t.Error("no leaves, and chunks")
	}
	a, b := entitlement.ChunksOf(grant.Ranges{{First: 0, Count: 1}, {First: 4, Count: 2}}), entitlement.ChunksOf(grant.Ranges{{First: 0, Count: 2}, {First: 5, Count: 1}})
	if a.Digest == b.Digest || a.Leaves != b.Leaves || a.Count != b.Count {
		t.Errorf("%+v %+v", a, b)
	}
}

func TestZeroExpectRefusesAll(t *testing.T) {
	if _, err := receipt.Verify("e30.e30.", receipt.Expect{}, now); !errors.Is(err, receipt.ErrExpect) {
		t.Error(err)
	}
}

// FuzzRead: what reads was minted here.
func FuzzRead(f *testing.F) {
	w := newWorld(f)
	compact, digest := w.mint(f)
	f.Add(compact)
	f.Add(strings.Replace(compact, ".", "..", 1))
	f.Add(compact[:len(compact)-4])
	f.Fuzz(func(t *testing.T, s string) {
		v, err := entitlement.Read(s, w.broker.Public())
		if err == nil && v.Digest != digest || err != nil && v != nil {
			t.Fatalf("nobody minted %s (%v)", s, err)
		}
	})
}
