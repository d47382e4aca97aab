// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// packageVector is the body of a vector of a whole package: the predicate of its manifest and what a host serves under
// each digest, whatever it is.
type packageVector struct {
	Manifest Manifest                   `json:"manifest"`
	Blobs    map[envelope.Digest][]byte `json:"blobs"`

	t testing.TB // that writes it
}

func (v packageVector) ReadAt(_ context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	b, ok := v.Blobs[d]
	if !ok {
		return 0, ErrNoBlob
	}
	return bytes.NewReader(b).ReadAt(p, off)
}

func (v packageVector) Size(_ context.Context, d envelope.Digest) (int64, error) {
	b, ok := v.Blobs[d]
	if !ok {
		return 0, ErrNoBlob
	}
	return int64(len(b)), nil
}

func (packageVector) Put(context.Context, io.Reader) (envelope.Digest, int64, error) {
	return envelope.Digest{}, 0, errors.ErrUnsupported
}

// packageErrors are the errors that docs/spec/dataset.md lists, by the names that it and the vectors have for them.
func packageErrors() map[string]error {
	return map[string]error{
		"truncated": ErrTruncated, "blob": ErrBlob, "leaf": ErrLeaf, "proof": ErrProof, "range": ErrRange, "key": ErrKey,
		"chunk": ErrChunk, "batch": ErrBatch, "discrepant": ErrDiscrepant,
	}
}

// TestPackageVectors does with each package what its header says: open it with the key, or verify it without.
func TestPackageVectors(t *testing.T) {
	if *update {
		writePackageVectors(t)
	}
	for _, v := range loadVectors(t, "dataset/package-*.txt") {
		t.Run(v.name, func(t *testing.T) {
			var p packageVector
			if err := json.Unmarshal(v.body, &p); err != nil {
				t.Fatal(err)
			}
			var err error
			var got []byte
			switch v.header["do"] {
			case "open":
				got, err = openVector(t, v, p)
			case "verify":
				err = VerifyBlobs(t.Context(), &p.Manifest, p)
			default:
				t.Fatalf("do %q", v.header["do"])
			}
			switch want, ok := packageErrors()[v.header["expect"]]; {
			case v.header["expect"] == "ok" && (err != nil || v.header["do"] == "open" && envelope.Sum(got).Hex() != v.header["plaintext-sha256"]):
				t.Errorf("%d bytes, %v", len(got), err)
			case v.header["expect"] != "ok" && (!ok || !errors.Is(err, want)):
				t.Errorf("%v, want %s", err, v.header["expect"])
			}
		})
	}
}

// spans reads "first+count" spans of leaves.
func (v vector) spans(t *testing.T) (out []Span) {
	for text := range strings.SplitSeq(v.header["leaves"], ", ") {
		var s Span
		if _, err := fmt.Sscanf(text, "%d+%d", &s.First, &s.Count); err != nil {
			t.Fatalf("leaves %q: %v", text, err)
		}
		out = append(out, s)
	}
	return out
}

// unitKeys reads "unit:key" pairs in hexadecimal.
func (v vector) unitKeys(t *testing.T) map[envelope.Digest]Key {
	out := map[envelope.Digest]Key{}
	for text := range strings.SplitSeq(v.header["unit-keys"], ", ") {
		if text == "" {
			continue
		}
		unit, key, _ := strings.Cut(text, ":")
		id, err := envelope.ParseDigest("sha256:" + unit)
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(key)
		if err != nil {
			t.Fatal(err)
		}
		if out[id], err = KeyFromBytes(b); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// openVector reads the whole stream of the leaves that the vector permits.
func openVector(t *testing.T, v vector, p packageVector) ([]byte, error) {
	k, err := KeyFromBytes(v.hex(t, "key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenStream(t.Context(), &p.Manifest, p, k, StreamOptions{Leaves: v.spans(t), Units: v.unitKeys(t)})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var out []byte
	for int64(len(out)) < s.Size() {
		b, err := s.Batch(t.Context(), int64(len(out)))
		if err != nil {
			return out, err
		}
		out = append(out, b.Raw...)
	}
	return out, nil
}

// TestEveryListedErrorHasVector compares the errors that the spec lists under verification and opening with the vectors.
func TestEveryListedErrorHasVector(t *testing.T) {
	spec, err := os.ReadFile(filepath.Join("..", "..", "docs", "spec", "dataset.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, steps, _ := strings.Cut(string(spec), "\n## Verification without a key\n")
	steps, _, ok := strings.Cut(steps, "\n## Limits\n")
	if !ok {
		t.Fatal("the spec has other sections")
	}
	have := map[string]bool{}
	for _, v := range loadVectors(t, "dataset/*.txt") {
		have[v.header["expect"]] = true
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("\\((`[a-z]+`(?:, `[a-z]+`)*)\\)").FindAllStringSubmatch(steps, -1) {
		for name := range strings.SplitSeq(m[1], ", ") {
			name = strings.Trim(name, "`")
			listed[name] = true
			if !have[name] {
				t.Errorf("no vector expects %s", name)
			}
		}
	}
	for name := range packageErrors() {
		if !listed[name] {
			t.Errorf("the spec does not list %s", name)
		}
	}
}

func writePackageVectors(t *testing.T) {
	f := newFixture(t)
	var err error
	if f.key, err = KeyFromBytes(labelled("package vector key", 32)); err != nil {
		t.Fatal(err)
	}
	var src strings.Builder
	src.WriteString("label,pixels\n")
	for i := range 40 {
		h := sha256.Sum256([]byte{byte(i)})
		fmt.Fprintf(&src, "%d,%x\n", i%10, h)
	}
	cfg := f.config(FormatCSV, src.String())
	cfg.SegmentBytes, cfg.BatchBytes = 1<<10, 512
	p := f.pack(cfg)
	if len(p.Manifest.Segments) < 2 {
		t.Fatalf("%d segments", len(p.Manifest.Segments))
	}
	for _, c := range packageCases() {
		writePackageVector(t, f, p, nil, c, src.String())
	}
	who := newPeople()
	cfg = f.byContributor(who, FormatCSV, src.String(), "label")
	cfg.SegmentBytes, cfg.BatchBytes = 256, 128
	p = f.pack(cfg)
	m := p.Manifest
	one, err := readSpans(t, f, m, who.keys, only(m, 1))
	if err != nil {
		t.Fatal(err)
	}
	all, err := readSpans(t, f, m, who.keys, m.AllLeaves().Leaves)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range unitCases(m) {
		plain := all
		if c.name == "units-one" {
			plain = one
		}
		writePackageVector(t, f, p, who, c, plain)
	}
	next, v := f.next(p, FormatCSV, "")
	next.Source, next.Erase, next.Manifest = nil, true, v.Predicate
	next.Erased = map[envelope.Digest]string{m.Units[1].ID: "key destroyed", m.Units[4].ID: "key destroyed"}
	p = f.pack(next)
	rest, err := readSpans(t, f, p.Manifest, who.keys, p.Manifest.AllLeaves().Leaves)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range erasedCases(p.Manifest) {
		writePackageVector(t, f, p, who, c, rest)
	}
}

// erasedCases depart from a second version, which only erases: what it erases is not in the store.
func erasedCases(m *Manifest) []packageCase {
	return []packageCase{
		{name: "erased-open", expect: "ok", do: "open", comment: "ten contributors, two of them erased in version 2: the records of the others"},
		{name: "erased-verify", expect: "ok", do: "verify", comment: "the same package, without any key and without the blobs of what is erased"},
		{name: "erased-range", expect: "range", do: "open", comment: "all leaves are asked for, those of the erased too", spans: []Span{{0, m.Tree.Size}}},
		{name: "erased-hash", expect: "proof", do: "verify", comment: "one bit of the hash of an erased leaf is flipped", change: func(v *packageVector, _ []byte) {
			v.Blobs[v.Manifest.Tree.Levels[0]][m.ErasedLeaves()[0].First*sha256.Size] ^= 1
		}},
		{name: "erased-other", expect: "leaf", do: "verify", comment: "the store has something else under the digest of an erased segment", change: func(v *packageVector, _ []byte) {
			g := &m.Segments[m.Tombstones[0].First]
			v.Blobs[g.Blob] = make([]byte, g.Bytes)
		}},
	}
}

// writePackageVector writes what c makes of a package.
func writePackageVector(t *testing.T, f *fixture, p *Packed, who *people, c packageCase, plain string) {
	v := packageVector{*p.Manifest, map[envelope.Digest][]byte{}, t}
	v.Manifest.Segments = append([]Segment{}, v.Manifest.Segments...)
	v.Manifest.Indexes = append([]Index{}, v.Manifest.Indexes...)
	for _, d := range blobsOf(p.Manifest) {
		v.Blobs[d] = whole(t, f.store, d)
	}
	key, spans := bytes.Clone(f.key.Bytes()), p.Manifest.AllLeaves().Leaves
	if c.change != nil {
		c.change(&v, key)
	}
	if c.spans != nil {
		spans = c.spans
	}
	v.Manifest.Metadata.Distribution = v.Manifest.distribution()
	body, err := envelope.Canonical(v)
	if err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("expect: %s\ncomment: %s\ndo: %s\n", c.expect, c.comment, c.do)
	if c.do == "open" {
		var list, keys []string
		for _, s := range spans {
			list = append(list, fmt.Sprintf("%d+%d", s.First, s.Count))
		}
		head += fmt.Sprintf("key: %s\nleaves: %s\n", hex.EncodeToString(key), strings.Join(list, ", "))
		for i, u := range v.Manifest.Units {
			k := who.keys[v.Manifest.Units[(i+c.shift)%len(v.Manifest.Units)].ID]
			keys = append(keys, u.ID.Hex()+":"+hex.EncodeToString(k.Bytes()))
		}
		if len(keys) > 0 {
			head += "unit-keys: " + strings.Join(keys, ", ") + "\n"
		}
	}
	if c.expect == "ok" {
		head += "plaintext-sha256: " + envelope.Sum([]byte(plain)).Hex() + "\n"
	}
	path := filepath.Join("..", "..", "testdata", "vectors", "dataset", "package-"+c.name+".txt")
	if err := os.WriteFile(path, []byte(head+"\n"+string(body)+"\n"), 0o644); err != nil { //nolint:gosec // a public test vector
		t.Fatal(err)
	}
}

// unitCases depart from a package by contributor, whose units have several segments of a leaf each.
func unitCases(m *Manifest) []packageCase {
	one := only(m, 1)
	cut := []Span{{0, 1}, {m.Units[1].First, m.Units[1].Count - 1}}
	return []packageCase{
		{name: "units-all", expect: "ok", do: "open", comment: "a package of ten contributors, all of them granted"},
		{name: "units-one", expect: "ok", do: "open", comment: "the same package, of which one contributor is granted: the header and her records", spans: one},
		{name: "units-verify", expect: "ok", do: "verify", comment: "the same package, without any key"},
		{name: "range", expect: "range", do: "open", comment: "a contributor's records without the last segment of them", spans: cut},
		{name: "range-beyond", expect: "range", do: "open", comment: "a leaf more than the tree has", spans: []Span{{0, m.Tree.Size + 1}}},
		{name: "unit-key", expect: "key", do: "open", comment: "each unit with the key of the next", shift: 1},
	}
}

// reindex seals the index of version 1 anew, padding and all, as change leaves it.
func (v *packageVector) reindex(key []byte, change func(plain []byte)) {
	k, err := KeyFromBytes(key)
	if err != nil {
		v.t.Fatal(err)
	}
	sub, err := indexKey(k)
	if err != nil {
		v.t.Fatal(err)
	}
	x, c := &v.Manifest.Indexes[0], indexContext(v.Manifest.Dataset, 1)
	plain, err := openAll(sub, c, v.Blobs[x.Blob])
	if err != nil {
		v.t.Fatal(err)
	}
	change(plain)
	sealed := sealAll(v.t, sub, labelled("salt of another index", saltSize), c, plain)
	x.Blob = envelope.Sum(sealed)
	v.Blobs[x.Blob] = sealed
}

type packageCase struct {
	name, expect, do, comment string
	change                    func(v *packageVector, key []byte)
	spans                     []Span // nil: all
	shift                     int    // of unit keys
}

// packageCases depart from one package of several segments of a leaf each.
func packageCases() []packageCase {
	segment := func(v *packageVector, i int) *Segment { return &v.Manifest.Segments[i] }
	level := func(v *packageVector) []byte { return v.Blobs[v.Manifest.Tree.Levels[0]] }
	index := func(change func(v *packageVector, headers []byte)) func(v *packageVector, key []byte) {
		return func(v *packageVector, key []byte) { v.reindex(key, func(h []byte) { change(v, h) }) }
	}
	return []packageCase{
		{name: "index-outside", expect: "discrepant", do: "open", comment: "the index has the last batch of the first segment beyond its end", change: index(func(v *packageVector, headers []byte) {
			headers[(segment(v, 0).Batches-1)*batchHeader+6]++
		})},
		{name: "index-records", expect: "discrepant", do: "open", comment: "the index moves a record from the first segment to the second", change: index(func(v *packageVector, headers []byte) {
			headers[11]--
			headers[segment(v, 0).Batches*batchHeader+11]++
		})},
		{name: "index-raw", expect: "discrepant", do: "open", comment: "the index has other lengths than the batches of the first segment, and the same sum", change: index(func(_ *packageVector, headers []byte) {
			headers[3]--
			headers[batchHeader+3]++
		})},
		{name: "index-enormous", expect: "discrepant", do: "open", comment: "the index has a batch of 4 GiB", change: index(func(_ *packageVector, headers []byte) {
			copy(headers, "\xff\xff\xff\xff")
		})},
		{name: "index-padding", expect: "discrepant", do: "open", comment: "the index's padding is not zero", change: index(func(_ *packageVector, headers []byte) {
			headers[len(headers)-1] = 1
		})},
		{name: "index-digest", expect: "blob", do: "open", comment: "the index is sealed with another salt than the one that the manifest names", change: func(v *packageVector, key []byte) {
			was := v.Manifest.Indexes[0].Blob
			v.reindex(key, func([]byte) {})
			v.Blobs[was] = v.Blobs[v.Manifest.Indexes[0].Blob]
			v.Manifest.Indexes[0].Blob = was
		}},
		{name: "index-flipped", expect: "chunk", do: "open", comment: "one bit of the index is flipped", change: func(v *packageVector, _ []byte) {
			v.Blobs[v.Manifest.Indexes[0].Blob][headerSize] ^= 1
		}},
		{name: "index-truncated", expect: "truncated", do: "verify", comment: "the index lacks its last byte", change: func(v *packageVector, _ []byte) {
			d := v.Manifest.Indexes[0].Blob
			v.Blobs[d] = v.Blobs[d][:len(v.Blobs[d])-1]
		}},
		{name: "valid-open", expect: "ok", do: "open", comment: "a package of several segments"},
		{name: "valid-verify", expect: "ok", do: "verify", comment: "the same package, without the key"},
		{name: "truncated-open", expect: "truncated", do: "open", comment: "the second segment lacks its last byte", change: func(v *packageVector, _ []byte) {
			d := segment(v, 1).Blob
			v.Blobs[d] = v.Blobs[d][:len(v.Blobs[d])-1]
		}},
		{name: "truncated-verify", expect: "truncated", do: "verify", comment: "the hashes of level 0 lack their last byte", change: func(v *packageVector, _ []byte) {
			d := v.Manifest.Tree.Levels[0]
			v.Blobs[d] = v.Blobs[d][:len(v.Blobs[d])-1]
		}},
		{name: "blob-longer", expect: "blob", do: "verify", comment: "a byte follows the first segment", change: func(v *packageVector, _ []byte) {
			d := segment(v, 0).Blob
			v.Blobs[d] = append(v.Blobs[d], 0)
		}},
		{name: "blob-digest", expect: "blob", do: "verify", comment: "the leaves are in the tree, but the blob has another digest", change: func(v *packageVector, _ []byte) {
			other := envelope.Sum([]byte("another"))
			v.Blobs[other] = v.Blobs[segment(v, 1).Blob]
			delete(v.Blobs, segment(v, 1).Blob)
			segment(v, 1).Blob = other
		}},
		{name: "leaf-open", expect: "leaf", do: "open", comment: "one bit of the second segment is flipped", change: func(v *packageVector, _ []byte) {
			v.Blobs[segment(v, 1).Blob][headerSize] ^= 1
		}},
		{name: "leaf-verify", expect: "leaf", do: "verify", comment: "one bit of the second segment is flipped", change: func(v *packageVector, _ []byte) {
			v.Blobs[segment(v, 1).Blob][headerSize] ^= 1
		}},
		{name: "proof-open", expect: "proof", do: "open", comment: "one bit of the last leaf's hash is flipped", change: func(v *packageVector, _ []byte) {
			level(v)[len(level(v))-1] ^= 1
		}},
		{name: "proof-verify", expect: "proof", do: "verify", comment: "leaves and hashes agree, but the manifest has another root", change: func(v *packageVector, _ []byte) {
			v.Manifest.Tree.Root = envelope.Sum([]byte("another"))
		}},
		{name: "key", expect: "key", do: "open", comment: "another data key", change: func(_ *packageVector, key []byte) { key[0] ^= 1 }},
		{name: "discrepant-more", expect: "discrepant", do: "open", comment: "the first segment has a record more than the manifest says", change: func(v *packageVector, _ []byte) {
			segment(v, 0).Records--
			v.Manifest.Records--
		}},
		{name: "discrepant-fewer", expect: "discrepant", do: "open", comment: "the first segment has a record fewer than the manifest says", change: func(v *packageVector, _ []byte) {
			segment(v, 0).Records++
			v.Manifest.Records++
		}},
	}
}
