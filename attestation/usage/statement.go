// SPDX-License-Identifier: Apache-2.0

// Package usage is the usage attestation: the statement an enclave signs about one run, the bundle that carries it with
// everything an auditor needs, and its offline verification.
//
// Trust domain: the statement is signed inside the enclave and read by everybody; verification trusts only what its
// caller pins. Its one job: no claim about usage is believed that signatures, proofs and arithmetic do not bear out.
// docs/spec/usage.md and docs/spec/bundle.md are the formats.
package usage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// ErrInvalid means a statement is incomplete or contradicts itself.
var ErrInvalid = errors.New("usage: invalid statement")

// Outcomes of a run.
const (
	OutcomeCompleted = "completed"
	OutcomeFailed    = "failed"
)

// Reasons a run failed, a closed list because free text would be a way out for data.
const (
	ReasonNone         = ""
	ReasonTrap         = "trap"          // the code trapped or exited with a status other than zero
	ReasonWall         = "wall-limit"    // the time limit passed
	ReasonFuel         = "fuel-limit"    // the code used up its fuel
	ReasonMemory       = "memory-limit"  // the code asked for more memory than it may have
	ReasonOutput       = "output-limit"  // more output than declared or allowed
	ReasonModule       = "module"        // the code is not a module this runtime admits
	ReasonDataset      = "dataset-fault" // a proof, a decryption or a batch failed
	ReasonStopped      = "stopped"       // revoked, cancelled or expired
	ReasonUnavailable  = "unavailable"   // host or broker did not answer in time, or the machine had no room for the records
	ReasonWorker       = "worker"        // the worker process died
	ReasonNotPermitted = "not-permitted" // the obligations forbid what the job asks for
	ReasonTransform    = "transform"     // a step failed, or left no record, before the code was started
)

// Statement is the predicate of a [envelope.UsageType] statement. Subject: the age file ("result.age") of a completed
// run; the grants ("grant") of a failed one. Counters under Delivered can be recomputed from read proofs; those under
// Measured are the word of the kernel the enclave runs on.
type Statement struct {
	Job        envelope.Digest  `json:"job"`
	Binding    envelope.Digest  `json:"binding"`
	Evidence   envelope.Digest  `json:"evidence"`
	Assurance  string           `json:"assurance"` // the weakest that any grant states
	Runtime    string           `json:"runtime"`
	Isolation  string           `json:"isolation"` // what confined the worker, e.g. "user,pid,net,mnt,ipc,uts;cgroup-v1"
	Attempt    int              `json:"attempt"`
	Packages   []Package        `json:"packages"` // the code first, then datasets in the job's order; a run that failed while releasing has only those released
	Outcome    string           `json:"outcome"`
	Reason     string           `json:"reason"`
	Outputs    []Output         `json:"outputs"`    // what is in the result, in the job's order
	Undeclared int64            `json:"undeclared"` // files written but not declared, dropped
	Commitment *envelope.Digest `json:"commitment"` // salted, to the plaintext outputs; null if the run failed
	Execution  *Execution       `json:"execution"`  // null if no module was admitted
	Transforms []Transform      `json:"transforms"` // by package, in the order of Packages; of those whose last record went through
	Privacy    int64            `json:"privacy"`    // ε that the grants debit, millionths, all of them together; 0 in modes without an account
	Spent      []Spend          `json:"spent"`      // by dataset, in the order of Packages: what the enclave did to records in a differentially private mode
	Receipts   []string         `json:"receipts"`   // licence receipts
	Payments   []string         `json:"payments"`   // payment ids
	Measured   Measured         `json:"measured"`
	Time       Time             `json:"time"`
}

// Package is what was used of one package.
type Package struct {
	Manifest  envelope.Digest  `json:"manifest"`
	Grant     envelope.Digest  `json:"grant"`
	Policy    envelope.Digest  `json:"policy"`
	Leaves    []grant.Range    `json:"leaves"`    // distinct leaves delivered, ascending and disjoint
	ReadRoot  *envelope.Digest `json:"readRoot"`  // RFC 6962 root over the hashes of those leaves, ascending; null if none
	Reads     int64            `json:"reads"`     // leaf deliveries, repeats included
	Bytes     int64            `json:"bytes"`     // ciphertext bytes of Reads
	Records   int64            `json:"records"`   // records delivered, repeats included
	Billable  int64            `json:"billable"`  // distinct (epoch, record) delivered, capped by the job's epochs
	Epochs    int64            `json:"epochs"`    // the most often any record was delivered
	Heartbeat int64            `json:"heartbeat"` // last heartbeat sequence
}

// Output is one file in the result.
type Output struct {
	Name  string `json:"name"`
	Class string `json:"class"`
	Bytes int64  `json:"bytes"`
}

// Measured are figures from the kernel, not proofs.
type Measured struct {
	CPUMillis  int64 `json:"cpuMillis"`
	PeakMemory int64 `json:"peakMemory"` // bytes, the worker process
	WallMillis int64 `json:"wallMillis"`
	Steps      int64 `json:"steps"` // 0: the enclave performs none in this release
}

// Time is broker time plus the enclave's monotonic offsets: an enclave has no clock of its own.
type Time struct {
	Broker   int64 `json:"broker"`   // Unix milliseconds, in the challenge of the code's broker
	Released int64 `json:"released"` // milliseconds since that challenge was asked for
	Started  int64 `json:"started"`
	Finished int64 `json:"finished"`
}

// Validate refuses a statement that is incomplete or contradicts itself.
func (s *Statement) Validate() error {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(f, a...)) }
	switch {
	case s.Job.IsZero() || s.Binding.IsZero() || s.Evidence.IsZero():
		return bad("job, binding or evidence missing")
	case s.Assurance == "" || s.Runtime == "" || s.Isolation == "" || s.Attempt < 1:
		return bad("assurance, runtime, isolation or attempt missing")
	case len(s.Packages) > maxPackages:
		return bad("%d packages, at most %d", len(s.Packages), maxPackages)
	case len(s.Packages) < 1 || (s.Outcome == OutcomeCompleted && len(s.Packages) < 2):
		return bad("%d packages, want every one released: the code, and in a completed run each dataset", len(s.Packages))
	case s.Outcome != OutcomeCompleted && s.Outcome != OutcomeFailed:
		return bad("outcome %q", s.Outcome)
	case (s.Outcome == OutcomeCompleted) != (s.Commitment != nil):
		return bad("a result is committed to exactly when the run completed")
	case (s.Outcome == OutcomeCompleted) != (s.Reason == ReasonNone):
		return bad("a reason is given exactly when the run failed")
	case s.Outcome == OutcomeFailed && len(s.Outputs) != 0:
		return bad("a failed run has outputs")
	case s.Commitment != nil && s.Commitment.IsZero():
		return bad("zero commitment")
	case len(s.Receipts)+len(s.Payments) != 0 || s.Measured.Steps != 0:
		return bad("receipts, payments and steps are not part of this release")
	case s.Time.Broker <= 0 || s.Time.Released < 0 || s.Time.Started < s.Time.Released || s.Time.Finished < s.Time.Started:
		return bad("times out of order")
	case max(s.Time.Broker, s.Time.Finished) > job.MaxAmount:
		return bad("times out of range")
	case !figures(s.Privacy, s.Undeclared, s.Measured.CPUMillis, s.Measured.PeakMemory, s.Measured.WallMillis):
		return bad("figure out of range")
	}
	if !knownReason(s.Reason) {
		return bad("reason %q", s.Reason)
	}
	if err := s.validateExecution(); err != nil {
		return err
	}
	for _, o := range s.Outputs {
		if o.Name == "" || o.Class == "" || !figures(o.Bytes) {
			return bad("output %q", o.Name)
		}
	}
	seen := map[envelope.Digest]bool{}
	for i := range s.Packages {
		p := &s.Packages[i]
		if err := p.validate(); err != nil {
			return err
		}
		if seen[p.Manifest] {
			return bad("package %s twice", p.Manifest)
		}
		seen[p.Manifest] = true
	}
	if err := s.validateTransforms(); err != nil {
		return err
	}
	return s.validateSpent()
}

// figures reports whether all are counts that canonical JSON keeps exact.
func figures(n ...int64) bool {
	return slices.Min(n) >= 0 && slices.Max(n) <= job.MaxAmount
}

func knownReason(r string) bool {
	switch r {
	case ReasonNone, ReasonTrap, ReasonWall, ReasonFuel, ReasonMemory, ReasonOutput, ReasonModule, ReasonDataset, ReasonStopped,
		ReasonUnavailable, ReasonWorker, ReasonNotPermitted, ReasonTransform:
		return true
	}
	return false
}

func (p *Package) validate() error {
	bad := func(f string, a ...any) error {
		return fmt.Errorf("%w: package %s: %s", ErrInvalid, p.Manifest, fmt.Sprintf(f, a...))
	}
	if p.Manifest.IsZero() || p.Grant.IsZero() || p.Policy.IsZero() {
		return bad("manifest, grant or policy missing")
	}
	if !figures(p.Reads, p.Bytes, p.Records, p.Billable, p.Epochs, p.Heartbeat) || p.Billable > p.Records {
		return bad("figures contradict each other")
	}
	if p.Records > 0 && (p.Epochs == 0 || p.Reads == 0) {
		return bad("records without a leaf or an epoch")
	}
	var distinct, end int64
	for i, r := range p.Leaves {
		if r.First < 0 || r.Count < 1 || r.First > job.MaxAmount-r.Count || (i > 0 && r.First <= end) {
			return bad("leaf ranges must be ascending, disjoint and merged")
		}
		distinct, end = addCapped(distinct, r.Count), r.First+r.Count
	}
	if distinct > p.Reads || (distinct == 0) != (p.Reads == 0) || (distinct == 0) != (p.ReadRoot == nil) || (p.ReadRoot != nil && p.ReadRoot.IsZero()) {
		return bad("leaf ranges do not fit the reads")
	}
	return nil
}

// Sign validates and signs a statement with the lease's key. result is the digest of the age file, required exactly when
// the run completed.
func Sign(s *Statement, result *envelope.Digest, key *envelope.Signer) (signed []byte, id envelope.Digest, err error) {
	if err := s.Validate(); err != nil {
		return nil, id, err
	}
	if (s.Outcome == OutcomeCompleted) != (result != nil && !result.IsZero()) {
		return nil, id, fmt.Errorf("%w: result digest does not fit the outcome", ErrInvalid)
	}
	return envelope.Sign(key, envelope.UsageType, s.subjects(result), s)
}

func (s *Statement) subjects(result *envelope.Digest) []envelope.Subject {
	if result != nil {
		return []envelope.Subject{envelope.NewSubject("result.age", *result)}
	}
	var out []envelope.Subject
	for _, p := range s.Packages {
		out = append(out, envelope.NewSubject("grant", p.Grant))
	}
	return out
}

// Verify reads a usage statement signed by the lease's key. result is nil for a failed run.
func Verify(signed []byte, lease envelope.PublicKey) (v *envelope.Verified[Statement], result *envelope.Digest, err error) {
	v, err = envelope.Verify[Statement](signed, envelope.Expect{
		Role: envelope.RoleEnclave, Key: lease, PayloadType: envelope.PayloadType, PredicateType: envelope.UsageType,
	})
	if err != nil {
		return nil, nil, err
	}
	s := &v.Predicate
	if err := s.Validate(); err != nil {
		return nil, nil, err
	}
	if s.Outcome == OutcomeCompleted {
		d, err := v.Subject[0].Value()
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		result = &d
	}
	want := s.subjects(result)
	if len(want) != len(v.Subject) {
		return nil, nil, fmt.Errorf("%w: subjects", ErrInvalid)
	}
	for i := range want {
		if want[i] != v.Subject[i] {
			return nil, nil, fmt.Errorf("%w: subjects", ErrInvalid)
		}
	}
	return v, result, nil
}

// commitmentLabel starts the hash of [Commitment].
const commitmentLabel = "glovebox.dev/output-commitment/v1"

// SaltName is the entry of the result archive that holds the salt of its commitment, as 64 hexadecimal digits.
const SaltName = "glovebox-salt"

// File is one entry of the result archive.
type File struct {
	Name   string
	Digest envelope.Digest // of its content
}

// Commitment is the salted commitment to a result: SHA-256 over label, salt, and the name and content digest of every
// entry of the archive but the salt, in archive order.
func Commitment(salt envelope.Nonce, files []File) envelope.Digest {
	fields := [][]byte{salt[:]}
	for _, f := range files {
		fields = append(fields, []byte(f.Name), f.Digest[:])
	}
	return envelope.Hash(commitmentLabel, fields...)
}
