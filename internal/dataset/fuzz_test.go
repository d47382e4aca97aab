// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// FuzzCSV: what the scanner accepts, encoding/csv reads as records of the header's width, in the same number.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a\n\"x\ny\"\n", "a,b\r\n\"1\",\"\"\"\"\r\n", "a,b\n1", "a\n\n1\n", "a,b\n,\n", "a\n\"\"\r", "\"", "a\r\r\nb\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		got, starts, err := csvRecords(src)
		if err != nil {
			return
		}
		if got != src {
			t.Fatal("the stream differs from the source")
		}
		r := csv.NewReader(strings.NewReader(src))
		all, err := r.ReadAll() // FieldsPerRecord 0: all as wide as the first
		if err != nil {
			t.Fatalf("encoding/csv refuses what was accepted: %v", err)
		}
		if len(all) != len(starts)+1 {
			t.Fatalf("%d records, encoding/csv has %d", len(starts), len(all)-1)
		}
	})
}

// FuzzJSONL: records are the lines, each valid JSON, and the stream is the source.
func FuzzJSONL(f *testing.F) {
	for _, s := range []string{"1\n2\n", "{\"a\":[1,2]}\n", "\"x\"", "\n", "1\r\n", "{\n}\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		got, starts, err := collect(func(out emit) error { return scanJSONL(strings.NewReader(src), out) })
		if err != nil {
			return
		}
		if got != src {
			t.Fatal("the stream differs from the source")
		}
		d, n := json.NewDecoder(strings.NewReader(src)), 0
		for ; ; n++ {
			var v any
			if err := d.Decode(&v); errors.Is(err, io.EOF) {
				break
			} else if err != nil && !strings.Contains(err.Error(), "range") {
				t.Fatalf("not JSON: %v", err)
			}
		}
		if n != len(starts) {
			t.Fatalf("%d records, %d JSON values", len(starts), n)
		}
	})
}

// FuzzBatch: a batch decodes to exactly the length its header states, in bounded memory, or not at all.
func FuzzBatch(f *testing.F) {
	enc, err := newBatchEncoder(MaxBatchBytes)
	if err != nil {
		f.Fatal(err)
	}
	for _, raw := range [][]byte{[]byte("a"), bytes.Repeat([]byte("ab"), 5000), labelled("x", 3000)} {
		f.Add(bytes.Clone(enc.encode(raw, 1)))
	}
	dec, err := newBatchDecoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseBatchHeader(b)
		if err != nil || len(b) < batchHeader+h.packed {
			return
		}
		out, err := dec.decode(nil, h, b[batchHeader:batchHeader+h.packed])
		if err == nil && (len(out) != h.raw || len(out) > MaxBatchBytes || h.records > h.raw) {
			t.Fatalf("%d bytes and %d records for a header of %d", len(out), h.records, h.raw)
		}
	})
}

// FuzzSegment: no ciphertext but the sealed one opens.
func FuzzSegment(f *testing.F) {
	vectors := loadVectors(f, "dataset/cobblestone-*.txt")
	for _, v := range vectors {
		b, err := base64.StdEncoding.DecodeString(string(v.body))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	k, err := KeyFromBytes(bytes.Repeat([]byte{5}, KeySize))
	if err != nil {
		f.Fatal(err)
	}
	c := segmentContext(ID{9}, 1, 0)
	sealed := sealAll(f, k, make([]byte, saltSize), c, []byte("the only plaintext"))
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, b []byte) {
		plain, err := openAll(k, c, b)
		if bytes.Equal(b, sealed) != (err == nil) {
			t.Fatalf("opened %x: %v", plain, err)
		}
	})
}

// FuzzHost: whatever one changed byte or length the host answers with, a stream delivers a prefix of the owner's records.
func FuzzHost(f *testing.F) {
	src := bigCSV(300_000)
	fx := &fixture{}
	f.Add(uint8(0), int64(0), uint8(1))
	f.Add(uint8(1), int64(70_000), uint8(0))
	f.Add(uint8(9), int64(31), uint8(255))
	var p *Packed
	f.Fuzz(func(t *testing.T, blob uint8, at int64, flip uint8) {
		if p == nil {
			fx = newFixture(t)
			p = fx.pack(fx.config(FormatCSV, src))
			held := memBlobs{}
			for _, d := range blobsOf(p.Manifest) {
				held[d] = whole(t, fx.store, d)
			}
			memory = held
		}
		all := blobsOf(p.Manifest)
		d := all[int(blob)%len(all)]
		h := changedBlob{memory, d, at, flip}
		got, _, err := readAll(t, p.Manifest, h, fx.key)
		if !strings.HasPrefix(src, string(got)) {
			t.Fatal("foreign bytes were delivered")
		}
		if err == nil && len(got) != len(src) {
			t.Fatal("records are missing")
		}
		inside := at >= 0 && at < int64(len(memory[d]))
		if inside && err == nil {
			t.Fatalf("changed byte %d of %d by %#x unnoticed", at, len(memory[d]), flip)
		}
		if !inside && err != nil {
			t.Fatalf("honest host refused: %v", err)
		}
	})
}

// memory holds the blobs of FuzzHost's package.
var memory memBlobs

func blobsOf(m *Manifest) []envelope.Digest {
	return m.Blobs()
}

// changedBlob flips bits of one byte of one blob; with no bit to flip it cuts the blob there.
type changedBlob struct {
	memBlobs
	d    envelope.Digest
	at   int64
	flip uint8
}

func (c changedBlob) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	n, err := c.memBlobs.ReadAt(ctx, d, p, off)
	if d != c.d || c.at < off || c.at >= off+int64(n) {
		return n, err
	}
	if c.flip == 0 {
		return int(c.at - off), io.EOF
	}
	p[c.at-off] ^= c.flip
	return n, err
}

// FuzzManifest: no bytes but those the owner signed verify, and what verifies is valid and re-encodes to itself.
func FuzzManifest(f *testing.F) {
	vectors := loadVectors(f, "manifest/*.txt")
	for _, v := range vectors {
		f.Add(v.body)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Verify(b)
		if err != nil {
			return
		}
		if err := v.Predicate.Validate(); err != nil {
			t.Fatal(err)
		}
		_, payload, _, err := envelope.Parts(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := envelope.Canonical(v.Statement)
		if err != nil || !bytes.Equal(again, payload) {
			t.Fatalf("re-encodes to other bytes (%v)", err)
		}
	})
}
