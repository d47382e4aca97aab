// SPDX-License-Identifier: Apache-2.0

package glovebox

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
)

// Errors about data. Both are wrapped with what was looked for or found.
var (
	ErrDataset = errors.New("dataset") // there is none of that name, or the one asked for is not the only one
	ErrRecord  = errors.New("record")  // the data is not in the format it says
)

// Format is how a dataset's records are written.
type Format string

// The formats a creator can pack.
const (
	CSV   Format = "csv"   // RFC 4180 with a header line: records.csv
	JSONL Format = "jsonl" // one JSON value a line: records.jsonl
	Files Format = "files" // whole files, as a tar stream: records.tar
)

var fileNames = []struct {
	format Format
	name   string
}{{CSV, "records.csv"}, {JSONL, "records.jsonl"}, {Files, "records.tar"}}

// Dataset is one dataset of the job.
type Dataset struct {
	Name   string // its folder under /data
	Format Format
	path   string // below /data
}

// Datasets lists the job's datasets by name.
func Datasets() ([]Dataset, error) {
	root, err := dataRoot()
	if err != nil {
		return nil, err
	}
	folders, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var list []Dataset
	for _, f := range folders {
		for _, n := range fileNames {
			path := f.Name() + "/" + n.name
			if st, err := os.Stat(root + "/" + path); err == nil && st.Mode().IsRegular() {
				list = append(list, Dataset{Name: f.Name(), Format: n.format, path: path})
				break
			}
		}
	}
	return list, nil
}

// Find is the dataset of that name; an empty name means the job's only one. The error is an [ErrDataset] that says which
// there are.
func Find(name string) (Dataset, error) {
	list, err := Datasets()
	if err != nil {
		return Dataset{}, err
	}
	if name == "" && len(list) == 1 {
		return list[0], nil
	}
	var names []string
	for _, d := range list {
		if d.Name == name {
			return d, nil
		}
		names = append(names, d.Name)
	}
	there := "; there is " + strings.Join(names, ", ")
	if len(names) == 0 {
		there = "; there is none"
	}
	if name == "" {
		return Dataset{}, wrap(ErrDataset, "not named, and not the only one"+there)
	}
	return Dataset{}, wrap(ErrDataset, strconv.Quote(name)+" is not there"+there)
}

// Open opens the dataset's records as they are written: bytes, read only when asked for.
func (d Dataset) Open() (*File, error) {
	src, size, err := openData(d.path)
	if err != nil {
		return nil, wrap(ErrDataset, strconv.Quote(d.Name)+": "+err.Error())
	}
	return &File{src: src, size: size}, nil
}

// source is where a file's bytes come from: a host call in the sandbox, a file elsewhere.
type source interface {
	// ReadAt reads at least one byte unless p is empty or off is the end, and may read less than asked for.
	ReadAt(p []byte, off int64) (int, error)
	Close() error
}

// File is a dataset's bytes. Each batch of about 256 KiB is decrypted, proven and counted when it is first read, and again
// when code comes back to it later: a pass is cheapest from one end to the other. It is an io.Reader, io.ReaderAt,
// io.Seeker and io.Closer.
type File struct {
	src      source
	size, at int64
}

// Size is the file's length in bytes.
func (f *File) Size() int64 { return f.size }

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if f.at >= f.size {
		return 0, io.EOF
	}
	n, err := f.src.ReadAt(p[:min(int64(len(p)), f.size-f.at)], f.at)
	f.at += int64(n)
	if n > 0 {
		return n, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return 0, err
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, os.ErrInvalid
	}
	for done := 0; ; {
		switch {
		case done == len(p):
			return done, nil
		case off+int64(done) >= f.size:
			return done, io.EOF
		}
		n, err := f.src.ReadAt(p[done:min(int64(len(p)), int64(done)+f.size-off-int64(done))], off+int64(done))
		done += n
		if n == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return done, err
		}
	}
}

// Seek implements io.Seeker.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.size
	}
	if offset < 0 {
		return 0, os.ErrInvalid
	}
	f.at = offset
	return offset, nil
}

// Close implements io.Closer.
func (f *File) Close() error { return f.src.Close() }
