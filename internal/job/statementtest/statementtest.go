// SPDX-License-Identifier: Apache-2.0

// Package statementtest drives the tests that every signed statement has: each field deleted and zeroed, each byte
// flipped, and vector files.
//
// Trust domain: tests only. Its one job: a check that is taken out of a Verify makes a test fail.
package statementtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Key is a signing key that also signs payloads no honest signer would.
type Key struct {
	*envelope.Signer
	private *ecdsa.PrivateKey
}

// NewKey makes a key for role.
func NewKey(t testing.TB, role envelope.Role) *Key {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := envelope.NewSigner(role, k)
	if err != nil {
		t.Fatal(err)
	}
	return &Key{s, k}
}

// SignPayload signs any payload.
func (k *Key) SignPayload(t testing.TB, payload []byte) []byte {
	t.Helper()
	h := sha256.Sum256(envelope.PAE(envelope.PayloadType, payload))
	sig, err := ecdsa.SignASN1(rand.Reader, k.private, h[:])
	if err != nil {
		t.Fatal(err)
	}
	signed, err := envelope.Join(envelope.PayloadType, payload, sig)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// Change signs the statement in signed again after change had its way with it.
func (k *Key) Change(t testing.TB, signed []byte, change func(statement map[string]any)) []byte {
	t.Helper()
	m := decode(t, signed)
	change(m)
	payload, err := envelope.Canonical(m)
	if err != nil {
		t.Fatal(err)
	}
	return k.SignPayload(t, payload)
}

func decode(t testing.TB, signed []byte) map[string]any {
	t.Helper()
	_, payload, _, err := envelope.Parts(signed)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// EveryField deletes, zeroes and nulls every field of a valid statement, one at a time, signs the rest again with the
// right key, and expects verify to refuse it. Fields in meaningful may be zero or null: that says something. It also adds
// an unknown field to every object.
func EveryField(t *testing.T, k *Key, signed []byte, meaningful []string, verify func([]byte) error) {
	t.Helper()
	if err := verify(signed); err != nil {
		t.Fatalf("the statement to spoil is not valid: %v", err)
	}
	tested, used := 0, map[string]bool{}
	for _, path := range paths(decode(t, signed), nil) {
		name := strings.Join(path, ".")
		for _, how := range []string{"delete", "zero", "null", "unknown"} {
			spoilt := k.Change(t, signed, func(m map[string]any) { spoil(m, path, how) })
			same, err := sameStatement(signed, spoilt)
			if err != nil {
				t.Fatal(err)
			}
			if same {
				continue
			}
			tested++
			err = verify(spoilt)
			if err == nil && slices.Contains(meaningful, name) && (how != "delete" || open(path)) {
				used[name] = true
				continue
			}
			if err == nil {
				t.Errorf("%s %s: accepted", how, name)
			}
		}
	}
	for _, name := range meaningful {
		if !used[name] {
			t.Errorf("%s is listed as meaningful, but its zero was never accepted", name)
		}
	}
	if tested < 10 {
		t.Fatalf("only %d cases", tested)
	}
}

// open reports whether a field is an entry of a map whose names are the signer's choice.
func open(path []string) bool { return len(path) > 1 && path[len(path)-2] == "params" }

func sameStatement(a, b []byte) (bool, error) {
	x, err1 := envelope.ID(a)
	y, err2 := envelope.ID(b)
	if err1 != nil || err2 != nil {
		return false, fmt.Errorf("%v, %v", err1, err2)
	}
	return x == y, nil
}

// paths lists every field and list element below m; elements are written as their index.
func paths(v any, at []string) (out [][]string) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			p := append(slices.Clone(at), k)
			out = append(append(out, p), paths(v[k], p)...)
		}
	case []any:
		for i, e := range v {
			p := append(slices.Clone(at), fmt.Sprint(i))
			out = append(append(out, p), paths(e, p)...)
		}
	}
	return out
}

func spoil(m map[string]any, path []string, how string) {
	var parent any = m
	for _, k := range path[:len(path)-1] {
		parent = child(parent, k)
	}
	last := path[len(path)-1]
	old := child(parent, last)
	switch how {
	case "delete":
		if p, ok := parent.(map[string]any); ok {
			delete(p, last)
		}
	case "zero":
		set(parent, last, zero(old))
	case "null":
		switch old.(type) {
		case []any, map[string]any: // an empty list may be written as null
		default:
			set(parent, last, nil)
		}
	case "unknown":
		if o, ok := old.(map[string]any); ok && last != "params" {
			o["unknown"] = "x"
		}
	}
}

func child(v any, k string) any {
	if m, ok := v.(map[string]any); ok {
		return m[k]
	}
	return v.([]any)[index(k)]
}

func set(v any, k string, to any) {
	if m, ok := v.(map[string]any); ok {
		m[k] = to
		return
	}
	v.([]any)[index(k)] = to
}

func index(k string) (i int) {
	if _, err := fmt.Sscan(k, &i); err != nil {
		panic("statementtest: index " + k)
	}
	return i
}

func zero(v any) any {
	switch v.(type) {
	case string:
		return ""
	case json.Number:
		return 0
	case bool:
		return false
	case []any:
		return []any{}
	case map[string]any:
		return map[string]any{}
	}
	return nil
}

// EveryByte flips one bit of each byte of a signed statement, one at a time, and expects verify to refuse it.
func EveryByte(t *testing.T, signed []byte, verify func([]byte) error) {
	t.Helper()
	for i := range signed {
		b := bytes.Clone(signed)
		b[i] ^= 1 << (i % 8)
		if verify(b) == nil {
			t.Errorf("accepted with a bit of byte %d flipped", i)
		}
	}
}

// Vector is one file of testdata/vectors: header lines, a blank line, a body.
type Vector struct {
	Name   string
	Header map[string]string
	Body   []byte
}

const vectors = "../../testdata/vectors"

// Load reads every vector of a format. Finding none is a failure.
func Load(t testing.TB, format string) []Vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectors, format, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors of %s: %v", format, err)
	}
	var out []Vector
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		head, body, ok := bytes.Cut(b, []byte("\n\n"))
		v := Vector{strings.TrimSuffix(filepath.Base(f), ".txt"), map[string]string{}, bytes.TrimSpace(body)}
		for _, line := range strings.Split(string(head), "\n") {
			k, val, found := strings.Cut(line, ": ")
			ok = ok && found
			v.Header[k] = val
		}
		if !ok || v.Header["expect"] == "" || v.Header["comment"] == "" {
			t.Fatalf("%s is not a vector", f)
		}
		out = append(out, v)
	}
	return out
}

// Write makes a vector file anew.
func Write(t testing.TB, format string, v Vector) {
	t.Helper()
	var b bytes.Buffer
	for _, k := range slices.Sorted(maps.Keys(v.Header)) {
		fmt.Fprintf(&b, "%s: %s\n", k, v.Header[k])
	}
	fmt.Fprintf(&b, "\n%s\n", v.Body)
	dir := filepath.Join(vectors, format)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, v.Name+".txt"), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
