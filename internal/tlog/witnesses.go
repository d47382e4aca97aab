// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Witnesses says whose cosignatures somebody believes, and how many of them she asks for. The zero value is nobody, and
// is satisfied by nothing.
type Witnesses struct {
	threshold int
	members   []Witness
}

// Cosignature is a witness's word that the log had this tree, and only ever grew, at a time.
type Cosignature struct {
	Name string
	Time int64 // Unix seconds, by the witness's clock
}

// NewWitnesses reads a policy: verifier keys of type cosignature/v1, distinct in name and key, and how many of them must
// have signed. Errors: [ErrKey].
func NewWitnesses(threshold int, vkeys ...string) (*Witnesses, error) {
	if len(vkeys) > MaxWitnesses {
		return nil, fmt.Errorf("%w: %d witnesses, at most %d", ErrKey, len(vkeys), MaxWitnesses)
	}
	if threshold < 1 || threshold > len(vkeys) {
		return nil, fmt.Errorf("%w: threshold %d of %d witnesses", ErrKey, threshold, len(vkeys))
	}
	out := &Witnesses{threshold: threshold}
	for _, v := range vkeys {
		w, err := NewWitness(v)
		if err != nil {
			return nil, err
		}
		for _, o := range out.members {
			if o.id.name == w.id.name || o.key.Equal(w.key) {
				return nil, fmt.Errorf("%w: witnesses %s and %s have one name or one key", ErrKey, o.id.name, w.id.name)
			}
		}
		out.members = append(out.members, w)
	}
	return out, nil
}

// Keys are the witnesses' verifier keys, as they were given.
func (w *Witnesses) Keys() []string {
	var out []string
	for _, m := range w.all() {
		out = append(out, m.String())
	}
	return out
}

// Threshold is how many must have signed; 0 of the zero value, which nothing satisfies.
func (w *Witnesses) Threshold() int {
	if w == nil {
		return 0
	}
	return w.threshold
}

// Majority is the smallest threshold of n witnesses with which honest ones cannot cosign two histories of one log: whichever
// two groups of so many sign, somebody is in both.
func Majority(n int) int { return n/2 + 1 }

// Split says that the policy leaves room for split views: with fewer than a [Majority], two groups of honest witnesses who
// have seen one history each satisfy it both.
func (w *Witnesses) Split() bool { return w.Threshold() < Majority(len(w.all())) }

func (w *Witnesses) all() []Witness {
	if w == nil {
		return nil
	}
	return w.members
}

// Cosigned verifies a checkpoint with the log's own signature and those of at least the threshold of distinct witnesses.
// Signatures of others are passed over, and so is one in a member's name that does not verify, if enough others do: whoever
// carries a checkpoint can add lines, and must not spoil it by that. The cosignatures are sorted by time.
// Errors: those of [Log.ParseCheckpoint], and [ErrUnwitnessed].
func (w *Witnesses) Cosigned(l *Log, text string) (Checkpoint, []Cosignature, error) {
	cp, _, out, err := w.cosigned(l, text, func(Cosignature) bool { return true })
	return cp, out, err
}

// Trim is a checkpoint that [Witnesses.Cosigned] accepts, with no lines but the log's and those of members that verify and say
// a time from first to last, in Unix seconds. Who signs a checkpoint into a statement keeps that, and neither lines that its
// carrier made up nor the word of a witness whose clock is wrong, with which nobody would accept the statement.
func (w *Witnesses) Trim(l *Log, text string, first, last int64) (string, error) {
	_, kept, _, err := w.cosigned(l, text, func(c Cosignature) bool { return first <= c.Time && c.Time <= last })
	return kept, err
}

func (w *Witnesses) cosigned(l *Log, text string, counts func(Cosignature) bool) (cp Checkpoint, kept string, out []Cosignature, err error) {
	cp, body, sigs, err := l.parse(text)
	if err != nil {
		return Checkpoint{}, "", nil, err
	}
	lines, out, bad, err := w.verify(l, body, sigs, counts)
	if err != nil {
		return Checkpoint{}, "", nil, err
	}
	switch {
	case w.Threshold() >= 1 && len(out) >= w.threshold:
		return cp, OwnSignature(text) + lines, out, nil
	case bad != nil:
		return Checkpoint{}, "", nil, bad
	}
	return Checkpoint{}, "", nil, fmt.Errorf("%w: %d of the %d cosignatures asked for, at size %d", ErrUnwitnessed, len(out), w.Threshold(), cp.Size)
}

// verify returns the members' lines that verify and count, in the policy's order, what they say, and what is wrong with the first
// that does not.
func (w *Witnesses) verify(l *Log, body string, sigs []signature, counts func(Cosignature) bool) (lines string, out []Cosignature, bad, err error) {
	for _, m := range w.all() {
		if m.key.Equal(l.key) {
			return "", nil, nil, fmt.Errorf("%w: the log cannot be its own witness", ErrKey)
		}
		for _, s := range sigs {
			if s.keyID != m.id {
				continue
			}
			c, err := m.verify(body, s)
			if err != nil {
				bad = cmp.Or(bad, err)
				continue
			}
			if !counts(c) {
				bad = cmp.Or(bad, fmt.Errorf("%w: witness %s says that it is %s", ErrUnwitnessed, c.Name, time.Unix(c.Time, 0).UTC().Format(time.RFC3339)))
				continue
			}
			lines, out = lines+s.String(), append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b Cosignature) int { return cmp.Compare(a.Time, b.Time) })
	return lines, out, bad, nil
}

// VerifyInclusion is [Log.VerifyInclusion] under a checkpoint that enough witnesses cosigned.
func (w *Witnesses) VerifyInclusion(l *Log, body []byte, p Proof) (Checkpoint, []Cosignature, error) {
	_, sigs, err := w.Cosigned(l, p.Checkpoint)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	cp, err := l.VerifyInclusion(body, p)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	return cp, sigs, nil
}

// VerifyConsistency proves that the tree of the newer checkpoint begins with that of the older one. The checkpoints must
// have come from [Log.ParseCheckpoint] of one log. Equal trees need an empty proof. Errors: [ErrInconsistent].
func VerifyConsistency(older, newer Checkpoint, hashes []envelope.Digest) error {
	bad := func(why string) error {
		return fmt.Errorf("%w: of sizes %d and %d: %s", ErrInconsistent, older.Size, newer.Size, why)
	}
	switch {
	case older.Origin != newer.Origin || older.Origin == "" || older.Size < 1:
		return bad("not two checkpoints of one log")
	case older.Size > newer.Size:
		return bad("the newer one is smaller")
	case len(hashes) > maxHashes:
		return bad("the proof is too long")
	case older.Size == newer.Size && (len(hashes) > 0 || older.Root != newer.Root):
		return bad("one size with two roots, or a proof of nothing")
	case older.Size == newer.Size:
		return nil
	}
	var path [][]byte
	for _, h := range hashes {
		path = append(path, h[:])
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(older.Size), uint64(newer.Size), path, older.Root[:], newer.Root[:]); err != nil {
		return bad("the proof does not lead to both roots")
	}
	return nil
}
