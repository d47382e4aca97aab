// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha512"
	"errors"
	"fmt"
	"testing"
)

func TestSegmentLeaves(t *testing.T) {
	for _, plain := range []int64{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 4*chunkSize - 1, 4 * chunkSize, 4*chunkSize + 1, 8 * chunkSize, 1 << 30} {
		chunks := plain/chunkSize + 1
		sealed := headerSize + plain + chunks*tagSize
		n, err := segmentLeaves(sealed)
		if err != nil || n != (chunks+3)/4 {
			t.Errorf("%d plain bytes: %d leaves, %v", plain, n, err)
		}
		var total int64
		for i := range n {
			off, length := leafSpan(sealed, i)
			if off != total || length < tagSize || length > maxLeaf {
				t.Errorf("%d plain bytes: leaf %d is [%d, +%d), want it at %d", plain, i, off, length, total)
			}
			total += int64(length)
		}
		if total != sealed {
			t.Errorf("%d plain bytes: leaves cover %d of %d", plain, total, sealed)
		}
	}
	for _, n := range []int64{-1 << 62, -1, 0, headerSize - 1, headerSize, headerSize + tagSize - 1, headerSize + sealedChunk, headerSize + sealedChunk + 15, 1<<63 - 1 - headerSize} {
		if got, err := segmentLeaves(n); err == nil && n < 1<<62 {
			t.Errorf("length %d gives %d leaves, want an error", n, got)
		}
	}
}

// TestSegmentWriterMatchesOneShot: the streaming writer makes the one message that the specification allows.
func TestSegmentWriterMatchesOneShot(t *testing.T) {
	f := newFixture(t)
	salt := bytes.Repeat([]byte{7}, saltSize)
	for _, n := range []int64{1, chunkSize, chunkSize + 1, 4 * chunkSize, 4*chunkSize + 1, 200_000} {
		plain := labelled(fmt.Sprint(n), n)
		var leaves treeBuilder
		leaves.sink = discardHashes
		w, err := newSegmentWriter(t.Context(), f.store, &sealer{onLeaf: leaves.add}, f.key, salt, ID{1}, Segment{Version: 2, Index: 3})
		if err != nil {
			t.Fatal(err)
		}
		for rest := plain; len(rest) > 0; {
			m := min(len(rest), 10_007)
			if _, err := w.Write(rest[:m]); err != nil {
				t.Fatal(err)
			}
			rest = rest[m:]
		}
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
		seg, err := w.Wait()
		if err != nil {
			t.Fatal(err)
		}
		want := sealAll(t, f.key, salt, segmentContext(ID{1}, 2, 3), append(plain, make([]byte, padme(n)-n)...))
		if int64(len(want)) != sealedSize(padme(n)) || plainSize(int64(len(want))) != padme(n) {
			t.Errorf("%d bytes: %d sealed, computed %d", n, len(want), sealedSize(padme(n)))
		}
		got := make([]byte, seg.Bytes)
		if err := readFull(context.Background(), f.store, seg.Blob, got, 0); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: sealed differently (%v)", n, err)
		}
		if seg.Leaves != leaves.size {
			t.Errorf("%d leaves, tree has %d", seg.Leaves, leaves.size)
		}
	}
}

// TestSegmentMoved: a segment opens only in its own dataset, version and position.
func TestSegmentMoved(t *testing.T) {
	k, salt := NewKey(), bytes.Repeat([]byte{1}, saltSize)
	sealed := sealAll(t, k, salt, segmentContext(ID{1}, 1, 0), []byte("secret"))
	for name, c := range map[string][]byte{
		"dataset": segmentContext(ID{2}, 1, 0), "version": segmentContext(ID{1}, 2, 0), "index": segmentContext(ID{1}, 1, 1),
		"none": nil, "swapped": segmentContext(ID{1}, 0, 1),
	} {
		if _, err := openAll(k, c, sealed); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v, want ErrKey", name, err)
		}
	}
}

// TestChunksMoved: inside one message, chunks cannot be swapped, repeated or left out.
func TestChunksMoved(t *testing.T) {
	k, salt, c := NewKey(), bytes.Repeat([]byte{1}, saltSize), segmentContext(ID{1}, 1, 0)
	sealed := sealAll(t, k, salt, c, labelled("x", 3*chunkSize+100))
	head, chunk := sealed[:headerSize], func(i int) []byte {
		return sealed[headerSize+i*sealedChunk : min(headerSize+(i+1)*sealedChunk, len(sealed))]
	}
	join := func(p ...[]byte) []byte { return bytes.Join(p, nil) }
	for name, b := range map[string][]byte{
		"swapped":  join(head, chunk(1), chunk(0), chunk(2), chunk(3)),
		"repeated": join(head, chunk(0), chunk(0), chunk(2), chunk(3)),
		"dropped":  join(head, chunk(0), chunk(2), chunk(3)),
		"inserted": join(head, chunk(0), chunk(1), chunk(1), chunk(2), chunk(3)),
	} {
		if _, err := openAll(k, c, b); !errors.Is(err, ErrChunk) {
			t.Errorf("%s: %v, want ErrChunk", name, err)
		}
	}
	if _, err := openAll(k, c, join(head, chunk(0), chunk(1), chunk(2))); !errors.Is(err, ErrTruncated) {
		t.Errorf("cut: %v, want ErrTruncated", err)
	}
}

// TestDerive: one deriver makes of many keys, salts and contexts what crypto/hkdf makes of each, and allocates nothing but the
// cipher for a key that it had last.
func TestDerive(t *testing.T) {
	var d deriver
	one, two := NewKey(), NewKey()
	for i, k := range []Key{one, one, two, one, two, two} {
		salt, context := bytes.Repeat([]byte{byte(i)}, saltSize), bytes.Repeat([]byte("context"), 50*i)
		want, err := hkdf.Expand(sha512.New, k.Bytes(), suiteInfo+string(salt)+string(context), KeySize+nonceSize+commitmentSize)
		if err != nil {
			t.Fatal(err)
		}
		var m message
		if err := d.derive(&m, k, salt, context); err != nil {
			t.Fatal(err)
		}
		block, err := aes.NewCipher(want[:KeySize])
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.seal(nil, 0, []byte("plain")), aead.Seal(nil, want[KeySize:KeySize+nonceSize], []byte("plain"), nil)) {
			t.Errorf("%d: another key or nonce", i)
		}
		if !bytes.Equal(m.commitment[:], want[KeySize+nonceSize:]) {
			t.Errorf("%d: another commitment", i)
		}
		if d.okm != [len(d.okm)]byte{} {
			t.Errorf("%d: keys are left behind", i)
		}
	}
	var m message
	salt, context := make([]byte, saltSize), segmentContext(ID{1}, 1, 0)
	if n := testing.AllocsPerRun(10, func() {
		if err := d.derive(&m, two, salt, context); err != nil {
			t.Error(err)
		}
	}); n > 2 && !raceDetector {
		t.Errorf("%v allocations, want those of the cipher and its mode", n)
	}
	two.Wipe()
	if err := d.derive(&m, two, salt, context); !errors.Is(err, ErrConfig) {
		t.Errorf("wiped key: %v, want ErrConfig", err)
	}
}

// TestChunkLength: a full chunk is never the last, and a short one always is, whatever else was checked before.
func TestChunkLength(t *testing.T) {
	m, err := deriveMessage(NewKey(), make([]byte, saltSize), nil)
	if err != nil {
		t.Fatal(err)
	}
	full, short := m.seal(nil, 0, make([]byte, chunkSize)), m.seal(nil, 0, make([]byte, 5))
	if _, err := m.open(nil, 0, full, true); !errors.Is(err, ErrTruncated) {
		t.Errorf("full last chunk: %v, want ErrTruncated", err)
	}
	if _, err := m.open(nil, 0, short, false); !errors.Is(err, ErrTruncated) {
		t.Errorf("short chunk in the middle: %v, want ErrTruncated", err)
	}
	for _, chunk := range []int64{-1, maxChunks} {
		if _, err := m.open(nil, chunk, short, true); !errors.Is(err, ErrChunk) {
			t.Errorf("chunk %d: %v, want ErrChunk", chunk, err)
		}
	}
}

func TestKey(t *testing.T) {
	for name, b := range map[string][]byte{"nil": nil, "short": make([]byte, 31), "long": make([]byte, 33), "zero": make([]byte, 32)} {
		if _, err := KeyFromBytes(b); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
	k := NewKey()
	same, err := KeyFromBytes(k.Bytes())
	if err != nil || !bytes.Equal(same.Bytes(), k.Bytes()) {
		t.Fatalf("round trip: %v", err)
	}
	shared := k
	k.Wipe()
	for name, k := range map[string]Key{"wiped": k, "copy of wiped": shared, "zero": {}} {
		if _, err := deriveMessage(k, make([]byte, saltSize), nil); !errors.Is(err, ErrConfig) {
			t.Errorf("%s key derives: %v", name, err)
		}
	}
	if same.usable() != nil {
		t.Error("KeyFromBytes shares memory with its input")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if out := fmt.Sprintf(verb, same); bytes.Contains([]byte(out), fmt.Appendf(nil, "%x", same.Bytes()[:4])) {
			t.Errorf("%s prints the key", verb)
		}
	}
}
