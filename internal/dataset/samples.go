// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// known reports whether the format is one of this release's.
func (f Format) known() bool { return f.lines() || f == FormatFiles || f == FormatSamples }

// lines reports whether records are lines of text.
func (f Format) lines() bool { return f == FormatCSV || f == FormatJSONL }

// A stream of samples is a tar stream whose files say by their time, in seconds, which of their sample's they are: 0 begins one. So
// readers of tar see files as they know them, and where a sample ends depends on no name.

// SampleHeader is the header of file n of a sample, from 0. Nothing else of a file is kept: owner, mode and time would tell of the
// creator's machine.
func SampleHeader(name string, size int64, n int) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(int64(n), 0)}
}

// SampleIndex is which file of its sample an entry is. It refuses with ErrFile what is no plain file, has a name that leads elsewhere
// than below the folder where somebody unpacks it, or does not follow the one before.
func SampleIndex(h *tar.Header, before int) (int, error) {
	n := h.ModTime.Unix()
	switch {
	case h.Typeflag != tar.TypeReg || h.Size < 0 || h.Linkname != "" || holey(h):
		return 0, fmt.Errorf("%w: an entry of the samples is no plain file", ErrFile)
	case !FileName(h.Name):
		return 0, fmt.Errorf("%w: the name of a file of the samples", ErrFile)
	case n != 0 && n != int64(before)+1 || n >= MaxSampleFiles:
		return 0, fmt.Errorf("%w: a sample that does not begin, or has more than %d files", ErrFile, MaxSampleFiles)
	}
	return int(n), nil
}

// holey reports whether an entry's contents are longer than what the archive holds of them.
func holey(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// FileName reports whether a packed file may have a name: a relative path in UTF-8 that stays below its root wherever it is unpacked,
// without what is no text, or makes text look like another (U+202E turns what follows around).
func FileName(name string) bool {
	return fs.ValidPath(name) && name != "." && len(name) <= maxPath && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool {
		return r == '\\' || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	})
}

// scanSamples emits a tar stream of samples; each sample is one record.
func scanSamples(r io.Reader, out emit) error {
	w := &tarWriter{out: out, buf: make([]byte, readBuffer)}
	w.tar = tar.NewWriter(w)
	in, at, size := tar.NewReader(r), -1, int64(0)
	for {
		h, err := in.Next()
		switch {
		case errors.Is(err, io.EOF) && w.files == 0:
			return ErrEmpty
		case errors.Is(err, io.EOF):
			return w.tar.Flush() // no end-of-archive blocks: a later version appends to this stream
		case errors.Is(err, tar.ErrHeader):
			return fmt.Errorf("%w: no tar stream of samples", ErrFile)
		case err != nil:
			return err
		}
		if at, err = SampleIndex(h, at); err != nil {
			return err
		}
		if at == 0 {
			size = 0
		}
		if size += h.Size; size > MaxSampleBytes {
			return fmt.Errorf("%w: a sample of more than %d bytes", ErrRecordSize, MaxSampleBytes)
		}
		if err := w.sample(h, at, in); err != nil {
			return err
		}
	}
}

// sample writes one file of a sample.
func (w *tarWriter) sample(h *tar.Header, at int, in io.Reader) error {
	if err := w.tar.Flush(); err != nil { // the padding belongs to the file before
		return err
	}
	w.files, w.starts = w.files+1, at == 0
	if err := w.tar.WriteHeader(SampleHeader(h.Name, h.Size, at)); err != nil {
		return fmt.Errorf("%w: the name of a file of the samples", ErrFile)
	}
	_, err := io.CopyBuffer(onlyWriter{w.tar}, onlyReader{in}, w.buf)
	return err
}
