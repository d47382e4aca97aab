// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// emit takes the next piece of the plaintext stream; starts says that a record begins with it. The piece is not kept.
type emit func(piece []byte, starts bool) error

const readBuffer = 256 << 10

// scanJSONL emits each line as one record. Every line must be a JSON value.
func scanJSONL(r io.Reader, out emit) error {
	in := bufio.NewReaderSize(r, readBuffer)
	var long []byte
	for line := int64(1); ; line++ {
		text, err := readLine(in, &long)
		switch {
		case errors.Is(err, ErrRecordSize), errors.Is(err, ErrNotText):
			return fmt.Errorf("%w (line %d)", err, line)
		case err != nil && !errors.Is(err, io.EOF):
			return err
		case len(text) == 0:
			return nil
		case !json.Valid(text):
			return fmt.Errorf("%w: line %d is not one JSON value", ErrJSONLine, line)
		}
		if err := out(text, true); err != nil {
			return err
		}
		if err != nil {
			return nil
		}
	}
}

// readLine returns the next line with its end. Lines longer than in's buffer are gathered in long.
func readLine(in *bufio.Reader, long *[]byte) ([]byte, error) {
	clear(*long)
	*long = (*long)[:0]
	for {
		part, err := in.ReadSlice('\n')
		if bytes.IndexByte(part, 0) >= 0 {
			return nil, fmt.Errorf("%w: it has a zero byte", ErrNotText)
		}
		if !errors.Is(err, bufio.ErrBufferFull) && len(*long) == 0 {
			return part, err
		}
		if len(*long)+len(part) > MaxRecordBytes {
			return nil, fmt.Errorf("%w: no line end within %d bytes", ErrRecordSize, MaxRecordBytes)
		}
		*long = append(*long, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return *long, err
		}
	}
}

// scanFiles emits a tar stream of every regular file below root in lexical order; each file is one record. Owner, mode and
// time are left out: they would tell of the creator's machine, and differ from pack to pack.
func scanFiles(fsys fs.FS, root string, out emit) error {
	w := &tarWriter{out: out}
	w.tar = tar.NewWriter(w)
	err := fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == root:
			return ErrMissing
		case err != nil:
			return fmt.Errorf("%w: %w", ErrFile, err)
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%w: %q is a link or a device", ErrNotRegular, name)
		case !FileName(name):
			return fmt.Errorf("%w: %q", ErrFileName, clipped(name))
		}
		return w.file(fsys, name)
	})
	if err != nil {
		return err
	}
	if w.files == 0 {
		return ErrEmpty
	}
	return w.tar.Flush() // no end-of-archive blocks: a later version appends to this stream
}

// clipped is the end of a name, which may be too long for a message.
func clipped(name string) string {
	const most = 256
	if len(name) > most {
		return "…" + name[len(name)-most:]
	}
	return name
}

// tarWriter turns tar's writes into pieces of the stream.
type tarWriter struct {
	out    emit
	tar    *tar.Writer
	files  int64
	starts bool
	buf    []byte
}

func (w *tarWriter) Write(p []byte) (int, error) {
	if err := w.out(p, w.starts); err != nil {
		return 0, err
	}
	w.starts = false
	return len(p), nil
}

func (w *tarWriter) file(fsys fs.FS, name string) error {
	f, err := fsys.Open(name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	if err := refuseSparse(f, st); err != nil {
		return fmt.Errorf("%w: %q", err, name)
	}
	if err := w.tar.Flush(); err != nil { // the padding belongs to the file before
		return err
	}
	w.files, w.starts = w.files+1, true
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: st.Size(), Mode: 0o644, ModTime: time.Unix(0, 0)}
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	if w.buf == nil {
		w.buf = make([]byte, readBuffer)
	}
	n, err := io.CopyBuffer(onlyWriter{w.tar}, onlyReader{f}, w.buf)
	if errors.Is(err, tar.ErrWriteTooLong) || err == nil && n != st.Size() {
		return fmt.Errorf("%w: %q changed its size while it was read", ErrFile, name)
	}
	return err
}

type onlyReader struct{ io.Reader }

// seekHole is lseek(2)'s SEEK_HOLE on Linux.
const seekHole = 4

// sparseFloor is the size below which holes are not worth a refusal.
const sparseFloor = 1 << 20

// refuseSparse refuses a large file with a hole in it: whoever made it did not write that data, and packing would seal
// gigabytes of zeros. Where the system cannot tell, the file passes.
func refuseSparse(f any, st fs.FileInfo) error {
	file, ok := f.(*os.File)
	if !ok || st.Size() < sparseFloor || !st.Mode().IsRegular() {
		return nil
	}
	at, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil
	}
	hole, herr := file.Seek(0, seekHole)
	if _, err := file.Seek(at, io.SeekStart); err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	if herr == nil && hole < st.Size() {
		return fmt.Errorf("%w: %d bytes long with a hole at %d; copy it with `cp --sparse=never` if the zeros are meant", ErrSparse, st.Size(), hole)
	}
	return nil
}
