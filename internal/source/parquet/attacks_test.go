// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/compress"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// attack is a file that somebody gave the creator, and what is said of it.
type attack struct {
	file []byte
	want error
}

// attacked reads such files, and bounds what is allocated: sums, not peaks, so that a test cannot be lucky.
func attacked(t *testing.T, files map[string]attack, most uint64) {
	t.Helper()
	if len(files) == 0 {
		t.Fatal("no files")
	}
	for name, a := range files {
		path := filepath.Join(t.TempDir(), "x.parquet")
		if err := os.WriteFile(path, a.file, 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := text(t, path, Options{})
		runtime.ReadMemStats(&after)
		if !errors.Is(err, a.want) || a.want == source.ErrLimit && errors.Is(err, source.ErrCorrupt) {
			t.Errorf("%s: %v, want %v", name, err, a.want)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > most {
			t.Errorf("%s: a file of %d bytes took %d MB", name, len(a.file), n>>20)
		}
	}
}

func zigzag(b []byte, v int64) []byte { return binary.AppendUvarint(b, uint64(v<<1^v>>63)) }

// named is an element of a schema: of a group, or an INT32 that is required.
func named(name string, children int64, more ...byte) []byte {
	b := []byte{0x35, 0, 0x18}
	if children == 0 {
		b = []byte{0x15, 2, 0x25, 0, 0x18}
	}
	b = append(binary.AppendUvarint(b, uint64(len(name))), name...)
	if children > 0 {
		b = zigzag(append(b, 0x15), children)
	}
	return append(append(b, more...), 0)
}

// footerOf is one without rows.
func footerOf(elements ...[]byte) []byte {
	b := binary.AppendUvarint([]byte{0x15, 2, 0x19, 0xfc}, uint64(len(elements)))
	b = append(b, bytes.Join(elements, nil)...)
	return append(b, 0x16, 0, 0x19, 0x0c, 0)
}

// column1 is a file of one required column "a": its type, the codec, and pages that have so many values.
func column1(typ, codec, values int64, pages ...[]byte) []byte {
	all := bytes.Join(pages, nil)
	size := int64(len(all))
	meta := zigzag([]byte{0x15}, typ)
	meta = append(meta, 0x19, 0x15, 0, 0x19, 0x18, 1, 'a')
	for i, v := range []int64{codec, values, size, size, 4} {
		meta = zigzag(append(meta, []byte{0x15, 0x16, 0x16, 0x16, 0x26}[i]), v)
	}
	group := append(zigzag([]byte{0x19, 0x1c, 0x26}, 4), 0x1c)
	group = append(append(group, meta...), 0, 0)
	group = append(zigzag(append(zigzag(append(group, 0x16), size), 0x16), values), 0)
	foot := append([]byte{0x15, 2, 0x19, 0x2c}, named("schema", 1)...)
	foot = append(zigzag(append(foot, 0x15), typ), 0x25, 0, 0x18, 1, 'a', 0)
	foot = append(zigzag(append(foot, 0x16), values), 0x19, 0x1c)
	foot = append(append(foot, group...), 0)
	return append(append([]byte("PAR1"), all...), raw(foot, "PAR1")[4:]...)
}

// pageWith is a data page of version 1.
func pageWith(rawLen, values int64, encoding byte, packed []byte) []byte {
	b := pageHeader(rawLen, int64(len(packed)), values)
	b[len(b)-7] = encoding << 1
	return append(b, packed...)
}

// saidTwice are files whose metadata means one thing to who checks it and another to Thrift's readers.
func saidTwice() map[string]attack {
	one := func(e []byte) attack { return attack{raw(footerOf(e, named("a", 0)), "PAR1"), source.ErrCorrupt} }
	long := func(id int64, kind byte) []byte { return zigzag([]byte{kind}, id) }
	page := zigzag(append(zigzag([]byte{0x15, 0, 0x15}, 1<<30), 0x06, 4), 10) // its length, then again as an i64
	return map[string]attack{
		"children, then as another type":     one(named("schema", 1<<31-1, 0x06, 10, 2)),
		"children, then again":               one(named("schema", 1<<31-1, append(long(5, 5), 2)...)),
		"children as another type":           one([]byte{0x35, 0, 0x18, 1, 's', 0x16, 2, 0}),
		"a field before the one before":      one(named("schema", 1, append(long(1, 5), 2)...)),
		"a field whose number is cut":        one(named("schema", 1, append(long(65541, 5), 2)...)),
		"children cut to 32 bits":            one(named("schema", 1<<32+1)),
		"a schema of bytes":                  {raw([]byte{0x15, 2, 0x19, 0x23, 0x35, 0x15, 0x16, 0, 0x19, 0x0c, 0}, "PAR1"), source.ErrCorrupt},
		"encodings that say they are bytes":  {raw([]byte{0x15, 2, 0x19, 0x0c, 0x16, 0, 0x19, 0x1c, 0x19, 0x1c, 0x3c, 0x15, 0, 0x19, 0x13, 0, 0, 0, 0}, "PAR1"), source.ErrCorrupt},
		"a page's length as another type":    {column1(6, 0, 1, append(page, 0x15, 20, 0x2c, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0)), source.ErrCorrupt},
		"a page in what nobody would read":   {column1(6, 0, 1, append([]byte{0x15, 2, 0x15, 60, 0x15, 60, 0}, pageWith(1<<30, 1, 0, []byte("12345"))...)), source.ErrCorrupt},
		"a page that is of no kind at all":   {column1(6, 0, 1, []byte{0x15, 40, 0x15, 0, 0x15, 0, 0}), source.ErrCorrupt},
		"more levels than the page has room": {column1(6, 0, 1, []byte{0x15, 6, 0x15, 10, 0x15, 10, 0x5c, 0x15, 2, 0x15, 0, 0x15, 2, 0x15, 0, 0x15, 12, 0x15, 0, 0, 0, 1, 2, 3, 4, 5}), source.ErrCorrupt},
	}
}

// TestMetadataSaidTwice: nothing in the metadata is checked as one value and used as another.
func TestMetadataSaidTwice(t *testing.T) { attacked(t, saidTwice(), 4<<20) }

// zstdBomb is a frame of blocks of 128 KB that are 4 bytes each.
func zstdBomb(blocks int) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x58} // no length of content, a window of 2 MB
	for i := range blocks {
		h := uint32(1<<1 | 128<<10<<3)
		if i == blocks-1 {
			h |= 1
		}
		b = append(b, byte(h), byte(h>>8), byte(h>>16), 0)
	}
	return b
}

// codecBombs are pages that expand to more than their headers say.
func codecBombs(t testing.TB) map[string]attack {
	zeros := make([]byte, 32<<20)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(zeros); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	brotli, err := compress.GetCodec(compress.Codecs.Brotli)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]attack{}
	for name, c := range map[string]struct {
		codec compress.Compression
		b     []byte
	}{
		"zstd":   {compress.Codecs.Zstd, zstdBomb(8192)},
		"snappy": {compress.Codecs.Snappy, append(binary.AppendUvarint(nil, 1<<30), 0, 'x', 0, 0, 0)},
		"gzip":   {compress.Codecs.Gzip, z.Bytes()},
		"brotli": {compress.Codecs.Brotli, brotli.EncodeLevel(nil, zeros, 1)},
	} {
		for _, rawLen := range []int64{0, 5, 5 << 10} {
			files[fmt.Sprintf("%s in %d", name, rawLen)] = attack{column1(6, int64(c.codec), 1, pageWith(rawLen, 1, 0, c.b)), source.ErrCorrupt}
		}
		dict := append([]byte{0x15, 4, 0x15, 0, 0x15}, zigzag(nil, int64(len(c.b)))...)
		dict = append(append(dict, 0x4c, 0x15, 0, 0x15, 0, 0, 0), c.b...)
		files[name+" in a dictionary"] = attack{column1(6, int64(c.codec), 1, dict, pageWith(5, 1, 8, []byte{1, 2, 0})), source.ErrCorrupt}
	}
	return files
}

// TestPageExpandsFurtherThanItSays: whatever the codec.
func TestPageExpandsFurtherThanItSays(t *testing.T) { attacked(t, codecBombs(t), 24<<20) }

// packedNumbers is the head of numbers in DELTA_BINARY_PACKED: numbers in a block, miniblocks, numbers in all, the first.
func packedNumbers(block, each, total uint64, first int64, more ...byte) []byte {
	b := binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, block), each), total)
	return append(zigzag(b, first), more...)
}

// deltaBombs are pages whose decoder would allocate what they claim.
func deltaBombs() map[string]attack {
	numbers := func(b []byte, want error) attack {
		return attack{column1(2, 0, 2, pageWith(int64(len(b)), 2, 5, b)), want}
	}
	strs := func(encoding byte, values int64, b []byte, want error) attack {
		return attack{column1(6, 0, values, pageWith(int64(len(b)), values, encoding, b)), want}
	}
	// Of four strings one has 256 MB, and each of the others has that in common with the one before.
	prefixes := packedNumbers(128, 4, 4, 0, 0, 32, 0, 0, 0)
	prefixes = append(append(prefixes, 0, 0, 0, 0x10), make([]byte, 124)...)
	return map[string]attack{
		"a block of 2^28":            numbers(packedNumbers(1<<28, 1, 2, 1, 2, 0), source.ErrLimit),
		"a block of 2^32-128":        numbers(packedNumbers(1<<32-128, 1, 2, 1, 2, 0), source.ErrLimit),
		"2^23 miniblocks":            numbers(packedNumbers(1<<28, 1<<23, 2, 1, 2, 0), source.ErrLimit),
		"a block of none":            numbers(packedNumbers(0, 0, 2, 1), source.ErrCorrupt),
		"lengths in a block of 2^28": strs(6, 2, packedNumbers(1<<28, 1, 2, 1, 2, 0), source.ErrLimit),
		"2^26 lengths":               strs(6, 1<<26, packedNumbers(128, 4, 1<<26, 0, 0, 0, 0, 0, 0), source.ErrCorrupt),
		"prefixes in a block":        strs(7, 2, packedNumbers(1<<28, 1, 2, 1, 2, 0), source.ErrLimit),
		"suffixes in a block":        strs(7, 1, append(packedNumbers(128, 4, 1, 0), packedNumbers(1<<28, 1, 1, 1)...), source.ErrLimit),
		"2^26 prefixes":              strs(7, 1<<26, packedNumbers(128, 4, 1<<26, 0, 0, 0, 0, 0, 0), source.ErrCorrupt),
		"a string of 1 GB":           strs(7, 1, append(packedNumbers(128, 4, 1, 0), packedNumbers(128, 4, 1, 1<<30)...), source.ErrLimit),
		"strings out of each other":  strs(7, 4, append(prefixes, packedNumbers(128, 4, 4, 1, 0, 0, 0, 0, 0)...), source.ErrLimit),
	}
}

// TestDeltasClaimMemory: what decoders allocate on a page's word is taken from the budget before they get it.
func TestDeltasClaimMemory(t *testing.T) { attacked(t, deltaBombs(), 4<<20) }

// TestDictionaryOfNothing: an entry of text takes four bytes of the page, but six times as much when it is read.
func TestDictionaryOfNothing(t *testing.T) {
	body := make([]byte, 1000)
	dict := append(zigzag(append(zigzag([]byte{0x15, 4, 0x15}, 1000), 0x15), 1000), 0x4c)
	dict = append(append(zigzag(append(dict, 0x15), 1000), 0x15, 0, 0, 0), body...)
	attacked(t, map[string]attack{"empty entries": {column1(6, 0, 1, dict, pageWith(3, 1, 8, []byte{1, 2, 0})), source.ErrCorrupt}}, 4<<20)
}

// longNames are schemas whose paths are longer than they are.
func longNames() map[string]attack {
	leaves := func(n int, above ...[]byte) attack {
		all := append([][]byte{named("schema", 1)}, above...)
		for i := range n {
			all = append(all, named(fmt.Sprint(i), 0))
		}
		return attack{raw(footerOf(all...), "PAR1"), source.ErrLimit}
	}
	name := strings.Repeat("n", MaxName)
	var deep [][]byte
	for range 40 {
		deep = append(deep, named(name, 1))
	}
	return map[string]attack{
		"a group of 1 MB":        leaves(4000, named(strings.Repeat("n", 1<<20), 4000)),
		"a column of 1 KB and 1": leaves(0, named(name+"n", 0)),
		"groups in groups":       leaves(1000, append(deep, named(name, 1000))...),
	}
}

// TestNamesMultiply: a group's name is in the path of each of its columns.
func TestNamesMultiply(t *testing.T) {
	attacked(t, longNames(), 8<<20)
	if err := checkFooter(footerOf(named("schema", 1), named(strings.Repeat("n", MaxName), 0))); err != nil {
		t.Errorf("a name of %d bytes: %v", MaxName, err)
	}
}

// attacks are all of them that are short enough for the fuzz test.
func attacks(t testing.TB) (files [][]byte) {
	for _, m := range []map[string]attack{saidTwice(), codecBombs(t), deltaBombs(), longNames()} {
		for _, a := range m {
			if len(a.file) < 4<<10 {
				files = append(files, a.file)
			}
		}
	}
	return files
}

// TestAttacksAreNearFiles: the files that the attacks are made of are read when they claim nothing.
func TestAttacksAreNearFiles(t *testing.T) {
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"a page":      {column1(6, 0, 1, pageWith(5, 1, 0, []byte{1, 0, 0, 0, 'x'})), `{"a":"eA=="}` + "\n"},
		"numbers":     {column1(2, 0, 2, pageWith(10, 2, 5, packedNumbers(128, 4, 2, 1, 2, 0, 0, 0, 0))), "{\"a\":1}\n{\"a\":2}\n"},
		"a schema":    {raw(footerOf(named("schema", 1), named("a", 0)), "PAR1"), ""},
		"zstd, whole": {column1(6, int64(compress.Codecs.Zstd), 1, pageWith(128<<10, 1, 0, zstdBomb(1))), `{"a":""}` + "\n"},
	} {
		if got, err := textOf(t, c.file); got != c.want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
