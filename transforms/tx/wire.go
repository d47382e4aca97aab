// SPDX-License-Identifier: Apache-2.0

package tx

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Messages are a kind, a length, four bytes, highest first, and as many bytes. Capitals come from the callee.
const (
	kindBatch = 'b' // frames of records
	kindFlush = 'f' // there are no more
	kindToken = 'T' // a kind, four bytes, highest first, and a text; answered by kindReply: 1 and a token, or 0
	kindNoise = 'N' // a record, a sensitivity and an epsilon, in 4, 8 and 8 bytes; answered by 8 bytes
	kindReply = 'r'
	kindWords = 'W' // of the module's stdout and stderr, where somebody reads them
	kindDone  = 'D' // a Result, canonical JSON; kindMade follows if it has no reason
	kindMade  = 'M' // the answer
)

const noiseBytes = 4 + 8 + 8

// send writes a message.
func send(w io.Writer, kind byte, payload []byte) error {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	_, err := w.Write(head)
	if err == nil && len(payload) > 0 {
		_, err = w.Write(payload)
	}
	return err
}

// receive reads the head of a message.
func receive(r io.Reader) (kind byte, size int64, err error) {
	var h [5]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, 0, err
	}
	return h[0], int64(binary.BigEndian.Uint32(h[1:])), nil
}

// take reads what follows a head into buf, refusing more than limit before it allocates.
func take(r io.Reader, buf []byte, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("%w: message of %d bytes, at most %d", ErrProtocol, size, limit)
	}
	if int64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	_, err := io.ReadFull(r, buf[:size])
	return buf[:size], err
}

// Result is how a batch ended.
type Result struct {
	Reason   string  `json:"reason"` // empty: there is an answer. Else why the module ended, in words of enclave/sandbox
	Detail   string  `json:"detail"` // may hold plaintext
	Fuel     int64   `json:"fuel"`
	Findings []Count `json:"findings"` // by type, sorted; not null
}

// Count is how many findings a type has.
type Count struct {
	Type  string `json:"type"`
	Count int64  `json:"count"`
}
