// SPDX-License-Identifier: Apache-2.0

// Package bom tells other people's tools what a package or a run's result is made of: CycloneDX 1.6 and SPDX 3.0.1 bills of
// materials, and Croissant metadata.
//
// Trust domain: whoever holds a manifest or a bundle; the package is pure and verifies nothing. Its one job: to say what was
// signed, in the words of others, and always the same for the same input, so that a copy can be compared ([Compare]).
// docs/external.md says how each field is derived.
package bom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors.
var (
	ErrInput  = errors.New("bom: nothing to describe")
	ErrDiffer = errors.New("bom: not the document of this input")
)

// MaxDocument bounds a document in bytes.
const MaxDocument = 64 << 20

// classModel is the output class of models; a result with one is described as a model.
const classModel = "model"

// Package is a package whose manifest the caller has verified.
type Package struct {
	ID       envelope.Digest // of the manifest
	Manifest *dataset.Manifest
	Records  int64 // delivered to a run, repeats included; 0 outside a [Run]
}

// Run is a completed run whose bundle the caller has verified.
type Run struct {
	Usage     envelope.Digest  // of the usage statement
	Job       envelope.Digest  // of the job statement
	Evidence  envelope.Digest  // of the evidence envelope
	Result    envelope.Digest  // of the age file, header and payload
	Module    *envelope.Digest // that ran; nil where no code runs
	Buyer     string           // did:key of who asked for it
	Assurance string
	Runtime   string
	Finished  int64 // Unix milliseconds, by the code's broker
	Outputs   []Output
	Packages  []Package // the code first, then the datasets
}

// Output is one file in the result. Digests of outputs are not public, so there are none here.
type Output struct {
	Name  string
	Class string
	Bytes int64
}

// resultName is the subject of a completed run's usage attestation.
const resultName = "result.age"

func (r *Run) validate() error {
	if r == nil || r.Usage.IsZero() || r.Result.IsZero() || len(r.Packages) < 2 {
		return fmt.Errorf("%w: want a completed run with code and data", ErrInput)
	}
	for i := range r.Packages {
		if err := r.Packages[i].validate(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Package) validate() error {
	if p == nil || p.ID.IsZero() || p.Manifest == nil || len(p.Manifest.Tree.Levels) == 0 {
		return fmt.Errorf("%w: want a verified manifest", ErrInput)
	}
	return nil
}

func (r *Run) hasModel() bool {
	for _, o := range r.Outputs {
		if o.Class == classModel {
			return true
		}
	}
	return false
}

// finished is when the run ended, as both formats write it.
func (r *Run) finished() string { return time.UnixMilli(r.Finished).UTC().Format(time.RFC3339) }

// published is when the owner says that the package was published.
func (p *Package) published() string { return p.Manifest.Metadata.DatePublished + "T00:00:00Z" }

// sealedBytes is the length of all ciphertext that is there.
func (p *Package) sealedBytes() (n int64) {
	for i := range p.Manifest.Segments {
		if p.Manifest.Erased(i) == nil {
			n += p.Manifest.Segments[i].Bytes
		}
	}
	return n
}

// leafHashes is the blob whose SHA-256 the documents carry: every sealed byte can be verified from it.
func (p *Package) leafHashes() envelope.Digest { return p.Manifest.Tree.Levels[0] }

func (p *Package) isData() bool { return p.Manifest.Kind == dataset.KindDataset }

// Croissant is the manifest's own metadata, Croissant 1.1 JSON-LD.
func Croissant(p *Package) ([]byte, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	return write(p.Manifest.Metadata)
}

// write is canonical JSON, indented for people.
func write(v any) ([]byte, error) {
	c, err := envelope.Canonical(v)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, c, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// Compare checks that have says the same as want, however it is spaced. [ErrDiffer] names the first place where it does not.
func Compare(want, have []byte) error {
	if len(have) > MaxDocument {
		return fmt.Errorf("%w: more than %d bytes", ErrDiffer, MaxDocument)
	}
	a, err := envelope.Canonical(json.RawMessage(want))
	if err != nil {
		return err
	}
	b, err := envelope.Canonical(json.RawMessage(have))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDiffer, err)
	}
	if bytes.Equal(a, b) {
		return nil
	}
	var x, y any
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		return fmt.Errorf("%w: %w", ErrDiffer, err)
	}
	return fmt.Errorf("%w: %s", ErrDiffer, place("", x, y))
}
