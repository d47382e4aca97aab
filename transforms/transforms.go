// SPDX-License-Identifier: Apache-2.0

// Package transforms is what stands between records and code: pipelines of pinned steps that redact, pseudonymise,
// generalise, add noise, choose, and count what they did.
//
// Trust domain: the creator's side at ingest, the enclave process at run time; the package is pure and holds no key but
// those that an [Env] lends. Its one job: a [Pipeline] turns the records of a dataset into what may be seen of them, one at a
// time and in order, or it stops; a record that a step could not clean never passes.
//
// Built-in steps live in the packages below and are listed by package builtin. Modules of the creator's are run by an [Env]:
// by the enclave's workers, or by glovebox-run at ingest. docs/transforms.md has the catalogue.
package transforms

import (
	"context"
	"errors"
	"io"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of this package. None has text of a record in it.
var (
	// ErrConfig is a step whose configuration is wrong; the text says where and what would be right.
	ErrConfig = errors.New("transforms: invalid configuration")
	// ErrUnknown is a step that this release does not have, or has with another digest than the pinned one.
	ErrUnknown = errors.New("transforms: not the pinned step")
	// ErrRecord is a record that cannot be read in the dataset's format.
	ErrRecord = errors.New("transforms: malformed record")
	// ErrShape is a step that made more, fewer or other records than its shape allows.
	ErrShape = errors.New("transforms: step changed the number of records")
	// ErrModule is a module that failed: it trapped, hung, lied or ran out of fuel.
	ErrModule = errors.New("transforms: module failed")
	// ErrEnv is a step that needs what the caller did not lend: keys, noise, modules, a spool.
	ErrEnv = errors.New("transforms: not available here")
)

// Schema is what all records of a dataset have in common.
type Schema struct {
	Format  dataset.Format
	Columns []string // of CSV, in order; nil for other formats
}

// Verdict is what becomes of a record.
type Verdict int

// Verdicts. The zero Verdict lets nothing pass.
const (
	Refused    Verdict = iota // the pipeline ends: a step that returns it returns an error too
	Keep                      // it goes on, as the step left it
	Drop                      // it is left out, as the step is meant to do
	Quarantine                // it is left out because the step could not make it safe; counted with a reason
)

// Step is a built-in step. It is used by one goroutine, in the order of the records, and keeps no text of a record longer
// than its job needs.
type Step interface {
	// Schema is what records look like after the step. It is called once, before the first record.
	Schema(in Schema) (Schema, error)
	// Transform changes the record in place and says what becomes of it. With Quarantine it calls [Trace.Reason].
	Transform(r *Record, t *Trace) (Verdict, error)
}

// Surveyor is a step that must see all records before it can transform the first: its Survey is called for each, as the
// steps before left it, then Settle once, then Transform for each again. Survey must not change the record.
type Surveyor interface {
	Step
	Survey(r *Record) error
	Settle(t *Trace) error
}

// Finisher is a step with something to do or to report after the last record.
type Finisher interface {
	Step
	Finish(t *Trace) error
}

// Wiper is a step that holds texts of records or keys: it forgets them when the pipeline is closed.
type Wiper interface {
	Step
	Wipe()
}

// Module is a module of the creator's, running. Batch takes records as text and gives back what became of each: with shape
// map as many, with shape filter as many where nil is one left out, with shape any any number; the pipeline checks it.
// An error wraps ErrModule and ends the run.
type Module interface {
	Batch(ctx context.Context, in [][]byte) (out [][]byte, report ModuleReport, err error)
	// Flush ends the input, and gives what the module kept back; with shapes other than any that must be nothing.
	Flush(ctx context.Context) (out [][]byte, report ModuleReport, err error)
	Close() error
}

// ModuleReport is what a module said and used since it was asked last.
type ModuleReport struct {
	Findings map[string]int64 // by type; at most MaxTypes
	Fuel     int64
}

// Keys lends keys to steps. They are secrets of the dataset's owner.
type Keys interface {
	// Dataset is a key that stays the same for a dataset: HKDF-Expand-SHA512 of its package key and the label.
	Dataset(label string) [32]byte
	// Grant is a key of one grant alone; at ingest, of one pack.
	Grant(label string) [32]byte
}

// Env is what a pipeline is lent. What is nil is not available, and steps that need it are refused.
type Env struct {
	Keys Keys
	// Noise is a source of uniform random bytes that nobody else knows: crypto/rand.Reader but in tests.
	Noise io.Reader
	// Approximate says that whoever runs the pipeline accounts for a delta too, which a signed step does not state: steps that
	// spend one are refused elsewhere.
	Approximate bool
	// Module starts a module step. Columns and format are in the schema.
	Module func(ctx context.Context, s *dataset.Step, in Schema) (Module, error)
	// Alone says that whether the run ends must not depend on any record: one that a step fails at is left out, and that no record has
	// a field, or whatever else steps find out about all of them, is nobody's to know. Nor may what becomes of a record depend on another.
	Alone bool
	// Finding is told each finding as it is made; nil: only counts are kept.
	Finding func(Finding)
	// Spool makes room for all records of a dataset, for steps that must see them twice. Nil: in memory, up to MaxMemory.
	Spool func() (Spool, error)
}

// Finding is one finding of a step, for the decision trace. It has no text.
type Finding struct {
	Step       int    // from 0, of the pipeline's; filled in
	Record     int64  // from 0, of the records that came into the pipeline; filled in
	Path       string // of the field
	Type       string
	Start, End int // Unicode code points of the field's text as the step found it
	Score      int // thousandths
	Rule       string
	Why        []string
	Action     string // what was done, e.g. "replace"; "" if nothing
	TextSHA256 envelope.Digest
}

// Bounds.
const (
	MaxTypes  = 256                  // types of findings that one step may have
	MaxType   = dataset.MaxCountName // bytes of a type's name
	MaxMemory = 64 << 20             // of a Spool in memory
	// MaxFile is the largest file that a step takes: files are held whole. A larger one passes steps that only look, and is quarantined by all others.
	MaxFile = 64 << 20
)
