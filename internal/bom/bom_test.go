// SPDX-License-Identifier: Apache-2.0

package bom_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/bom"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

var update = flag.Bool("update", false, "write the golden files again")

func digest(s string) envelope.Digest { return envelope.Sum([]byte(s)) }

// owner is the same in every test, so that golden files are.
func owner(t *testing.T) envelope.PublicKey {
	t.Helper()
	k, err := envelope.ParsePublicKey("did:key:zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// pack is a package as far as documents read it.
func pack(t *testing.T, name string, kind dataset.Kind, spdx string) bom.Package {
	t.Helper()
	m := &dataset.Manifest{
		Kind: kind, Name: name, Version: 2, Owner: owner(t), Format: dataset.FormatCSV, Records: 5000,
		Segments: []dataset.Segment{{Blob: digest(name + " segment"), Bytes: 1000}, {Blob: digest(name + " segment 2"), Bytes: 24}},
		Tree:     dataset.Tree{Size: 3, Root: digest(name + " root"), Levels: []envelope.Digest{digest(name + " leaves")}},
	}
	m.Terms.Modes, m.Terms.Purposes, m.Terms.Access, m.Terms.Licence.SPDX = []string{"raw-in-tee"}, []string{"research"}, dataset.AccessReceipt, spdx
	d := &m.Metadata
	d.Name, d.Description, d.License, d.DatePublished, d.Version = name, "Scans of hands", "see usageInfo", "2026-11-21", "2.0.0"
	d.Creator = dataset.Agent{Type: "sc:Person", Name: "Alice", Identifier: m.Owner}
	d.Collection, d.KnownBiases, d.Retention, d.Ingestion.Date = "by hand", []string{"left hands only"}, "ten years", "2026-11-20"
	d.Distribution = []dataset.FileObject{{ContentURL: "glovebox:" + m.Tree.Root.String()}}
	d.PIIScan = &dataset.PIIScan{Tool: "glovebox", Version: "1", Findings: 3, Types: []dataset.Count{{Name: "PERSON", Count: 3}}}
	d.Transforms = []dataset.StepReport{{Step: "redact", Digest: digest("redact")}}
	d.Anonymity = &dataset.Anonymity{K: 5}
	return bom.Package{ID: digest(name + " manifest"), Manifest: m, Records: 40000}
}

func run(t *testing.T, class string) *bom.Run {
	t.Helper()
	module := digest("module")
	code := pack(t, "train", dataset.KindCode, "")
	return &bom.Run{
		Usage: digest("usage"), Job: digest("job"), Evidence: digest("evidence"), Result: digest("result"), Module: &module,
		Buyer: "did:key:zDnaeWgbpcUat3VPa1GqrAQ4HHdiyyy9QXsoGLUz9HVfbYkEr", Assurance: "tpm", Runtime: "wasm-fuel/1", Finished: 1_800_000_000_000,
		Outputs:  []bom.Output{{Name: "out.bin", Class: class, Bytes: 101888}},
		Packages: []bom.Package{code, pack(t, "hands", dataset.KindDataset, "CC-BY-4.0"), pack(t, "feet", dataset.KindDataset, "")},
	}
}

// documents are everything that can be written, by file name.
func documents(t *testing.T) map[string][]byte {
	t.Helper()
	data, code := pack(t, "hands", dataset.KindDataset, "CC-BY-4.0"), pack(t, "train", dataset.KindCode, "")
	out := map[string][]byte{}
	for name, f := range map[string]func() ([]byte, error){
		"dataset.cdx.json":  func() ([]byte, error) { return bom.CycloneDX(&data) },
		"dataset.spdx.json": func() ([]byte, error) { return bom.SPDX(&data) },
		"code.cdx.json":     func() ([]byte, error) { return bom.CycloneDX(&code) },
		"code.spdx.json":    func() ([]byte, error) { return bom.SPDX(&code) },
		"model.cdx.json":    func() ([]byte, error) { return bom.CycloneDXRun(run(t, "model")) },
		"model.spdx.json":   func() ([]byte, error) { return bom.SPDXRun(run(t, "model")) },
		"table.cdx.json":    func() ([]byte, error) { return bom.CycloneDXRun(run(t, "table")) },
		"table.spdx.json":   func() ([]byte, error) { return bom.SPDXRun(run(t, "table")) },
	} {
		b, err := f()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = b
	}
	return out
}

// TestGolden holds the documents to files that other people's validators have accepted (make verify-external).
func TestGolden(t *testing.T) {
	for name, got := range documents(t) {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %v; -update writes it again", name, bom.Compare(want, got))
		}
	}
}

// TestEveryDigestIsThere: a document that forgot what it is about would compare well and say nothing.
func TestEveryDigestIsThere(t *testing.T) {
	for name, doc := range documents(t) {
		want := []string{"hands leaves", "hands manifest"}
		switch {
		case strings.HasPrefix(name, "code"):
			want = []string{"train leaves", "train manifest"}
		case !strings.HasPrefix(name, "dataset"):
			want = append(want, "train leaves", "train manifest", "feet leaves", "feet manifest", "result", "usage", "evidence")
		}
		for _, w := range want {
			if !bytes.Contains(doc, []byte(digest(w).Hex())) {
				t.Errorf("%s: nothing of %s", name, w)
			}
		}
	}
}

// TestAlteredDocument: no leaf of a document can change unseen, and spacing does not matter.
func TestAlteredDocument(t *testing.T) {
	for name, doc := range documents(t) {
		var small bytes.Buffer
		if err := json.Compact(&small, doc); err != nil {
			t.Fatal(err)
		}
		if err := bom.Compare(doc, small.Bytes()); err != nil {
			t.Errorf("%s without spaces: %v", name, err)
		}
		changed := 0
		for i := range doc {
			if doc[i] < '0' || doc[i] > '9' {
				continue
			}
			bad := bytes.Clone(doc)
			bad[i] = '1' + (doc[i]-'0'+1)%9
			if bytes.Equal(bad, doc) {
				continue
			}
			if changed++; changed%7 != 0 { // every seventh digit will do
				continue
			}
			if err := bom.Compare(doc, bad); !errors.Is(err, bom.ErrDiffer) {
				t.Fatalf("%s: byte %d altered: %v", name, i, err)
			}
		}
		if changed == 0 {
			t.Errorf("%s: nothing was altered", name)
		}
	}
}

func TestComparedWithOtherThings(t *testing.T) {
	want := []byte(`{"a":{"b":[1,{"c":"x"}]}}`)
	for have, place := range map[string]string{
		`{"a":{"b":[1,{"c":"y"}]}}`:       "a.b[1].c differs",
		`{"a":{"b":[1]}}`:                 "a.b has 1 entries, not 2",
		`{"a":{"b":[1,{}]}}`:              "a.b[1].c is missing",
		`{"a":{"b":[1,{"c":"x","d":1}]}}`: "a member of a.b[1] does not belong there",
		`{"a":1}`:                         "a has another type",
		`[]`:                              "the document has another type",
		`{"a"`:                            "",
		``:                                "",
	} {
		err := bom.Compare(want, []byte(have))
		if !errors.Is(err, bom.ErrDiffer) || !strings.Contains(err.Error(), place) {
			t.Errorf("%s: %v, want %q", have, err, place)
		}
	}
	if err := bom.Compare(want, make([]byte, bom.MaxDocument+1)); !errors.Is(err, bom.ErrDiffer) {
		t.Errorf("a huge file: %v", err)
	}
}

// TestNothingToDescribe: zero values describe nothing.
func TestNothingToDescribe(t *testing.T) {
	whole := run(t, "model")
	headless, empty := *whole, *whole
	headless.Result, empty.Packages = envelope.Digest{}, whole.Packages[:1]
	for name, r := range map[string]*bom.Run{"nil": nil, "zero": {}, "without a result": &headless, "without data": &empty} {
		if _, err := bom.CycloneDXRun(r); !errors.Is(err, bom.ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := bom.SPDXRun(r); !errors.Is(err, bom.ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, f := range map[string]func(*bom.Package) ([]byte, error){"croissant": bom.Croissant, "cyclonedx": bom.CycloneDX, "spdx": bom.SPDX} {
		for _, p := range []*bom.Package{nil, {}, {ID: digest("x"), Manifest: &dataset.Manifest{}}} {
			if _, err := f(p); !errors.Is(err, bom.ErrInput) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestModelSignature: every file is listed once, in order, under the owner's signature; other roles cannot make one.
func TestModelSignature(t *testing.T) {
	p := pack(t, "hands", dataset.KindDataset, "")
	p.Manifest.Segments = append(p.Manifest.Segments, p.Manifest.Segments[0]) // twice the same bytes are one file
	s, err := envelope.GenerateSigner(envelope.RoleOwner)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bom.SignModel(&p, s)
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		DSSE json.RawMessage `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	signed, err := envelope.Canonical(v.DSSE)
	if err != nil {
		t.Fatal(err)
	}
	type predicate struct {
		Serialization map[string]any      `json:"serialization"`
		Resources     []map[string]string `json:"resources"`
	}
	got, err := envelope.Verify[predicate](signed, envelope.Expect{
		Role: envelope.RoleOwner, Key: s.Public(), PayloadType: envelope.PayloadType, PredicateType: envelope.ModelSigningType,
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Predicate.Resources); n != 3 {
		t.Errorf("%d files, want 3", n)
	}
	last := ""
	for _, r := range got.Predicate.Resources {
		if r["name"] <= last || strings.ReplaceAll(r["name"], "/", "") != r["digest"] {
			t.Errorf("%v behind %s", r, last)
		}
		last = r["name"]
	}
	buyer, err := envelope.GenerateSigner(envelope.RoleBuyer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bom.SignModel(&p, buyer); !errors.Is(err, envelope.ErrRole) {
		t.Errorf("by a buyer: %v", err)
	}
}
