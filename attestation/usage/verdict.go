// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of [VerifyResult] and [Verdict.Err].
var (
	ErrRefused = errors.New("usage: the bundle does not verify")
	ErrResult  = errors.New("usage: the file is not the result this bundle attests")
)

// Finding is one reason not to believe a bundle.
type Finding struct {
	Rule    string `json:"rule"` // stable, for machines; docs/spec/bundle.md lists them
	Part    string `json:"part"` // where: usage, proof, evidence, job, manifest[i], grant[i], commit[i], ticket, trust, bundle
	Message string `json:"message"`
}

func (f Finding) String() string { return f.Part + ": " + f.Message + " (" + f.Rule + ")" }

// Fact is something true of a bundle that an auditor should know and that does not speak against it.
type Fact struct {
	Rule    string `json:"rule"`
	Part    string `json:"part"`
	Message string `json:"message"`
}

// Verdict is the outcome of a verification. Only [Bundle.Verify] and [Audit] make one that is [Verdict.OK].
type Verdict struct {
	Verified  bool                  `json:"verified"`  // no findings
	Witnessed bool                  `json:"witnessed"` // verified, with trusted witnesses' cosignatures under all that should have them
	Assurance attestation.Assurance `json:"assurance"` // the weakest that the evidence earned; "" if none
	Usage     *envelope.Digest      `json:"usage"`     // identity of the usage statement
	Result    *envelope.Digest      `json:"result"`    // of the age file; null unless the run completed
	Statement *Statement            `json:"statement"` // null if its signature does not verify
	Enclave   *Enclave              `json:"enclave"`   // null as Statement is
	Paid      []Paid                `json:"paid"`      // the receipts that grants were given for
	Findings  []Finding             `json:"findings"`
	Facts     []Fact                `json:"facts"`

	complete bool // every step ran; what keeps a Verdict made elsewhere from being OK
}

// Enclave is what the evidence binds of the enclave beside its measurement; docs/spec/evidence.md says how each is computed.
type Enclave struct {
	Configuration envelope.Digest `json:"configuration"`
	SelfTest      envelope.Digest `json:"selfTest"`
	Engine        envelope.Digest `json:"engine"`
}

// OK reports whether nothing speaks against the bundle. The zero Verdict is not OK.
func (v *Verdict) OK() bool {
	return v != nil && v.complete && v.Verified && len(v.Findings) == 0 && v.Statement != nil
}

// Err is nil for a verdict that is OK, else [ErrRefused] with the first finding and how many there are.
func (v *Verdict) Err() error {
	switch {
	case v.OK():
		return nil
	case v == nil || len(v.Findings) == 0:
		return fmt.Errorf("%w: not verified", ErrRefused)
	case len(v.Findings) == 1:
		return fmt.Errorf("%w: %s", ErrRefused, v.Findings[0])
	}
	return fmt.Errorf("%w: %s, and %d more", ErrRefused, v.Findings[0], len(v.Findings)-1)
}

// VerifyResult checks that an age file is the verified subject of a completed run. It reads the file to its end and must
// come before anything is decrypted from it.
func VerifyResult(v *Verdict, age io.Reader) error {
	if err := v.Err(); err != nil {
		return err
	}
	if v.Result == nil {
		return fmt.Errorf("%w: the run failed (%s) and has no result", ErrResult, v.Statement.Reason)
	}
	h := sha256.New()
	if _, err := io.Copy(h, age); err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	if got := envelope.Digest(h.Sum(nil)); got != *v.Result {
		return fmt.Errorf("%w: its digest is %s, the attested one %s", ErrResult, got, *v.Result)
	}
	return nil
}
