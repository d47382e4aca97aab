// SPDX-License-Identifier: Apache-2.0

package choose

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"

	"github.com/glovebox-dev/glovebox/transforms"
)

// SampleConfig is the configuration of sample: each record stays with the same probability, by a keyed hash of it. A record is in
// or out for one key whatever else is in the dataset, so that versions of a dataset have samples that fit together.
type SampleConfig struct {
	// Fraction is the probability: "1/8" or "0.125".
	Fraction string `json:"fraction"`
	// By names the field that is hashed, e.g. a patient's number: all records with one value are in or out together. Without
	// it the whole record is.
	By string `json:"by,omitempty"`
	// Seed takes the place of the dataset's key: everybody who knows it can tell which records are in.
	Seed string `json:"seed,omitempty"`
}

const sampleLabel = "glovebox.dev/sample/v1"

type sample struct {
	c        SampleConfig
	fraction fraction
	mac      hash.Hash
	sum      []byte
}

// NewSample makes a sample step.
func NewSample(config json.RawMessage, _ transforms.Schema, env *transforms.Env) (transforms.Step, error) {
	s := &sample{}
	if err := decode("sample", config, &s.c); err != nil {
		return nil, err
	}
	f, ok := parseFraction(s.c.Fraction)
	if !ok || f.num == 0 || f.num > f.den {
		return nil, wrong("sample", "fraction is %q, want \"1/8\" or \"0.125\", above 0 and at most 1", s.c.Fraction)
	}
	s.fraction = f
	switch {
	case s.c.Seed != "":
		key := sha256.Sum256([]byte(sampleLabel + "\x00" + s.c.Seed))
		s.mac = hmac.New(sha256.New, key[:])
	case env == nil || env.Keys == nil:
		return nil, fmt.Errorf("%w: sample: choosing records secretly needs the dataset's keys; or give a seed", transforms.ErrEnv)
	default:
		key := env.Keys.Dataset(sampleLabel)
		s.mac = hmac.New(sha256.New, key[:])
	}
	return s, nil
}

// Schema is unchanged.
func (s *sample) Schema(in transforms.Schema) (transforms.Schema, error) {
	if s.c.By == "" {
		return in, nil
	}
	return in, checkField("sample", s.c.By, in)
}

// Transform keeps a record or drops it. One without the field that decides is quarantined: nobody can say where it belongs.
func (s *sample) Transform(r *transforms.Record, t *transforms.Trace) (transforms.Verdict, error) {
	s.mac.Reset()
	found := false
	add := func(text []byte) {
		found = true
		s.mac.Write(binary.BigEndian.AppendUint64(s.sum[:0], uint64(len(text))))
		s.mac.Write(text)
	}
	if s.c.By != "" {
		each(r, s.c.By, func(text []byte, k transforms.Kind) bool {
			if k != transforms.Null {
				add(text)
			}
			return true
		})
		if !found {
			t.Reason("no-sampling-field")
			return transforms.Quarantine, nil
		}
	} else {
		fields := r.Fields()
		for i := range fields {
			add([]byte(fields[i].Path))
			add(fields[i].Text)
		}
	}
	s.sum = s.mac.Sum(s.sum[:0])
	if s.fraction.below(binary.BigEndian.Uint64(s.sum)) {
		return transforms.Keep, nil
	}
	return transforms.Drop, nil
}
