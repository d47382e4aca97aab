// SPDX-License-Identifier: Apache-2.0

package glovebox

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"strings"
)

// ErrOutput is wrapped by errors about the name of an output.
var ErrOutput = errors.New("output")

// Output is a file of /out that is being written. Close it: what is buffered is lost otherwise.
type Output struct {
	*bufio.Writer
	f *os.File
}

// Create opens an output by the name it was declared under with --output NAME:CLASS. A file that was not declared is
// dropped, and the number of those is told to everybody. Writing more than declared ends the job with "output-limit".
func Create(name string) (*Output, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return nil, wrap(ErrOutput, strconv.Quote(name)+" is not the name of a file in /out")
	}
	root, err := outRoot()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(root+"/"+name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return &Output{bufio.NewWriterSize(f, 64<<10), f}, nil
}

// Close writes what is buffered and closes the file.
func (o *Output) Close() error { return errors.Join(o.Flush(), o.f.Close()) }
