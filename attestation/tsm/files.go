// SPDX-License-Identifier: Apache-2.0

package tsm

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// files is what is asked of configfs. Tests have another one, since only a kernel fills a new directory.
type files interface {
	stat(path string) error
	mkdir(path string) error
	rmdir(path string) error
	write(path string, b []byte) error
	read(path string, limit int64) ([]byte, error)
}

// kernel is configfs itself.
type kernel struct{}

func (kernel) stat(path string) error {
	i, err := os.Stat(path)
	if err == nil && !i.IsDir() {
		return fmt.Errorf("%s is not a directory", path)
	}
	return err
}

func (kernel) mkdir(path string) error { return os.Mkdir(path, 0o700) }

// rmdir removes a directory that still shows attributes, as configfs wants it.
func (kernel) rmdir(path string) error { return os.Remove(path) }

// write opens without creating or truncating: the attribute is there or the kernel has none.
func (kernel) write(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	n, err := f.Write(b) // one write is one value
	if err == nil && n != len(b) {
		err = io.ErrShortWrite
	}
	return errors.Join(err, f.Close())
}

func (kernel) read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return b, nil
}
