// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// ErrRequest means that a witness was asked in a form that C2SP tlog-witness does not know.
var ErrRequest = errors.New("tlog: malformed add-checkpoint request")

// MaxAddCheckpoint bounds the body of a request.
const MaxAddCheckpoint = MaxCheckpoint + (maxHashes+2)*48

// SizeType is the media type of the size with which a witness answers who does not know it.
const SizeType = "text/x.tlog.size"

// AddCheckpoint asks a witness for its cosignature: add-checkpoint of C2SP tlog-witness.
type AddCheckpoint struct {
	Old        int64             // size that the witness last cosigned, 0 for none
	Proof      []envelope.Digest // consistency proof from Old to the checkpoint
	Checkpoint string            // signed note
}

// String is the body of the request.
func (r AddCheckpoint) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "old %d\n", r.Old)
	for _, h := range r.Proof {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	return b.String() + "\n" + r.Checkpoint
}

// ParseAddCheckpoint reads the body of a request. The checkpoint in it is not verified. Errors: [ErrRequest].
func ParseAddCheckpoint(text string) (AddCheckpoint, error) {
	bad := func(why string) (AddCheckpoint, error) { return AddCheckpoint{}, fmt.Errorf("%w: %s", ErrRequest, why) }
	if len(text) > MaxAddCheckpoint {
		return bad("too large")
	}
	head, checkpoint, ok := strings.Cut(text, "\n\n")
	if !ok {
		return bad("no empty line")
	}
	lines := strings.Split(head, "\n")
	if len(lines) > 1+maxHashes {
		return bad("too many lines of proof")
	}
	digits, ok := strings.CutPrefix(lines[0], "old ")
	old, err := ParseSize(digits)
	if !ok || err != nil {
		return bad("want old and a size in the first line")
	}
	r := AddCheckpoint{Old: old, Checkpoint: checkpoint}
	for _, l := range lines[1:] {
		b, err := base64.StdEncoding.Strict().DecodeString(l)
		if err != nil || len(b) != len(envelope.Digest{}) || base64.StdEncoding.EncodeToString(b) != l {
			return bad("a line of proof is not a hash in base64")
		}
		r.Proof = append(r.Proof, envelope.Digest(b))
	}
	return r, nil
}

// Origin is the first line of the checkpoint, as yet nobody's word.
func (r AddCheckpoint) Origin() string {
	origin, _, _ := strings.Cut(r.Checkpoint, "\n")
	return origin
}

// ParseSize reads a tree size in decimal, without sign or leading zeroes. Errors: [ErrRequest].
func ParseSize(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > maxSize || strconv.FormatInt(n, 10) != s {
		return 0, fmt.Errorf("%w: not a tree size", ErrRequest)
	}
	return n, nil
}

// Pick finds the witness's own line in what it answered to a checkpoint, and verifies it. Lines of other keys are passed
// over. The line returned is in canonical form. Errors: [ErrCheckpoint].
func (w Witness) Pick(checkpoint, answer string) (line string, c Cosignature, err error) {
	body, _, err := splitNote(checkpoint)
	if err != nil {
		return "", Cosignature{}, err
	}
	if len(answer) > MaxCheckpoint {
		return "", Cosignature{}, fmt.Errorf("%w: the answer is too large", ErrCheckpoint)
	}
	for l := range strings.Lines(answer) {
		s, ok := parseSignature(strings.TrimSuffix(l, "\n"))
		if !ok || s.keyID != w.id {
			continue
		}
		c, err := w.verify(body, s)
		if err != nil {
			return "", Cosignature{}, err
		}
		return s.String(), c, nil
	}
	return "", Cosignature{}, fmt.Errorf("%w: no line of %s in the answer", ErrCheckpoint, w.id.name)
}
