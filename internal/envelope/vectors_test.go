// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

var update = flag.Bool("update", false, "write the vectors anew")

// expectations name the errors that vectors may expect.
var expectations = map[string]error{
	"signature": envelope.ErrSignature, "type": envelope.ErrType, "role": envelope.ErrRole, "malformed": envelope.ErrMalformed,
	"not-canonical": envelope.ErrNotCanonical, "key": envelope.ErrKey, "digest": envelope.ErrDigest,
}

// vector is a file of header lines, a blank line and an envelope.
type vector struct {
	name   string
	header map[string]string
	body   []byte
}

func loadVectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "vectors", "envelope", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	var out []vector
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		head, body, ok := bytes.Cut(b, []byte("\n\n"))
		v := vector{filepath.Base(f), map[string]string{}, bytes.TrimSuffix(body, []byte("\n"))}
		for _, l := range strings.Split(string(head), "\n") {
			k, val, found := strings.Cut(l, ": ")
			ok = ok && found
			v.header[k] = val
		}
		if !ok || v.header["expect"] == "" || v.header["comment"] == "" {
			t.Fatalf("%s is not a vector", f)
		}
		out = append(out, v)
	}
	return out
}

func (v vector) expect(t testing.TB) envelope.Expect {
	t.Helper()
	k, err := envelope.ParsePublicKey(v.header["key"])
	if err != nil {
		t.Fatal(err)
	}
	return envelope.Expect{
		Role: envelope.Role(v.header["role"]), Key: k,
		PayloadType: v.header["payload-type"], PredicateType: v.header["predicate-type"],
	}
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	seen := map[string]bool{}
	for _, v := range loadVectors(t) {
		seen[v.header["expect"]] = true
		got, err := envelope.Verify[sample](v.body, v.expect(t))
		want, known := expectations[v.header["expect"]]
		switch {
		case v.header["expect"] == "ok" && (err != nil || got.ID.String() != v.header["id"]):
			t.Errorf("%s: %v", v.name, err)
		case v.header["expect"] != "ok" && (!known || !errors.Is(err, want)):
			t.Errorf("%s: %v, want %s", v.name, err, v.header["expect"])
		}
	}
	for e := range expectations {
		if !seen[e] {
			t.Errorf("no vector expects %q", e)
		}
	}
	if !seen["ok"] {
		t.Error("no vector is valid")
	}
}

func writeVectors(t *testing.T) {
	s, stranger := newSigner(t, envelope.RoleBuyer), newSigner(t, envelope.RoleBuyer)
	signed := s.job(t)
	typ, payload, sig, err := envelope.Parts(signed)
	if err != nil {
		t.Fatal(err)
	}
	id, err := envelope.ID(signed)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, expect, comment string, e envelope.Expect, body []byte) {
		text := fmt.Sprintf("expect: %s\ncomment: %s\nid: %s\nkey: %s\nrole: %s\npayload-type: %s\npredicate-type: %s\n\n%s\n",
			expect, comment, id, e.Key, e.Role, e.PayloadType, e.PredicateType, body)
		path := filepath.Join("..", "..", "testdata", "vectors", "envelope", name+".txt")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // a public test vector
			t.Fatal(err)
		}
	}
	e := s.expect()
	write("valid", "ok", "a statement with one field of each kind", e, signed)
	withKeyID := bytes.Replace(signed, []byte(`{"sig"`), []byte(`{"keyid":"any","sig"`), 1)
	write("valid-keyid", "ok", "a key id is ignored", e, withKeyID)
	other := e
	other.Key = stranger.Public()
	write("wrong-key", "signature", "verified with another key", other, signed)
	flipped := bytes.Clone(sig)
	flipped[len(flipped)-1] ^= 1
	b, err := envelope.Join(typ, payload, flipped)
	if err != nil {
		t.Fatal(err)
	}
	write("flipped-signature", "signature", "one bit of the signature", e, b)
	if b, err = envelope.Join(typ, bytes.Replace(payload, []byte("hello"), []byte("hellp"), 1), sig); err != nil {
		t.Fatal(err)
	}
	write("changed-payload", "signature", "one byte of the payload", e, b)
	other = e
	other.Role = envelope.RoleOwner
	write("wrong-role", "role", "the caller expects an owner", other, signed)
	other = e
	other.PredicateType = envelope.CancelType
	write("wrong-predicate", "type", "the caller expects a cancellation", other, signed)
	write("wrong-payload-type", "type", "signed as another DSSE payload type", e, s.resign(t, "application/json", payload))
	write("trailing-data", "malformed", "a byte after the envelope", e, append(bytes.Clone(signed), '0'))
	write("unknown-member", "malformed", "a member that DSSE does not have", e, bytes.Replace(signed, []byte(`{"payload"`), []byte(`{"more":1,"payload"`), 1))
	write("duplicate-member", "malformed", "signatures twice, the second time in capitals", e,
		append(bytes.TrimSuffix(bytes.Clone(signed), []byte("}")), `,"SIGNATURES":[]}`...))
	write("two-signatures", "malformed", "a signature twice", e, twice(t, signed))
	write("no-subject", "malformed", "a statement about nothing", e, s.resign(t, typ, replace(t, payload, "subject", []any{})))
	write("space", "not-canonical", "a space in the payload", e, s.resign(t, typ, bytes.Replace(payload, []byte(`":`), []byte(`": `), 1)))
	write("missing-field", "not-canonical", "a predicate without its number", e, s.resign(t, typ, bytes.Replace(payload, []byte(`"number":42,`), nil, 1)))
	write("inexact-number", "malformed", "2^53 + 1", e, s.resign(t, typ, bytes.Replace(payload, []byte(`:42`), []byte(`:9007199254740993`), 1)))
	write("zero-digest", "digest", "a digest of zeros", e, s.resign(t, typ, bytes.Replace(payload, []byte(envelope.Sum([]byte("x")).Hex()), bytes.Repeat([]byte("0"), 64), 1)))
	write("bad-key", "key", "a key that is not P-256", e, s.resign(t, typ, bytes.Replace(payload, []byte(s.Public().String()), []byte("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"), 1)))
}

func twice(t *testing.T, signed []byte) []byte {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(signed, &e); err != nil {
		t.Fatal(err)
	}
	e["signatures"] = append(e["signatures"].([]any), e["signatures"].([]any)[0])
	return mustCanonical(t, e)
}

func replace(t *testing.T, payload []byte, name string, v any) []byte {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal(payload, &p); err != nil {
		t.Fatal(err)
	}
	p[name] = v
	return mustCanonical(t, p)
}

func mustCanonical(t *testing.T, v any) []byte {
	t.Helper()
	b, err := envelope.Canonical(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
