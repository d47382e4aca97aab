// SPDX-License-Identifier: Apache-2.0

package attestation_test

import (
	"errors"
	"flag"
	"reflect"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

var update = flag.Bool("update", false, "write the vectors in testdata/vectors anew")

const evidenceVectors = "../testdata/vectors/evidence"

// TestEveryFieldChangesDigest replaces each field, found by reflection, by that of another binding.
func TestEveryFieldChangesDigest(t *testing.T) {
	base, other := attestationtest.Binding(t, "base"), attestationtest.Binding(t, "other")
	other.Runtime = "wasm-fuel/2"
	d, err := base.Digest()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[envelope.Digest]string{d: "nothing"}
	check := func(name string, b attestation.Binding) {
		got, err := b.Digest()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if was, ok := seen[got]; ok {
			t.Errorf("changing %s gives the digest of changing %s", name, was)
		}
		seen[got] = name
	}
	for i := range reflect.TypeFor[attestation.Binding]().NumField() {
		b := attestationtest.Binding(t, "base")
		reflect.ValueOf(&b).Elem().Field(i).Set(reflect.ValueOf(other).Field(i))
		check(reflect.TypeOf(b).Field(i).Name, b)
	}
	for o := range base.Owners {
		for i := range reflect.TypeFor[attestation.Owner]().NumField() {
			b := attestationtest.Binding(t, "base")
			reflect.ValueOf(&b.Owners[o]).Elem().Field(i).Set(reflect.ValueOf(other.Owners[o]).Field(i))
			check(reflect.TypeOf(b.Owners[o]).Field(i).Name, b)
		}
	}
	swapped := attestationtest.Binding(t, "base")
	swapped.Owners[0], swapped.Owners[1] = swapped.Owners[1], swapped.Owners[0]
	check("the owners' order", swapped)
	longer := attestationtest.Binding(t, "base")
	longer.Owners = append(longer.Owners, other.Owners[0])
	check("the number of owners", longer)
}

// TestEveryFieldOfBinding zeroes each field, found by reflection.
func TestEveryFieldOfBinding(t *testing.T) {
	for i := range reflect.TypeFor[attestation.Binding]().NumField() {
		b := attestationtest.Binding(t, "base")
		reflect.ValueOf(&b).Elem().Field(i).SetZero()
		if _, err := b.Digest(); !errors.Is(err, attestation.ErrBinding) {
			t.Errorf("%s: %v", reflect.TypeOf(b).Field(i).Name, err)
		}
	}
	for i := range reflect.TypeFor[attestation.Owner]().NumField() {
		b := attestationtest.Binding(t, "base")
		reflect.ValueOf(&b.Owners[1]).Elem().Field(i).SetZero()
		if _, err := b.Digest(); !errors.Is(err, attestation.ErrBinding) {
			t.Errorf("owner's %s: %v", reflect.TypeOf(b.Owners[1]).Field(i).Name, err)
		}
	}
}

// refusedBindings is one binding for each reason to refuse it.
func refusedBindings(t *testing.T) map[string]attestation.Binding {
	change := func(f func(*attestation.Binding)) attestation.Binding {
		b := attestationtest.Binding(t, "vector")
		f(&b)
		return b
	}
	return map[string]attestation.Binding{
		"one owner only":                  change(func(b *attestation.Binding) { b.Owners = b.Owners[:1] }),
		"a manifest asked for twice":      change(func(b *attestation.Binding) { b.Owners[1].Manifest = b.Owners[0].Manifest }),
		"one nonce for two packages":      change(func(b *attestation.Binding) { b.Owners[1].Nonce = b.Owners[0].Nonce }),
		"signing key is a broker's key":   change(func(b *attestation.Binding) { b.SigningKey = b.Owners[1].Audience }),
		"HPKE key one byte short":         change(func(b *attestation.Binding) { b.HPKEKey = b.HPKEKey[:1215] }),
		"HPKE key all zero":               change(func(b *attestation.Binding) { clear(b.HPKEKey) }),
		"runtime without a name":          change(func(b *attestation.Binding) { b.Runtime = "" }),
		"runtime with a line feed inside": change(func(b *attestation.Binding) { b.Runtime = "wasm\n/1" }),
		"too many owners": change(func(b *attestation.Binding) {
			for _, s := range "abcdefghijklmnop" {
				b.Owners = append(b.Owners, attestationtest.Binding(t, string(s)).Owners[0])
			}
		}),
	}
}

func TestBindingVectors(t *testing.T) {
	if *update {
		writeBindingVectors(t)
	}
	for _, v := range attestationtest.Vectors(t, evidenceVectors+"/binding-*.txt", 10) {
		var b attestation.Binding
		err := envelope.Decode(v.Body, attestation.MaxEvidence, &b)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		d, err := b.Digest()
		switch v.Header["expect"] {
		case "ok":
			if err != nil || d.String() != v.Header["digest"] {
				t.Errorf("%s: digest %s, %v", v.Name, d, err)
			}
		case "attestation.ErrBinding":
			if !errors.Is(err, attestation.ErrBinding) {
				t.Errorf("%s: got %v", v.Name, err)
			}
		default:
			t.Errorf("%s: unknown expectation", v.Name)
		}
	}
}

func writeBindingVectors(t *testing.T) {
	write := func(name, expect, comment string, b attestation.Binding) {
		body, err := envelope.Canonical(b)
		if err != nil {
			t.Fatal(err)
		}
		v := attestationtest.Vector{
			Name: "binding-" + name + ".txt", Header: map[string]string{"expect": expect, "comment": comment}, Body: body,
		}
		if expect == "ok" {
			d, err := b.Digest()
			if err != nil {
				t.Fatal(err)
			}
			v.Header["digest"] = d.String()
		}
		v.Write(t, evidenceVectors)
	}
	write("valid", "ok", "a complete binding and its digest d", attestationtest.Binding(t, "vector"))
	for comment, b := range refusedBindings(t) {
		write(slug(comment), "attestation.ErrBinding", comment, b)
	}
}

func slug(s string) string {
	b := []byte(s)
	for i, c := range b {
		switch {
		case c >= 'A' && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case (c < 'a' || c > 'z') && (c < '0' || c > '9'):
			b[i] = '-'
		}
	}
	return string(b)
}

func TestReportData(t *testing.T) {
	d := envelope.Digest{1}
	r := attestation.ReportData(d)
	if err := attestation.CheckReportData(r[:], d); err != nil {
		t.Error(err)
	}
	tail := r
	tail[63] = 1
	zero := attestation.ReportData(envelope.Digest{})
	for name, c := range map[string]struct {
		r []byte
		d envelope.Digest
	}{
		"another digest": {r[:], envelope.Digest{2}}, "tail not zero": {tail[:], d}, "short": {r[:32], d},
		"empty": {nil, d}, "zero digest": {zero[:], envelope.Digest{}},
	} {
		if err := attestation.CheckReportData(c.r, c.d); !errors.Is(err, attestation.ErrBind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if attestation.NestedDigest(d) == d || attestation.NestedDigest(d) == attestation.NestedDigest(envelope.Digest{2}) {
		t.Error("nested digest is not its own")
	}
}
