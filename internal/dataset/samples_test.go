// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

type entry struct {
	name, text string
	n          int64 // of its sample
	kind       byte
	link       string
}

// archive makes a tar stream without an end.
func archive(t testing.TB, list ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range list {
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		h := &tar.Header{Typeflag: e.kind, Name: e.name, Linkname: e.link, Mode: 0o600, Uid: 77, ModTime: time.Unix(e.n, 0)}
		if e.kind == tar.TypeReg {
			h.Size = int64(len(e.text))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil && e.kind == tar.TypeReg {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func samplesOf(src io.Reader) (stream []byte, starts []int, err error) {
	err = scanSamples(src, func(piece []byte, begins bool) error {
		if begins {
			starts = append(starts, len(stream))
		}
		stream = append(stream, piece...)
		return nil
	})
	return stream, starts, err
}

func TestSamplesAreRecords(t *testing.T) {
	src := archive(t, entry{name: "s/a.cls", text: "1"}, entry{name: "s/a.txt", text: strings.Repeat("x", 1000), n: 1}, entry{name: "s/b.txt", text: "b"},
		entry{name: "s/" + strings.Repeat("long", 50) + ".txt", text: "c"})
	stream, starts, err := samplesOf(bytes.NewReader(src))
	if err != nil || len(starts) != 3 {
		t.Fatalf("%d samples, want 3: %v", len(starts), err)
	}
	again, _, err := samplesOf(bytes.NewReader(stream))
	if err != nil || !bytes.Equal(again, stream) {
		t.Fatalf("a stream of samples is not its own: %v", err)
	}
	in := tar.NewReader(bytes.NewReader(stream[starts[0]:starts[1]]))
	for _, want := range []string{"s/a.cls", "s/a.txt"} {
		h, err := in.Next()
		if err != nil || h.Name != want || h.Uid != 0 {
			t.Fatalf("the first sample has %v, want %s of nobody: %v", h, want, err)
		}
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) {
		t.Fatal("the first sample goes on")
	}
}

// TestSamplesThatLeadElsewhere: a stream that is no plain files below a folder is not packed, whoever made it.
func TestSamplesThatLeadElsewhere(t *testing.T) {
	for name, src := range map[string][]byte{
		"absolute":         archive(t, entry{name: "/etc/a.txt"}),
		"above":            archive(t, entry{name: "s/../../a.txt"}),
		"dot":              archive(t, entry{name: "./a.txt"}),
		"backslash":        archive(t, entry{name: `s\a.txt`}),
		"control":          archive(t, entry{name: "s/a\n.txt"}),
		"turned around":    archive(t, entry{name: "s/a\u202egpj.png"}),
		"symbolic link":    archive(t, entry{name: "s/a.txt", kind: tar.TypeSymlink, link: "/etc/passwd"}),
		"hard link":        archive(t, entry{name: "s/a.txt", kind: tar.TypeLink, link: "s/b"}),
		"device":           archive(t, entry{name: "s/a.txt", kind: tar.TypeChar}),
		"folder":           archive(t, entry{name: "s/", kind: tar.TypeDir}),
		"begins in middle": archive(t, entry{name: "s/a.txt", n: 1}),
		"leaves one out":   archive(t, entry{name: "s/a.txt"}, entry{name: "s/a.cls", n: 2}),
		"no tar":           bytes.Repeat([]byte("x"), 1024),
	} {
		if _, _, err := samplesOf(bytes.NewReader(src)); !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v, want %v", name, err, ErrFile)
		}
	}
	if _, _, err := samplesOf(bytes.NewReader(nil)); !errors.Is(err, ErrEmpty) {
		t.Errorf("nothing: %v, want %v", err, ErrEmpty)
	}
	cut := archive(t, entry{name: "s/a.txt", text: strings.Repeat("x", 2000)})
	if _, _, err := samplesOf(bytes.NewReader(cut[:1024])); err == nil {
		t.Error("a stream that ends early was taken")
	}
	zero := zeros{left: MaxSampleBytes + 1}
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(SampleHeader("s/a.bin", zero.left, 0)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := samplesOf(io.MultiReader(&b, &zero)); !errors.Is(err, ErrRecordSize) {
		t.Errorf("a sample that is too large: %v, want %v", err, ErrRecordSize)
	}
}

type zeros struct{ left int64 }

func (z *zeros) Read(b []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), z.left)
	clear(b[:n])
	z.left -= n
	return int(n), nil
}

func FuzzSamples(f *testing.F) {
	f.Add(archive(f, entry{name: "s/a.cls", text: "1"}, entry{name: "s/a.txt", text: "x", n: 1}, entry{name: "s/b.txt"}))
	f.Add(archive(f, entry{name: "../a"}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, src []byte) {
		stream, starts, err := samplesOf(bytes.NewReader(src))
		if err != nil {
			return
		}
		again, same, err := samplesOf(bytes.NewReader(stream))
		if err != nil || !bytes.Equal(again, stream) || len(same) != len(starts) || len(starts) == 0 || starts[0] != 0 {
			t.Fatalf("what was packed does not read as itself: %v", err)
		}
	})
}
