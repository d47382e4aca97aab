// SPDX-License-Identifier: Apache-2.0

// Package localtx runs a creator's module on the creator's side, in the sandbox that enclaves use: it starts glovebox-run, asked
// to [ModeTransform], and is to it what an enclave is to its worker. Keys and noise stay on this side; glovebox-run has neither
// and passes questions on.
//
// Trust domain: the creator's, on both ends of the pipes. The package's one job: a pinned step's module as a
// [transforms.Module], for programs that do not contain the engine.
package localtx

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// ModeTransform is the argument that makes glovebox-run read a [Request] and a module from standard input, each behind its
// length, four bytes, highest first; answer with an [Opened] likewise; and then be a tx.Callee until standard input ends.
const ModeTransform = "transform"

// MaxRequest and MaxOpened bound them, in bytes.
const (
	MaxRequest = 16 << 20
	MaxOpened  = 64 << 10
)

// Request is one step.
type Request struct {
	Step    dataset.Step   `json:"step"`
	Format  dataset.Format `json:"format"`
	Columns []string       `json:"columns"`
	Token   bool           `json:"token"` // the module may ask for tokens
	Words   bool           `json:"words"` // what it writes to stdout and stderr is wanted
}

// Opened says whether the module runs.
type Opened struct {
	Error     string           `json:"error"`  // why it could not be had: the machine, or the step
	Reason    string           `json:"reason"` // why the module came to no batch, as in a usage attestation
	Detail    string           `json:"detail"`
	Fuel      int64            `json:"fuel"`      // of starting up
	Rewritten *envelope.Digest `json:"rewritten"` // of the module as it runs; null: not admitted
	Costs     string           `json:"costs"`
	Isolation string           `json:"isolation"`
	Words     []byte           `json:"words"` // written meanwhile, if they are wanted: the first of them
}

// WriteFrame writes a length and the bytes.
func WriteFrame(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// ReadFrame reads what WriteFrame wrote, refusing more than limit before it allocates.
func ReadFrame(r io.Reader, limit int) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(n[:])
	if int64(size) > int64(limit) {
		return nil, fmt.Errorf("%w: frame of %d bytes, at most %d", tx.ErrProtocol, size, limit)
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, err
}
