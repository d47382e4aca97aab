// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

var update = flag.Bool("update", false, "write the manifest vectors anew")

// vector is a file of header lines, a blank line and a body.
type vector struct {
	name   string
	header map[string]string
	body   []byte
}

// loadVectors reads every vector whose name matches; finding none fails the test.
func loadVectors(t testing.TB, pattern string) []vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "vectors", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors match %s: %v", pattern, err)
	}
	var out []vector
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		head, body, ok := bytes.Cut(b, []byte("\n\n"))
		v := vector{strings.TrimSuffix(filepath.Base(f), ".txt"), map[string]string{}, bytes.TrimSpace(body)}
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

func (v vector) hex(t testing.TB, k string) []byte {
	t.Helper()
	b, err := hex.DecodeString(v.header[k])
	if err != nil {
		t.Fatalf("%s: %s: %v", v.name, k, err)
	}
	return b
}

func (v vector) int(t testing.TB, k string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(v.header[k], 10, 64)
	if err != nil {
		t.Fatalf("%s: %s: %v", v.name, k, err)
	}
	return n
}

// labelled is the vectors' plaintext: SHA-256(label ‖ counter), concatenated and cut.
func labelled(label string, n int64) []byte {
	var out []byte
	for i := uint64(0); int64(len(out)) < n; i++ {
		h := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(label), i))
		out = append(out, h[:]...)
	}
	return out[:n]
}

// sealAll is a whole Cobblestone-256 message, made as segmentWriter makes it.
func sealAll(t testing.TB, k Key, salt, context, plain []byte) []byte {
	t.Helper()
	m, err := deriveMessage(k, salt, context)
	if err != nil {
		t.Fatal(err)
	}
	out := append(append([]byte{}, salt...), m.commitment[:]...)
	for i := int64(0); ; i++ {
		n := min(len(plain), chunkSize)
		out, plain = m.seal(out, i, plain[:n]), plain[n:]
		if n < chunkSize {
			return out
		}
	}
}

// deriveMessage derives one message.
func deriveMessage(k Key, salt, context []byte) (*message, error) {
	m, d := &message{}, deriver{}
	return m, d.derive(m, k, salt, context)
}

// openAll opens a whole message.
func openAll(k Key, context, sealed []byte) (out []byte, err error) {
	m, d := &message{}, deriver{}
	if err := d.open(m, k, sealed[:min(len(sealed), headerSize)], context); err != nil {
		return nil, err
	}
	if _, err := segmentLeaves(int64(len(sealed))); err != nil {
		return nil, err
	}
	sealed = sealed[headerSize:]
	for i := int64(0); ; i++ {
		n := min(len(sealed), sealedChunk)
		if out, err = m.open(out, i, sealed[:n], n == len(sealed)); err != nil || n == len(sealed) {
			return out, err
		}
		sealed = sealed[n:]
	}
}

func TestCobblestoneVectors(t *testing.T) {
	want := map[string]error{"key": ErrKey, "chunk": ErrChunk, "truncated": ErrTruncated}
	for _, v := range loadVectors(t, "dataset/cobblestone-*.txt") {
		t.Run(v.name, func(t *testing.T) {
			k, err := KeyFromBytes(v.hex(t, "key"))
			if err != nil {
				t.Fatal(err)
			}
			body, err := base64.StdEncoding.DecodeString(string(v.body))
			if err != nil {
				t.Fatal(err)
			}
			if v.header["expect"] == "ok" {
				checkVector(t, v, k, body)
				return
			}
			sentinel := want[v.header["expect"]]
			if _, err := openAll(k, v.hex(t, "context"), body); sentinel == nil || !errors.Is(err, sentinel) || !errors.Is(err, ErrIntegrity) {
				t.Fatalf("got %v, want %s", err, v.header["expect"])
			}
		})
	}
}

// checkVector seals and opens what an independent implementation sealed.
func checkVector(t *testing.T, v vector, k Key, body []byte) {
	context := v.hex(t, "context")
	if v.header["dataset"] != "" {
		got := segmentContext(ID(v.hex(t, "dataset")), v.int(t, "version"), v.int(t, "index"))
		if !bytes.Equal(got, context) {
			t.Fatalf("context is %x, want %x", got, context)
		}
	}
	plain := labelled(v.header["plaintext-label"], v.int(t, "plaintext-bytes"))
	sealed := sealAll(t, k, v.hex(t, "salt"), context, plain)
	if int64(len(sealed)) != v.int(t, "ciphertext-bytes") || envelope.Sum(sealed).Hex() != v.header["ciphertext-sha256"] {
		t.Fatal("sealed bytes differ from the vector's")
	}
	if len(body) > 0 && !bytes.Equal(body, sealed) {
		t.Fatal("body differs from its digest")
	}
	got, err := openAll(k, context, sealed)
	if err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("open: %v", err)
	}
}

func TestTreeVectors(t *testing.T) {
	for _, v := range loadVectors(t, "dataset/tree-*.txt") {
		tree, _ := buildTree(v.int(t, "size"))
		if tree.Root.Hex() != v.header["root"] {
			t.Errorf("%s: root %s", v.name, tree.Root.Hex())
		}
		var levels []string
		for _, d := range tree.Levels {
			levels = append(levels, d.Hex())
		}
		if strings.Join(levels, "\n") != string(v.body) {
			t.Errorf("%s: levels %v", v.name, levels)
		}
	}
}

func TestBatchVectors(t *testing.T) {
	if *update {
		writeBatchVectors(t)
	}
	dec, err := newBatchDecoder()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range loadVectors(t, "dataset/batch-*.txt") {
		body, err := hex.DecodeString(string(v.body))
		if err != nil {
			t.Fatal(err)
		}
		var raw []byte
		h, err := parseBatchHeader(body)
		if err == nil {
			raw, err = dec.decode(nil, h, body[batchHeader:])
		}
		switch {
		case v.header["expect"] == "ok" && (err != nil || string(raw) != v.header["raw"] || int64(h.records) != v.int(t, "records")):
			t.Errorf("%s: %q, %v", v.name, raw, err)
		case v.header["expect"] == "batch" && !errors.Is(err, ErrBatch):
			t.Errorf("%s: %v, want ErrBatch", v.name, err)
		}
	}
}

func writeBatchVectors(t *testing.T) {
	enc, err := newBatchEncoder(MaxBatchBytes)
	if err != nil {
		t.Fatal(err)
	}
	const raw = "one record, two records"
	good := bytes.Clone(enc.encode([]byte(raw), 2))
	write := func(name, expect, comment string, change func(b []byte)) {
		b := bytes.Clone(good)
		change(b)
		head := "expect: " + expect + "\ncomment: " + comment + "\n"
		if expect == "ok" {
			head += "raw: " + raw + "\nrecords: 2\n"
		}
		path := filepath.Join("..", "..", "testdata", "vectors", "dataset", "batch-"+name+".txt")
		if err := os.WriteFile(path, []byte(head+"\n"+hex.EncodeToString(b)+"\n"), 0o644); err != nil { //nolint:gosec // a public test vector
			t.Fatal(err)
		}
	}
	write("valid", "ok", "two records in one zstd frame", func([]byte) {})
	write("raw-zero", "batch", "states no raw bytes", func(b []byte) { b[3] = 0 })
	write("raw-enormous", "batch", "states more raw bytes than a batch may have", func(b []byte) { b[0] = 0x80 })
	write("raw-differs", "batch", "the frame expands to fewer bytes", func(b []byte) { b[3]++ })
	write("packed-enormous", "batch", "states more compressed bytes than raw ones can need", func(b []byte) { b[5] = 9 })
	write("records-enormous", "batch", "states more records than bytes", func(b []byte) { b[8] = 1 })
	write("frame-garbage", "batch", "not a zstd frame", func(b []byte) { clear(b[batchHeader:]) })
}
