// SPDX-License-Identifier: Apache-2.0

package choose

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/glovebox-dev/glovebox/transforms"
)

// DeduplicateConfig is the configuration of deduplicate: the first of records that say the same stays.
type DeduplicateConfig struct {
	// Fields are compared, in this order; all texts and numbers of a record unless given. What is compared is their words:
	// letters and digits, in lower case.
	Fields []string `json:"fields,omitempty"`
	// Near also leaves out what is nearly the same.
	Near *Near `json:"near,omitempty"`
	// MaxRecords bounds memory, about a kilobyte for each record that stays; 100000 unless given. More records that
	// stay are an error.
	MaxRecords int `json:"maxRecords,omitempty"`
}

// Near says how alike records must be: the Jaccard similarity of their runs of words, estimated by MinHash.
type Near struct {
	Threshold json.Number `json:"threshold"`         // 0.5 to 1
	Shingle   int         `json:"shingle,omitempty"` // words in a run: 3 unless given
}

// Bounds of deduplicate.
const (
	defaultRecords = 100_000
	maxRecords     = 4_000_000
	defaultShingle = 3
	maxShingle     = 16
	maxCandidates  = 64 // that a record is compared with: hostile records cannot make it slow
	maxChain       = 8  // of one band
)

type deduplicate struct {
	c        DeduplicateConfig
	required int // permutations that must agree
	rows     int // of a band
	words    words
	exact    map[[16]byte]struct{}
	bands    map[uint64]int32 // the last record with a band, by its hash
	before   []int32          // for each record and band, the one before with that band; -1 if none
	kept     []signature
	seen     map[int32]struct{}
	figures  struct{ exact, near, kept int64 }
}

// NewDeduplicate makes a deduplicate step.
func NewDeduplicate(config json.RawMessage, _ transforms.Schema, _ *transforms.Env) (transforms.Step, error) {
	s := &deduplicate{exact: map[[16]byte]struct{}{}, seen: map[int32]struct{}{}}
	if err := decode("deduplicate", config, &s.c); err != nil {
		return nil, err
	}
	if s.c.MaxRecords == 0 {
		s.c.MaxRecords = defaultRecords
	}
	if s.c.MaxRecords < 1 || s.c.MaxRecords > maxRecords {
		return nil, wrong("deduplicate", "maxRecords is %d, want 1 to %d", s.c.MaxRecords, maxRecords)
	}
	if len(s.c.Fields) > maxConditions {
		return nil, wrong("deduplicate", "%d fields, at most %d", len(s.c.Fields), maxConditions)
	}
	if s.c.Near != nil {
		return s, s.near(s.c.Near)
	}
	return s, nil
}

// near sets the bands so that records at the threshold meet in at least one with a probability of 98 % or more.
func (s *deduplicate) near(n *Near) error {
	f, ok := parseFraction(n.Threshold.String())
	if !ok || f.num > f.den || 2*f.num < f.den {
		return wrong("deduplicate", "threshold is %q, want 0.5 to 1", n.Threshold)
	}
	if n.Shingle == 0 {
		n.Shingle = defaultShingle
	}
	if n.Shingle < 1 || n.Shingle > maxShingle {
		return wrong("deduplicate", "shingle is %d, want 1 to %d", n.Shingle, maxShingle)
	}
	s.words.shingle, s.words.factors = n.Shingle, multipliers()
	s.required = int((f.num*permutations + f.den - 1) / f.den)
	s.rows = 2
	switch percent := 100 * f.num / f.den; {
	case percent >= 85:
		s.rows = 8
	case percent >= 60:
		s.rows = 4
	}
	s.bands = map[uint64]int32{}
	return nil
}

// Schema is unchanged.
func (s *deduplicate) Schema(in transforms.Schema) (transforms.Schema, error) {
	for _, f := range s.c.Fields {
		if err := checkField("deduplicate", f, in); err != nil {
			return in, err
		}
	}
	return in, nil
}

// Transform drops a record that says what an earlier one said.
func (s *deduplicate) Transform(r *transforms.Record, _ *transforms.Trace) (transforms.Verdict, error) {
	w := &s.words
	w.reset()
	if len(s.c.Fields) == 0 {
		fields := r.Fields()
		for i := range fields {
			w.add(fields[i].Text)
		}
	}
	read := len(s.c.Fields) == 0
	for _, f := range s.c.Fields {
		each(r, f, func(text []byte, _ transforms.Kind) bool {
			w.add(text)
			read = true
			return true
		})
	}
	if !read {
		s.figures.kept++
		return transforms.Keep, nil // that none of the fields is there does not make two records alike
	}
	w.end()
	sum := sha256.Sum256(w.text)
	key := [16]byte(sum[:16])
	if _, ok := s.exact[key]; ok {
		s.figures.exact++
		return transforms.Drop, nil
	}
	if s.bands != nil && s.alike(&w.min) {
		s.figures.near++
		return transforms.Drop, nil
	}
	if s.figures.kept >= int64(s.c.MaxRecords) {
		return transforms.Refused, fmt.Errorf("%w: deduplicate: more than %d different records; raise maxRecords, about a kilobyte of memory each, or split the dataset",
			transforms.ErrConfig, s.c.MaxRecords)
	}
	s.keep(key, &w.min)
	return transforms.Keep, nil
}

// alike reports whether a record that stays is nearly the same.
func (s *deduplicate) alike(sig *signature) bool {
	clear(s.seen)
	bands := permutations / s.rows
	for i := range bands {
		at, ok := s.bands[s.band(sig, i)]
		for n := 0; ok && at >= 0 && n < maxChain; n++ {
			if _, ok := s.seen[at]; !ok {
				if sig.agree(&s.kept[at]) >= s.required {
					return true
				}
				if s.seen[at] = struct{}{}; len(s.seen) >= maxCandidates {
					return false
				}
			}
			at = s.before[int(at)*bands+i]
		}
	}
	return false
}

func (s *deduplicate) keep(key [16]byte, sig *signature) {
	s.figures.kept++
	s.exact[key] = struct{}{}
	if s.bands == nil {
		return
	}
	at := int32(len(s.kept))
	s.kept = append(s.kept, *sig)
	for i := range permutations / s.rows {
		b := s.band(sig, i)
		last, ok := s.bands[b]
		if !ok {
			last = -1
		}
		s.bands[b], s.before = at, append(s.before, last)
	}
}

// band is the hash of one band of a signature.
func (s *deduplicate) band(sig *signature, i int) uint64 {
	h := uint64(basis) + uint64(i)
	for _, v := range sig[i*s.rows : (i+1)*s.rows] {
		h = mix((h ^ uint64(v)) * prime)
	}
	return h
}

// Finish reports the counts.
func (s *deduplicate) Finish(t *transforms.Trace) error {
	t.Figure("deduplicate.exact", s.figures.exact)
	t.Figure("deduplicate.near", s.figures.near)
	t.Figure("deduplicate.kept", s.figures.kept)
	return nil
}
