// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// Request is the whole input of a decision. Its JSON is what the Rego rules read; every field is required, and
// [Request.Validate] is its schema.
type Request struct {
	Now       int64    `json:"now"`   // broker's clock, Unix milliseconds
	Buyer     string   `json:"buyer"` // the buyer whose jobs may use this owner's code; "" at a creator's broker
	Package   Package  `json:"package"`
	Terms     Terms    `json:"terms"`
	Job       Job      `json:"job"`
	Evidence  Evidence `json:"evidence"`
	Account   Account  `json:"account"`
	Revoked   Revoked  `json:"revoked"`
	Cancelled bool     `json:"cancelled"`
}

// Package is what is asked for.
type Package struct {
	Manifest envelope.Digest `json:"manifest"`
	Kind     dataset.Kind    `json:"kind"`
	Test     bool            `json:"test"`
	Version  int64           `json:"version"`
	Latest   int64           `json:"latest"` // the highest version of the same package that this broker holds
	Leaves   int64           `json:"leaves"`
}

// Terms are the manifest's terms, as far as they bear on the release.
type Terms struct {
	Modes          []string `json:"modes"`
	Purposes       []string `json:"purposes"`
	Outputs        []string `json:"outputs"`
	MaxOutputBytes int64    `json:"maxOutputBytes"`
	MaxEpochs      int      `json:"maxEpochs"`
	MaxUses        int64    `json:"maxUses"`
	Logs           string   `json:"logs"`
	Allowance      int64    `json:"allowance"`
	LeaseSeconds   int64    `json:"leaseSeconds"`
	NotAfter       int64    `json:"notAfter"`
	MinAssurance   string   `json:"minAssurance"`
}

// Job is what the buyer signed, as far as it bears on the release.
type Job struct {
	ID          envelope.Digest `json:"id"`
	Buyer       string          `json:"buyer"`
	Purpose     string          `json:"purpose"`
	Mode        string          `json:"mode"`
	Runtime     string          `json:"runtime"`
	Epochs      int             `json:"epochs"`
	Outputs     []string        `json:"outputs"` // classes
	OutputBytes int64           `json:"outputBytes"`
	SpendCap    int64           `json:"spendCap"`
	NotAfter    int64           `json:"notAfter"`
}

// Evidence is what the verified claims say.
type Evidence struct {
	Assurance attestation.Assurance `json:"assurance"`
	Reference string                `json:"reference"`
	Runtime   string                `json:"runtime"`
}

// Account is the ledger's view.
type Account struct {
	Uses     int64 `json:"uses"`     // of this package, by other jobs
	Reserved int64 `json:"reserved"` // for this job, on other packages of this broker
	Cost     int64 `json:"cost"`     // the most this package may cost this job
}

// Revoked says what the owner has withdrawn.
type Revoked struct {
	Manifest bool `json:"manifest"`
	Job      bool `json:"job"`
	Buyer    bool `json:"buyer"`
}

// Fill copies what a manifest and a job say into r.
func (r *Request) Fill(manifest envelope.Digest, m *dataset.Manifest, id envelope.Digest, j *job.Job) {
	t := m.Terms
	r.Package = Package{manifest, m.Kind, m.Test, m.Version, r.Package.Latest, m.Tree.Size}
	r.Terms = Terms{
		list(t.Modes), list(t.Purposes), list(t.Outputs), t.MaxOutputBytes, t.MaxEpochs, t.MaxUses, t.Logs, t.Allowance,
		t.LeaseSeconds, t.NotAfter, t.MinAssurance,
	}
	classes := []string{}
	for _, o := range j.Outputs {
		classes = append(classes, o.Class)
	}
	slices.Sort(classes)
	r.Job = Job{
		id, j.Buyer.String(), j.Purpose, j.Mode, j.Runtime, j.Epochs, slices.Compact(classes), j.Limits.OutputBytes,
		j.SpendCap, j.NotAfter,
	}
}

// list makes an absent list an empty one: JSON null is not a list.
func list(s []string) []string { return append([]string{}, s...) }

// Validate is the schema: what is missing or out of range never reaches the rules.
func (r *Request) Validate() error {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrRequest, fmt.Sprintf(f, a...)) }
	switch {
	case r.Now <= 0:
		return bad("no time")
	case r.Package.Manifest.IsZero() || r.Job.ID.IsZero():
		return bad("no manifest or no job")
	case r.Package.Kind != dataset.KindDataset && r.Package.Kind != dataset.KindCode:
		return bad("kind %q", r.Package.Kind)
	case r.Package.Version < 1 || r.Package.Latest < r.Package.Version || r.Package.Leaves < 1:
		return bad("version or leaves")
	case r.Terms.Modes == nil || r.Terms.Purposes == nil || r.Terms.Outputs == nil || r.Job.Outputs == nil:
		return bad("absent list")
	case min(r.Terms.MaxOutputBytes, int64(r.Terms.MaxEpochs), r.Terms.MaxUses, r.Terms.NotAfter) < 0:
		return bad("negative term")
	case r.Terms.Allowance < 1 || r.Terms.LeaseSeconds < 1 || r.Terms.LeaseSeconds > job.MaxWall:
		return bad("allowance or lease")
	case r.Job.Buyer == "" || r.Job.Purpose == "" || r.Job.Mode == "" || r.Job.Runtime == "":
		return bad("job incomplete")
	case r.Job.Epochs < 1 || r.Job.OutputBytes < 1 || r.Job.SpendCap < 0 || r.Job.NotAfter < 1 || len(r.Job.Outputs) == 0:
		return bad("job out of range")
	case max(r.Terms.NotAfter, r.Job.NotAfter) > job.MaxAmount:
		return bad("expiry out of range")
	case r.Evidence.Assurance == "" || r.Evidence.Reference == "" || r.Evidence.Runtime == "":
		return bad("evidence incomplete")
	case min(r.Account.Uses, r.Account.Reserved, r.Account.Cost) < 0:
		return bad("negative account")
	}
	return nil
}
