// SPDX-License-Identifier: Apache-2.0

// Package door is the single framed way between an enclave and its host.
//
// Trust domain: shared; the package is pure. Its one job: the enclave asks and the host answers, one question at a time,
// over a pair of byte streams. The enclave never listens. Everything an answer holds is hostile until signatures, proofs
// or digests inside it are checked by the caller.
//
// A frame is two big-endian 32-bit lengths, a canonical JSON header and a payload. A question that times out leaves the
// door broken for good, since a late answer could be taken for the next one's.
package door

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// Errors.
var (
	ErrBroken   = errors.New("door: broken")          // the stream ended, or an answer came too late
	ErrProtocol = errors.New("door: not a frame")     // the other side does not speak the protocol
	ErrRefused  = errors.New("door: refused by host") // the host answered with an error; its words follow
)

// Bounds of a frame.
const (
	maxHeader = 64 << 10
	// MaxPayload bounds a frame's payload: a relayed release request is the largest.
	MaxPayload = grant.MaxMessage
	// MaxBlob bounds one blob read, and one append to the output.
	MaxBlob = 1 << 20
	// maxPosts bounds the messages that are relayed together: one for each package of a job.
	maxPosts = 1 + job.MaxDatasets
	// maxTogether bounds them, and what comes back: small messages, in base64, with addresses and what is between.
	maxTogether = 2 * maxPosts * grant.MaxSmallMessage
	// relayTogether is how long the host waits for answers to messages that it relays together. Which are late are asked for again.
	relayTogether = 5 * time.Second
)

// The questions.
const (
	opNext     = "next"
	opManifest = "manifest"
	opBlob     = "blob"
	opRelay    = "relay"
	opRelayAll = "relay-all"
	opProgress = "progress"
	opOutput   = "output"
	opFinish   = "finish"
	opAbandon  = "abandon"
	opProbed   = "probed"
)

// probes is the payload of opNext from an enclave that answers probes too; others are given jobs only.
const probes = "probes/1"

// Assignment is a job the host asks the enclave to run, or a probe that it passes on.
type Assignment struct {
	Token string // the host's name for this attempt; the enclave only hands it back
	Job   []byte // signed; of a probe, an [attestation.Probe]
	Probe bool
}

// Post is a message to a broker, among some that are relayed together.
type Post struct {
	Address string `json:"address"`
	Message []byte `json:"message"`
}

// Probed answers a probe: evidence, or why there is none.
type Probed struct {
	Evidence []byte `json:"evidence"` // canonical; empty if there is none
	Message  string `json:"message"`
}

// States of a job as its host sees them.
const (
	StateAttesting  = "attesting"
	StateReleasing  = "releasing"
	StateRunning    = "running"
	StateCommitting = "committing"
)

// Progress is what the host may know of a run while it goes on: what it could count itself.
type Progress struct {
	State  string `json:"state"`
	Leaves int64  `json:"leaves"` // delivered so far, repeats included
	Total  int64  `json:"total"`  // in the datasets, once
}

// Result is everything that leaves at the end of a run besides the age payload.
type Result struct {
	Outcome  string   `json:"outcome"`
	Reason   string   `json:"reason"`
	Usage    []byte   `json:"usage"`    // signed
	Evidence []byte   `json:"evidence"` // canonical
	Ticket   []byte   `json:"ticket"`   // signed
	Grants   [][]byte `json:"grants"`   // signed, the code's first
	Commits  [][]byte `json:"commits"`  // signed, in the same order
	Header   []byte   `json:"header"`   // of the age file; empty for a failed run
}

// Abandon says why an attempt ended without a usage attestation having been committed.
type Abandon struct {
	Code    string `json:"code"` // a grant.Code… or a usage reason
	Message string `json:"message"`
	Hint    string `json:"hint"`
	Retry   bool   `json:"retry"`  // another attempt may succeed
	Denial  []byte `json:"denial"` // signed grant.Denial, or empty
}

type request struct {
	Op       string           `json:"op"`
	Token    string           `json:"token"`
	Digest   *envelope.Digest `json:"digest"`
	Offset   int64            `json:"offset"`
	Length   int64            `json:"length"`
	Address  string           `json:"address"`
	Progress *Progress        `json:"progress"`
}

type reply struct {
	Error  string `json:"error"`
	Token  string `json:"token"`
	Cancel bool   `json:"cancel"`
	Probe  bool   `json:"probe,omitempty"` // absent for enclaves that know of none
}

func writeFrame(w io.Writer, header any, payload []byte) error {
	h, err := envelope.Canonical(header)
	if err != nil {
		return err
	}
	if len(h) > maxHeader || len(payload) > MaxPayload {
		return fmt.Errorf("%w: header %d or payload %d bytes", ErrProtocol, len(h), len(payload))
	}
	b := make([]byte, 8, 8+len(h)+len(payload))
	binary.BigEndian.PutUint32(b, uint32(len(h)))
	binary.BigEndian.PutUint32(b[4:], uint32(len(payload)))
	if _, err := w.Write(append(append(b, h...), payload...)); err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return nil
}

func readFrame(r io.Reader, header any) (payload []byte, err error) {
	var n [8]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	h, p := binary.BigEndian.Uint32(n[:]), binary.BigEndian.Uint32(n[4:])
	if h > maxHeader || p > MaxPayload {
		return nil, fmt.Errorf("%w: header %d or payload %d bytes", ErrProtocol, h, p)
	}
	b := make([]byte, int(h)+int(p))
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	if err := envelope.Decode(b[:h], maxHeader, header); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return b[h:], nil
}
