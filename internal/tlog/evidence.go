// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// ErrEvidence means that the evidence proves nothing against anybody.
var ErrEvidence = errors.New("tlog: proves no contradiction")

// MaxEvidence bounds an evidence file.
const MaxEvidence = 64 << 10

// Evidence is two checkpoints of one log that cannot both be true, for others to verify. It is not signed: the log signed
// it. Root and Hashes show what the tree of the second has where the first ends: root, and consistency proof from there
// (none for equal sizes).
type Evidence struct {
	Version   int               `json:"version"`   // 1
	Log       string            `json:"log"`       // verifier key
	First     string            `json:"first"`     // signed checkpoint, not larger than the second
	Second    string            `json:"second"`    // signed checkpoint
	Root      envelope.Digest   `json:"root"`      // of as many entries of the second's tree as the first has
	Hashes    []envelope.Digest `json:"hashes"`    // proof that the second's tree begins so
	Witnesses []string          `json:"witnesses"` // verifier keys whose cosignatures the finder looked at
}

// Contradiction is what evidence proves.
type Contradiction struct {
	First, Second Checkpoint
	Fork          bool     // the log signed two histories
	Witnesses     []string // names of those who cosigned both sides of a fork
}

// DecodeEvidence reads an evidence file. It is strict. Errors: [envelope.ErrMalformed], [envelope.ErrTooLarge].
func DecodeEvidence(b []byte) (*Evidence, error) {
	var e Evidence
	if err := envelope.DecodeStrict(b, MaxEvidence, &e); err != nil {
		return nil, err
	}
	if e.Version != 1 || len(e.Witnesses) > MaxWitnesses || len(e.Hashes) > maxHashes {
		return nil, fmt.Errorf("%w: not evidence of version 1", envelope.ErrMalformed)
	}
	return &e, nil
}

// Verify checks the evidence against the log that is known by other means. Errors: [ErrEvidence], [ErrCheckpoint],
// [ErrKey], [ErrInconsistent].
func (e *Evidence) Verify(l *Log) (*Contradiction, error) {
	if l.String() == "" || e.Log != l.String() {
		return nil, fmt.Errorf("%w: about another log", ErrEvidence)
	}
	first, body1, sigs1, err := l.parse(e.First)
	if err != nil {
		return nil, err
	}
	second, body2, sigs2, err := l.parse(e.Second)
	if err != nil {
		return nil, err
	}
	shown := first
	shown.Root = e.Root
	if err := VerifyConsistency(shown, second, e.Hashes); err != nil {
		return nil, err
	}
	c := &Contradiction{First: first, Second: second, Fork: first.Root != e.Root}
	for _, key := range e.Witnesses {
		w, err := NewWitness(key)
		if err != nil {
			return nil, err
		}
		if c.Fork && w.signed(body1, sigs1) && w.signed(body2, sigs2) {
			c.Witnesses = append(c.Witnesses, w.Name())
		}
	}
	slices.Sort(c.Witnesses)
	if !c.Fork { // whatever the times of cosignatures: an honest witness's clock may have been set back in between
		return c, fmt.Errorf("%w: the larger tree begins with the smaller one", ErrEvidence)
	}
	return c, nil
}

// signed says that the witness's valid cosignature is there.
func (w Witness) signed(body string, sigs []signature) bool {
	return slices.ContainsFunc(sigs, func(s signature) bool {
		_, err := w.verify(body, s)
		return err == nil
	})
}
