// SPDX-License-Identifier: Apache-2.0

// Package job is the signed order of one training job: what a buyer wants run, on what, within which limits.
//
// Trust domain: all; the package is pure. Its one job: a [Job] that verified is complete, bounded and signed by its
// buyer. docs/spec/job.md is the format.
package job

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of this package; both mean the job must not run.
var (
	ErrInvalid = errors.New("job: invalid")
	ErrRuntime = fmt.Errorf("%w: unknown runtime class", ErrInvalid)
	// ErrAnswers is a job of mode sample-aggregate with more numbers in more shards than are aggregated.
	ErrAnswers = fmt.Errorf("%w: privacy: too many answers", ErrInvalid)
)

// RuntimeWASM is the runtime class of this release: WASI preview 1 through wazero's compiler in a keyless worker
// process, bounded by memory, wall time and fuel, which is counted inside the code and is the same on every machine.
const RuntimeWASM = "wasm-fuel/1"

// Runtime classes of differentially private modes.
const (
	// RuntimeTrain gives a guest one record at a time, its memory put back in between; the enclave bounds and sums gradients.
	RuntimeTrain = "wasm-train/1"
	// RuntimeTrainSum is the same with the worker process bounding and summing: faster, and ε rests on the worker too.
	RuntimeTrainSum = "wasm-train-sum/1"
	// RuntimeQuery runs no code: the enclave answers queries.
	RuntimeQuery = "dp-query/1"
)

// Job is the predicate of a [envelope.JobType] statement. Its subjects are the code and every dataset, by manifest
// digest. Changing a field's meaning needs a new predicate type; fields are never removed.
type Job struct {
	ID         envelope.Nonce     `json:"id"`         // random; two submissions of the same work are two jobs
	Buyer      envelope.PublicKey `json:"buyer"`      // signs this statement
	Code       envelope.Digest    `json:"code"`       // manifest of the code package
	Datasets   []envelope.Digest  `json:"datasets"`   // manifests, in the order the code sees them; 1 to MaxDatasets
	Transforms []envelope.Digest  `json:"transforms"` // the buyer's own steps, by module digest; none in this release
	Purpose    string             `json:"purpose"`    // a term the creator's licence may allow or prohibit
	Use        Use                `json:"use"`        // what the buyer declares about the use, and answers for
	Receipts   []string           `json:"receipts"`   // licence receipts, compact JWS; empty where no terms ask for one
	Mode       string             `json:"mode"`       // privacy mode asked for; each manifest must allow it
	Runtime    string             `json:"runtime"`    // runtime class
	Epochs     int                `json:"epochs"`     // passes over the data, at most
	Limits     Limits             `json:"limits"`
	Outputs    []Output           `json:"outputs"`   // everything that may leave; an undeclared file is dropped and named
	Params     map[string]string  `json:"params"`    // given to the code as environment variables
	Privacy    *Privacy           `json:"privacy"`   // what the enclave will do to the data in a differentially private mode; null in the others
	Seed       envelope.Nonce     `json:"seed"`      // of the code's random source: same inputs, same outputs
	SpendCap   int64              `json:"spendCap"`  // in millionths of the currency unit of each manifest's price, summed
	Recipient  string             `json:"recipient"` // age recipient of the result
	NotAfter   int64              `json:"notAfter"`  // Unix seconds, broker's clock; no release later
}

// Use is what a buyer declares, by her signature, about the use of the result.
type Use struct {
	Commercial bool   `json:"commercial"`
	Derive     bool   `json:"derive"`    // the result will be changed, built upon or passed on
	Territory  string `json:"territory"` // where it will be used: ISO 3166-1 alpha-2, or "*": anywhere
}

// Limits bound a run. All are required and positive.
type Limits struct {
	MemoryBytes int64 `json:"memoryBytes"` // the code's linear memory
	WallSeconds int64 `json:"wallSeconds"`
	OutputBytes int64 `json:"outputBytes"` // all outputs together
	Fuel        int64 `json:"fuel"`        // units of the runtime class's cost table
}

// Output declares one file the code may write under /out.
type Output struct {
	Name     string `json:"name"`  // one path element: at most 100 letters, digits, dots, dashes, underscores
	Class    string `json:"class"` // "model", "metrics" or "table": what the creator's terms speak of
	MaxBytes int64  `json:"maxBytes"`
}

var (
	outputName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`) // 100 bytes: a name in a USTAR archive
	paramName  = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
	term       = regexp.MustCompile(`^[a-z0-9][a-z0-9._:/-]{0,127}$`)
	territory  = regexp.MustCompile(`^([A-Z]{2}|\*)$`)
	compactJWS = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)
)

// OutputClasses are the classes an output may declare.
func OutputClasses() []string { return []string{"metrics", "model", "table"} }

// Sign validates and signs j with the buyer's key.
func Sign(j *Job, s *envelope.Signer) (signed []byte, id envelope.Digest, err error) {
	if err := j.Validate(); err != nil {
		return nil, id, err
	}
	if !j.Buyer.Equal(s.Public()) {
		return nil, id, fmt.Errorf("%w: the job names another buyer", ErrInvalid)
	}
	return envelope.Sign(s, envelope.JobType, j.subjects(), j)
}

// Verify is the only way to get a trusted Job: signed by the buyer it names, complete and within bounds.
func Verify(signed []byte) (*envelope.Verified[Job], error) {
	v, err := envelope.VerifyNamed(signed, envelope.JobType, func(j *Job) (envelope.PublicKey, error) { return j.Buyer, nil })
	if err != nil {
		return nil, err
	}
	if err := v.Predicate.Validate(); err != nil {
		return nil, err
	}
	if !slices.Equal(v.Subject, v.Predicate.subjects()) {
		return nil, fmt.Errorf("%w: subjects are not the job's code and datasets", ErrInvalid)
	}
	return v, nil
}

func (j *Job) subjects() []envelope.Subject {
	out := []envelope.Subject{envelope.NewSubject("code", j.Code)}
	for _, d := range j.Datasets {
		out = append(out, envelope.NewSubject("dataset", d))
	}
	return out
}

// Manifests lists the code's manifest and every dataset's, in this order: the packages whose owners must all release.
func (j *Job) Manifests() []envelope.Digest { return append([]envelope.Digest{j.Code}, j.Datasets...) }

// Validate checks every field. The zero Job is invalid.
func (j *Job) Validate() error {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(f, a...)) }
	switch {
	case j.ID.IsZero():
		return bad("no id")
	case j.Buyer.IsZero():
		return bad("no buyer")
	case j.Code.IsZero():
		return bad("no code")
	case len(j.Datasets) == 0 || len(j.Datasets) > MaxDatasets:
		return bad("%d datasets, want 1 to %d", len(j.Datasets), MaxDatasets)
	case len(j.Transforms) != 0:
		return bad("buyer transforms are not supported in this release")
	case !term.MatchString(j.Purpose):
		return bad("purpose %q", j.Purpose)
	case !territory.MatchString(j.Use.Territory):
		return bad("territory %q, want two capital letters (ISO 3166-1), or * for anywhere", j.Use.Territory)
	case !term.MatchString(j.Mode):
		return bad("mode %q", j.Mode)
	case !slices.Contains(RuntimesOf(j.Mode), j.Runtime):
		return fmt.Errorf("%w: %q, in mode %s this release has %s", ErrRuntime, j.Runtime, j.Mode, strings.Join(RuntimesOf(j.Mode), " and "))
	case j.Epochs < 1 || j.Epochs > MaxEpochs:
		return bad("epochs %d, want 1 to %d", j.Epochs, MaxEpochs)
	case j.Seed.IsZero():
		return bad("no seed")
	case j.SpendCap < 0 || j.SpendCap > MaxAmount:
		return bad("spend cap %d", j.SpendCap)
	case !strings.HasPrefix(j.Recipient, "age1") || len(j.Recipient) > MaxRecipient:
		return bad("recipient is not an age recipient")
	case j.NotAfter <= 0 || j.NotAfter > MaxAmount:
		return bad("no expiry")
	}
	seen := map[envelope.Digest]bool{j.Code: true}
	for _, d := range j.Datasets {
		if d.IsZero() || seen[d] {
			return bad("dataset missing or named twice")
		}
		seen[d] = true
	}
	if err := j.Limits.validate(); err != nil {
		return err
	}
	if err := j.validateOutputs(); err != nil {
		return err
	}
	if err := j.validateReceipts(); err != nil {
		return err
	}
	if err := j.validatePrivacy(); err != nil {
		return err
	}
	return j.validateParams()
}

func (l Limits) validate() error {
	switch {
	case l.MemoryBytes < 1<<20 || l.MemoryBytes > MaxMemory:
		return fmt.Errorf("%w: memory limit %s, want 1 MiB to %s", ErrInvalid, size(l.MemoryBytes), size(MaxMemory))
	case l.WallSeconds < 1 || l.WallSeconds > MaxWall:
		return fmt.Errorf("%w: wall limit %d s, want 1 s to %d s", ErrInvalid, l.WallSeconds, MaxWall)
	case l.OutputBytes < 1 || l.OutputBytes > MaxOutput:
		return fmt.Errorf("%w: output limit %s, want 1 B to %s", ErrInvalid, size(l.OutputBytes), size(MaxOutput))
	case l.Fuel < 1 || l.Fuel > MaxAmount:
		return fmt.Errorf("%w: fuel limit %d units, want 1 unit to %d units", ErrInvalid, l.Fuel, int64(MaxAmount))
	}
	return nil
}

func (j *Job) validateOutputs() error {
	if len(j.Outputs) == 0 || len(j.Outputs) > MaxOutputs {
		return fmt.Errorf("%w: %d outputs, want 1 to %d", ErrInvalid, len(j.Outputs), MaxOutputs)
	}
	names := map[string]bool{}
	for _, o := range j.Outputs {
		switch {
		case !outputName.MatchString(o.Name) || names[o.Name]:
			return fmt.Errorf("%w: output name %q is malformed or repeated", ErrInvalid, o.Name)
		case !slices.Contains(OutputClasses(), o.Class):
			return fmt.Errorf("%w: output %s has unknown class %q", ErrInvalid, o.Name, o.Class)
		case o.MaxBytes < 1 || o.MaxBytes > j.Limits.OutputBytes:
			return fmt.Errorf("%w: output %s may be %s, want 1 B to the job's %s", ErrInvalid, o.Name, size(o.MaxBytes), size(j.Limits.OutputBytes))
		}
		names[o.Name] = true
	}
	return nil
}

// validateReceipts checks their form only: who issued them is for brokers and auditors to verify.
func (j *Job) validateReceipts() error {
	if len(j.Receipts) > MaxReceipts {
		return fmt.Errorf("%w: %d receipts, at most %d", ErrInvalid, len(j.Receipts), MaxReceipts)
	}
	seen := map[string]bool{}
	for i, r := range j.Receipts {
		if len(r) > MaxReceipt || !compactJWS.MatchString(r) || seen[r] {
			return fmt.Errorf("%w: receipt %d is not a compact JWS of at most %d bytes, or is there twice", ErrInvalid, i+1, MaxReceipt)
		}
		seen[r] = true
	}
	return nil
}

func (j *Job) validateParams() error {
	if len(j.Params) > MaxParams {
		return fmt.Errorf("%w: %d params, at most %d", ErrInvalid, len(j.Params), MaxParams)
	}
	for k, v := range j.Params {
		if !paramName.MatchString(k) || len(v) > MaxParam || strings.ContainsRune(v, 0) {
			return fmt.Errorf("%w: param %q", ErrInvalid, k)
		}
	}
	return nil
}

// Cancel is the predicate of a [envelope.CancelType] statement: the buyer withdraws a job.
type Cancel struct {
	Job    envelope.Digest `json:"job"`
	Reason string          `json:"reason"`
}

// SignCancel validates and signs a cancellation with the buyer's key.
func SignCancel(c *Cancel, s *envelope.Signer) (signed []byte, id envelope.Digest, err error) {
	if err := c.Validate(); err != nil {
		return nil, id, err
	}
	return envelope.Sign(s, envelope.CancelType, c.subjects(), c)
}

// VerifyCancel reads a cancellation signed by the given buyer.
func VerifyCancel(signed []byte, buyer envelope.PublicKey) (*envelope.Verified[Cancel], error) {
	v, err := envelope.Verify[Cancel](signed, envelope.Expect{
		Role: envelope.RoleBuyer, Key: buyer, PayloadType: envelope.PayloadType, PredicateType: envelope.CancelType,
	})
	if err != nil {
		return nil, err
	}
	if err := v.Predicate.Validate(); err != nil {
		return nil, err
	}
	if !slices.Equal(v.Subject, v.Predicate.subjects()) {
		return nil, fmt.Errorf("%w: subject is not the job", ErrInvalid)
	}
	return v, nil
}

func (c *Cancel) subjects() []envelope.Subject {
	return []envelope.Subject{envelope.NewSubject("job", c.Job)}
}

// Validate refuses a cancellation that names no job or no reason.
func (c *Cancel) Validate() error {
	if c.Job.IsZero() || c.Reason == "" || len(c.Reason) > MaxParam {
		return fmt.Errorf("%w: cancellation without job or reason", ErrInvalid)
	}
	return nil
}

// size writes bytes exactly, in the largest unit that divides them.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB"}
	i := 0
	for ; n != 0 && n%1024 == 0 && i < len(units)-1; i++ {
		n /= 1024
	}
	return fmt.Sprintf("%d %s", n, units[i])
}
