// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
)

// Words are the guest's standard output and error, handed over as they are written, for people who run code of their own
// on data of their own. An enclave never asks for them: what its host sees of a running worker would then depend on the
// data. A worker that was not asked and sends some breaks the protocol.
const (
	kindWords = 'W' // frames between admission and result
	maxWords  = 64 << 10
)

// wordsWriter is the worker's end. Its errors do not matter: the enclave is gone then.
type wordsWriter struct{ out *bufio.Writer }

func (w wordsWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxWords)
		if err := writeKind(w.out, kindWords, rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), w.out.Flush()
}

// readWords hands words to to until another frame comes, which the reader it returns begins with.
func readWords(r io.Reader, to io.Writer) (io.Reader, error) {
	for {
		kind, size, err := readKind(r)
		if err != nil {
			return nil, err
		}
		if kind != kindWords {
			head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(size))
			return io.MultiReader(bytes.NewReader(head), r), nil
		}
		b, err := readBytes(r, size, maxWords)
		if err != nil {
			return nil, err
		}
		_, _ = to.Write(b)
	}
}
