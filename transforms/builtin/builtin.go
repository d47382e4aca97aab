// SPDX-License-Identifier: Apache-2.0

// Package builtin is the catalogue of the steps that a release has built in.
//
// Trust domain: the creator's side at ingest, the enclave process at run time, and the shipped WebAssembly; pure. Its one job:
// a name stands for one method, and a pinned step is made only by the release that has this very method: [New] compares digests.
package builtin

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
)

// label begins what is hashed for a built-in's digest.
const label = "glovebox.dev/built-in/v1"

// Entry is one built-in step. New checks the whole configuration; what depends on the records' columns or format is for
// the step's Schema to check, so that a step can be pinned before there are records.
type Entry struct {
	Name    string
	Version string // changes whenever the step's output does: its golden digest tells
	Shape   string // what it may make of records: dataset.ShapeMap or dataset.ShapeFilter
	What    string // it does: one sentence
	Needs   string // what of an Env it may need: "keys", "noise", or both
	Members []Member
	New     func(config json.RawMessage, in transforms.Schema, env *transforms.Env) (transforms.Step, error)
	// Epsilon is what the step's noise spends for one record, in millionths. Nil: it draws none.
	Epsilon func(config json.RawMessage) (int64, error)
	// Tables are digests of the data tables that the method uses beside its code: models, word lists. Nil: none.
	Tables func() [][sha256.Size]byte
}

// Member is a member of a step's configuration, for the documentation.
type Member struct {
	Name, What string
}

// Names are the names of all built-ins, in the catalogue's order.
func Names() []string {
	all := catalogue()
	out := make([]string, 0, len(all))
	for i := range all {
		out = append(out, all[i].Name)
	}
	return out
}

// Describe is the catalogue.
func Describe() []Entry { return catalogue() }

// find is the entry of a name. Its error wraps transforms.ErrUnknown.
func find(name string) (*Entry, error) {
	all := catalogue()
	for i := range all {
		if all[i].Name == name {
			return &all[i], nil
		}
	}
	return nil, fmt.Errorf("%w: no built-in step is named %q; there are %s", transforms.ErrUnknown, name, strings.Join(Names(), ", "))
}

// Digest names the method of a built-in: its name, version and data tables. It is zero for a name that there is not.
func Digest(name string) envelope.Digest {
	e, err := find(name)
	if err != nil {
		return envelope.Digest{}
	}
	return e.digest()
}

func (e *Entry) digest() envelope.Digest {
	fields := [][]byte{[]byte(e.Name), []byte(e.Version)}
	if e.Tables != nil {
		for _, d := range e.Tables() {
			fields = append(fields, d[:])
		}
	}
	return envelope.Hash(label, fields...)
}

// New makes a pinned step; it is a transforms.Maker. A name or digest that this release does not have wraps transforms.ErrUnknown.
func New(s *dataset.Step, in transforms.Schema, env *transforms.Env) (transforms.Step, error) {
	e, err := find(s.Name)
	if err != nil {
		return nil, err
	}
	if have := e.digest(); s.Digest != have {
		return nil, fmt.Errorf("%w: %s is pinned as %s, this release has %s (version %s): use the release that made the terms, or pin the step anew",
			transforms.ErrUnknown, s.Name, s.Digest, have, e.Version)
	}
	epsilon, err := e.epsilon(s.Config)
	if err != nil {
		return nil, err
	}
	if s.Epsilon != epsilon {
		return nil, fmt.Errorf("%w: %s spends %d millionths of epsilon a record, the step says %d", transforms.ErrConfig, s.Name, epsilon, s.Epsilon)
	}
	if env == nil {
		env = &transforms.Env{}
	}
	return e.New(s.Config, in, env)
}

func (e *Entry) epsilon(config json.RawMessage) (int64, error) {
	if e.Epsilon == nil {
		return 0, nil
	}
	return e.Epsilon(config)
}

// Pin makes a pinned step of a built-in: the configuration, anything that encodes to a JSON object, is checked by making the step.
func Pin(name string, config any) (dataset.Step, error) {
	e, err := find(name)
	if err != nil {
		return dataset.Step{}, err
	}
	raw, err := envelope.Canonical(config)
	if err != nil {
		return dataset.Step{}, fmt.Errorf("%w: %s: %v", transforms.ErrConfig, name, err)
	}
	s := dataset.Step{Name: name, Digest: e.digest(), Config: raw}
	if s.Epsilon, err = e.epsilon(raw); err != nil {
		return dataset.Step{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := s.Validate(); err != nil {
		return dataset.Step{}, fmt.Errorf("%w: %w", transforms.ErrConfig, err)
	}
	if _, err := New(&s, transforms.Schema{}, &transforms.Env{Keys: noKeys{}, Noise: noNoise{}}); err != nil {
		return dataset.Step{}, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// noKeys and noNoise stand in while a configuration is checked: no record is seen with them.
type (
	noKeys  struct{}
	noNoise struct{}
)

func (noKeys) Dataset(string) (k [32]byte) { return k }
func (noKeys) Grant(string) (k [32]byte)   { return k }

func (noNoise) Read([]byte) (int, error) { return 0, transforms.ErrEnv }
