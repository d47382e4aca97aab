// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
)

// fleet signs bundles as `opa build` and `opa sign` do.
type fleet struct {
	private, public []byte // PEM
	claims          string // file with the scope
}

func newFleet(t *testing.T, scope string) *fleet {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		filepath.Join(t.TempDir(), "claims.json"),
	}
	claims, err := json.Marshal(map[string]string{"scope": scope})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.claims, claims, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// content is an unsigned bundle.
func content(revision string, files map[string]string) bundle.Bundle {
	roots := []string{"creator"}
	b := bundle.Bundle{
		Manifest: bundle.Manifest{Revision: revision, Roots: &roots},
		Data:     map[string]any{"creator": map[string]any{"closed": []any{"FR"}}},
	}
	for name, text := range files {
		b.Modules = append(b.Modules, bundle.ModuleFile{
			URL: name, Path: name, Raw: []byte(text), Parsed: ast.MustParseModuleWithOpts(text, ast.ParserOptions{RegoVersion: ast.RegoV1}),
		})
	}
	return b
}

func (f *fleet) sign(t *testing.T, b bundle.Bundle) []byte {
	t.Helper()
	if err := b.GenerateSignature(bundle.NewSigningConfig(string(f.private), bundleMethod, f.claims), "fleet", false); err != nil {
		t.Fatal(err)
	}
	return write(t, b)
}

func write(t *testing.T, b bundle.Bundle) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := bundle.NewWriter(&out).UseModulePath(true).DisableFormat(true).Write(b); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func closedPlaces() map[string]string {
	return map[string]string{"/creator/rules.rego": "package creator\n\n" +
		`deny contains {"rule": "closed", "message": "not there", "satisfy": "use it elsewhere"} if input.job.territory in data.creator.closed` + "\n"}
}

func TestSignedBundle(t *testing.T) {
	f := newFleet(t, "prod")
	signed := f.sign(t, content("7", closedPlaces()))
	e, err := Load(t.Context(), Options{Bundle: &Bundle{signed, f.public, "prod", 7}})
	if err != nil {
		t.Fatal(err)
	}
	if e.Revision() != 7 {
		t.Errorf("revision %d", e.Revision())
	}
	r := good()
	if d, err := e.Decide(t.Context(), r); err != nil || !d.Allow {
		t.Errorf("%+v, %v", d, err)
	}
	r.Job.Territory = "FR"
	if d, err := e.Decide(t.Context(), r); err != nil || d.Allow || ruleNames(d.Reasons) != "creator/closed" {
		t.Errorf("%+v, %v", d, err)
	}
	other, err := Load(t.Context(), Options{Bundle: &Bundle{f.sign(t, content("8", closedPlaces())), f.public, "prod", 1}})
	if err != nil || other.Digest() == e.Digest() {
		t.Errorf("the digest does not name the revision: %v", err)
	}
}

// TestBundleNotForThisBroker: unsigned, altered, of another key or scope, older, or with more than rules and data.
func TestBundleNotForThisBroker(t *testing.T) {
	f, stranger, staging := newFleet(t, "prod"), newFleet(t, "prod"), newFleet(t, "staging")
	staging.private, staging.public = f.private, f.public
	signed := f.sign(t, content("7", closedPlaces()))
	pinned := func(b []byte) *Bundle { return &Bundle{b, f.public, "prod", 5} }
	change := func(g func(b *bundle.Bundle)) []byte {
		b := content("7", closedPlaces())
		g(&b)
		return f.sign(t, b)
	}
	roots := func(r ...string) func(b *bundle.Bundle) { return func(b *bundle.Bundle) { b.Manifest.Roots = &r } }
	zero := 0
	for name, b := range map[string]*Bundle{
		"unsigned":         pinned(write(t, content("7", closedPlaces()))),
		"another key":      pinned(stranger.sign(t, content("7", closedPlaces()))),
		"another scope":    pinned(staging.sign(t, content("7", closedPlaces()))),
		"rollback":         pinned(f.sign(t, content("4", closedPlaces()))),
		"no revision":      pinned(f.sign(t, content("", closedPlaces()))),
		"revision text":    pinned(f.sign(t, content("v7", closedPlaces()))),
		"revision spelt":   pinned(f.sign(t, content("07", closedPlaces()))),
		"all roots":        pinned(change(roots(""))),
		"more roots":       pinned(change(func(b *bundle.Bundle) { roots("creator", "glovebox")(b) })),
		"old Rego":         pinned(change(func(b *bundle.Bundle) { b.Manifest.RegoVersion = &zero })),
		"altered rule":     pinned(alter(t, signed, "creator/rules.rego", "elsewhere", "anywhere!")),
		"altered data":     pinned(alter(t, signed, "data.json", "FR", "XX")),
		"altered revision": pinned(alter(t, signed, ".manifest", `"7"`, `"9"`)),
		"rule removed":     pinned(remove(t, signed, "creator/rules.rego")),
		"no signatures":    pinned(remove(t, signed, ".signatures.json")),
		"file added":       pinned(add(t, signed, "creator/more.rego", "package creator\n\ndeny contains 1 if false\n")),
		"no rule, no data": pinned(add(t, signed, "creator/more.REGO", "package creator\n")),
		"truncated":        pinned(signed[:len(signed)/2]),
		"no bundle":        pinned([]byte("x")),
		"bomb":             pinned(bomb(t)),
		"empty":            pinned(nil),
		"no key":           {signed, nil, "prod", 5},
		"private key":      {signed, f.private, "prod", 5},
		"no scope":         {signed, f.public, "", 5},
		"no revision set":  {signed, f.public, "prod", 0},
		"empty bundle":     {},
		"other package":    pinned(f.sign(t, content("7", map[string]string{"/creator/x.rego": "package glovebox.release\n\nallow := true\n"}))),
		"unknown data":     pinned(f.sign(t, content("7", map[string]string{"/creator/x.rego": "package creator\n\ndeny contains {} if input.job.territory in data.creator.clsoed\n"}))),
		"part of a list":   pinned(f.sign(t, content("7", map[string]string{"/creator/x.rego": "package creator\n\ndeny contains {} if data.creator.closed.FR\n"}))),
		"data over rule": pinned(change(func(b *bundle.Bundle) {
			b.Data = map[string]any{"creator": map[string]any{"deny": []any{}}}
		})),
	} {
		e, err := Load(t.Context(), Options{Bundle: b})
		if err == nil || e != nil || !errors.Is(err, ErrCreator) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// rewrite copies a bundle file by file.
func rewrite(t *testing.T, packed []byte, f func(name string, body []byte) []byte, more map[string]string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	tw := tar.NewWriter(zw)
	put := func(name string, body []byte) {
		if err := tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(body))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	changed := 0
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		after := f(strings.TrimPrefix(h.Name, "/"), body)
		if after == nil || !bytes.Equal(after, body) {
			changed++
		}
		if after != nil {
			put(h.Name, after)
		}
	}
	for name, body := range more {
		changed++
		put(name, []byte(body))
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	if changed != 1 {
		t.Fatalf("%d files changed", changed)
	}
	return out.Bytes()
}

func alter(t *testing.T, packed []byte, file, from, to string) []byte {
	return rewrite(t, packed, func(name string, body []byte) []byte {
		if name != file {
			return body
		}
		return bytes.Replace(body, []byte(from), []byte(to), 1)
	}, nil)
}

func remove(t *testing.T, packed []byte, file string) []byte {
	return rewrite(t, packed, func(name string, body []byte) []byte {
		if name == file {
			return nil
		}
		return body
	}, nil)
}

func add(t *testing.T, packed []byte, file, body string) []byte {
	return rewrite(t, packed, func(_ string, body []byte) []byte { return body }, map[string]string{file: body})
}

// bomb is small as packed and large as unpacked.
func bomb(t *testing.T) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := io.CopyN(z, zeros{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if out.Len() > MaxBundle {
		t.Fatal("no bomb")
	}
	return out.Bytes()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
