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
}

func (v packageVector) ReadAt(_ context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	b, ok := v.Blobs[d]
	if !ok {
		return 0, ErrNoBlob
	}
	return bytes.NewReader(b).ReadAt(p, off)
}

func (v packageVector) Size(_ context.Context, d envelope.Digest) (int64, error) {
	return int64(len(v.Blobs[d])), nil
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

// openVector reads the whole stream within the leaves that the vector permits.
func openVector(t *testing.T, v vector, p packageVector) ([]byte, error) {
	k, err := KeyFromBytes(v.hex(t, "key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenStream(t.Context(), &p.Manifest, p, k, StreamOptions{Count: v.int(t, "leaves")})
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
		v := packageVector{*p.Manifest, map[envelope.Digest][]byte{}}
		v.Manifest.Segments = append([]Segment{}, v.Manifest.Segments...)
		for _, d := range blobsOf(p.Manifest) {
			v.Blobs[d] = whole(t, f.store, d)
		}
		key, leaves := bytes.Clone(f.key.Bytes()), v.Manifest.Tree.Size
		if c.change != nil {
			c.change(&v, key, &leaves)
		}
		v.Manifest.Metadata.Distribution = v.Manifest.distribution()
		body, err := envelope.Canonical(v)
		if err != nil {
			t.Fatal(err)
		}
		head := fmt.Sprintf("expect: %s\ncomment: %s\ndo: %s\n", c.expect, c.comment, c.do)
		if c.do == "open" {
			head += fmt.Sprintf("key: %s\nleaves: %d\n", hex.EncodeToString(key), leaves)
		}
		if c.expect == "ok" {
			head += "plaintext-sha256: " + envelope.Sum([]byte(src.String())).Hex() + "\n"
		}
		path := filepath.Join("..", "..", "testdata", "vectors", "dataset", "package-"+c.name+".txt")
		if err := os.WriteFile(path, []byte(head+"\n"+string(body)+"\n"), 0o644); err != nil { //nolint:gosec // a public test vector
			t.Fatal(err)
		}
	}
}

type packageCase struct {
	name, expect, do, comment string
	change                    func(v *packageVector, key []byte, leaves *int64)
}

// packageCases depart from one package of several segments of a leaf each.
func packageCases() []packageCase {
	segment := func(v *packageVector, i int) *Segment { return &v.Manifest.Segments[i] }
	level := func(v *packageVector) []byte { return v.Blobs[v.Manifest.Tree.Levels[0]] }
	return []packageCase{
		{"valid-open", "ok", "open", "a package of several segments", nil},
		{"valid-verify", "ok", "verify", "the same package, without the key", nil},
		{"truncated-open", "truncated", "open", "the second segment lacks its last byte", func(v *packageVector, _ []byte, _ *int64) {
			d := segment(v, 1).Blob
			v.Blobs[d] = v.Blobs[d][:len(v.Blobs[d])-1]
		}},
		{"truncated-verify", "truncated", "verify", "the hashes of level 0 lack their last byte", func(v *packageVector, _ []byte, _ *int64) {
			d := v.Manifest.Tree.Levels[0]
			v.Blobs[d] = v.Blobs[d][:len(v.Blobs[d])-1]
		}},
		{"blob-longer", "blob", "verify", "a byte follows the first segment", func(v *packageVector, _ []byte, _ *int64) {
			d := segment(v, 0).Blob
			v.Blobs[d] = append(v.Blobs[d], 0)
		}},
		{"blob-digest", "blob", "verify", "the leaves are in the tree, but the blob has another digest", func(v *packageVector, _ []byte, _ *int64) {
			other := envelope.Sum([]byte("another"))
			v.Blobs[other] = v.Blobs[segment(v, 1).Blob]
			delete(v.Blobs, segment(v, 1).Blob)
			segment(v, 1).Blob = other
		}},
		{"leaf-open", "leaf", "open", "one bit of the second segment is flipped", func(v *packageVector, _ []byte, _ *int64) {
			v.Blobs[segment(v, 1).Blob][headerSize] ^= 1
		}},
		{"leaf-verify", "leaf", "verify", "one bit of the second segment is flipped", func(v *packageVector, _ []byte, _ *int64) {
			v.Blobs[segment(v, 1).Blob][headerSize] ^= 1
		}},
		{"proof-open", "proof", "open", "one bit of the last leaf's hash is flipped", func(v *packageVector, _ []byte, _ *int64) {
			level(v)[len(level(v))-1] ^= 1
		}},
		{"proof-verify", "proof", "verify", "leaves and hashes agree, but the manifest has another root", func(v *packageVector, _ []byte, _ *int64) {
			v.Manifest.Tree.Root = envelope.Sum([]byte("another"))
		}},
		{"range", "range", "open", "only the first leaf is permitted", func(_ *packageVector, _ []byte, leaves *int64) { *leaves = 1 }},
		{"key", "key", "open", "another data key", func(_ *packageVector, key []byte, _ *int64) { key[0] ^= 1 }},
		{"discrepant-more", "discrepant", "open", "the first segment has a record more than the manifest says", func(v *packageVector, _ []byte, _ *int64) {
			segment(v, 0).Records--
			v.Manifest.Records--
		}},
		{"discrepant-fewer", "discrepant", "open", "the first segment has a record fewer than the manifest says", func(v *packageVector, _ []byte, _ *int64) {
			segment(v, 0).Records++
			v.Manifest.Records++
		}},
	}
}
