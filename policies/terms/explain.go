// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/licence"
	"github.com/glovebox-dev/glovebox/policies/input"
)

// Decider asks the rules about a request: policies/oracle, or an engine.
type Decider func(r input.Request) (allow bool, reasons []grant.Reason, err error)

// Example is a job, and what the rules say to it.
type Example struct {
	Job     string         `json:"job"`
	Allow   bool           `json:"allow"`
	Reasons []grant.Reason `json:"reasons"`
}

// Examples asks the rules about jobs: one that keeps to everything the terms say, and others that each differ from it in
// one thing. What is said of them is what the rules decided.
func (c *Compiled) Examples(now time.Time, decide Decider) ([]Example, error) {
	b, err := c.base(now)
	if err != nil {
		return nil, err
	}
	cases := append([]variant{{c.plainJob(b), func(*scene) {}}}, c.variants()...)
	out := make([]Example, 0, len(cases))
	for _, v := range cases {
		s := b.clone()
		v.change(s)
		r := s.request()
		if err := r.Validate(); err != nil {
			return nil, fmt.Errorf("the example %q is no request: %w", v.words, err)
		}
		allow, reasons, err := decide(r)
		if err != nil {
			return nil, fmt.Errorf("the example %q cannot be decided: %w", v.words, err)
		}
		if reasons == nil {
			reasons = []grant.Reason{}
		}
		out = append(out, Example{v.words, allow, reasons})
	}
	return out, nil
}

// scene is a job before its request is filled in.
type scene struct {
	manifest    dataset.Manifest
	job         job.Job
	codeOwner   envelope.PublicKey
	evidence    input.Evidence
	entitlement input.Entitlement
	account     input.Account
	revoked     input.Revoked
	granted     input.Granted
	now         int64
	understated int64 // millionths of epsilon that the job's mechanisms come to beyond what it states
}

// variant is a scene that differs in one thing.
type variant struct {
	words  string
	change func(*scene)
}

const exampleLeaves = 100

func (s *scene) clone() *scene {
	out := *s
	out.job.Outputs = slices.Clone(s.job.Outputs)
	if s.job.Privacy != nil {
		p := *s.job.Privacy
		out.job.Privacy = &p
	}
	return &out
}

func (s *scene) request() input.Request {
	r := input.Request{
		Now: s.now, Package: input.Package{Latest: 1}, Evidence: s.evidence, Entitlement: s.entitlement, Account: s.account, Revoked: s.revoked, Granted: s.granted,
	}
	r.Fill(envelope.Sum([]byte("example manifest")), &s.manifest, envelope.Sum([]byte("example job")), &s.job, s.codeOwner)
	if p := &r.Job.Privacy; p.Declared {
		p.Bounded, p.Computed = true, p.Epsilon+s.understated
	}
	return r
}

// base is a job that asks for as much as the terms allow, at one time, and for nothing else.
func (c *Compiled) base(now time.Time) (*scene, error) {
	t := c.Terms
	buyer, err := firstKey(t.Buyers.Keys)
	if err != nil {
		return nil, err
	}
	owner, err := firstKey(t.Code.Owners)
	if err != nil {
		return nil, err
	}
	code := envelope.Sum([]byte("example code"))
	if len(t.Code.Owners) == 0 && len(t.Code.Manifests) > 0 {
		code = t.Code.Manifests[0]
	}
	s := &scene{
		manifest: dataset.Manifest{
			Kind: dataset.KindDataset, Dataset: dataset.ID{1}, Version: 1, Test: c.Test, Terms: t,
			Tree: dataset.Tree{Size: exampleLeaves},
		},
		job: job.Job{
			Buyer: buyer, Code: code, Datasets: []envelope.Digest{envelope.Sum([]byte("example manifest"))},
			Purpose: t.Purposes[0], Use: job.Use{Territory: territoryOf(t.Licence.Territories)}, Mode: t.Modes[0], Runtime: job.RuntimeWASM, Epochs: t.MaxEpochs,
			SpendCap: t.Price.PerUse, NotAfter: t.NotAfter,
		},
		codeOwner: owner,
		evidence:  input.Evidence{Assurance: attestation.Assurance(t.MinAssurance), Reference: "example", Runtime: job.RuntimeWASM},
		account:   input.Account{Cost: t.Price.PerUse},
		granted:   input.Granted{Leaves: grant.Ranges{{First: 0, Count: exampleLeaves}}, Records: 1, Units: 2, Together: 2},
		now:       min(now.UnixMilli(), (t.NotAfter-1)*1000),
	}
	s.job.Limits.OutputBytes = t.MaxOutputBytes
	for _, class := range t.Outputs {
		s.job.Outputs = append(s.job.Outputs, job.Output{Name: class, Class: class})
	}
	if e := t.EpsilonFor(s.job.Mode); dataset.Noisy(s.job.Mode) {
		s.account.Epsilon, s.account.EpsilonAfter, s.account.BuyerEpsilonAfter = e, e, e
	}
	s.declare()
	if t.Consent {
		s.granted.Purpose = s.job.Purpose
	}
	s.entitlement = c.entitled(buyer)
	return s, nil
}

// declare has the job spend all that one may, in a mode in which the enclave adds the noise.
func (s *scene) declare() {
	t := &s.manifest.Terms
	p := t.PrivacyFor(s.job.Mode)
	if p == nil {
		return
	}
	s.job.Privacy = &job.Privacy{
		Unit: t.Privacy.Unit, Adjacency: t.Privacy.Adjacency, Contributions: p.Contributions, Delta: p.Delta, Epsilon: p.Epsilon,
	}
	if p.Shards > 0 {
		s.job.Privacy.Aggregate = &job.Aggregate{Shards: p.Shards}
	}
	s.in(p.Runtimes[0])
	s.job.Epochs, s.account.Epsilon, s.account.EpsilonAfter, s.account.BuyerEpsilonAfter = 1, p.Epsilon, p.Epsilon, p.Epsilon
	s.account.JobEpsilonAfter = p.Epsilon
}

// in has the job run in a runtime class, and the enclave prove it.
func (s *scene) in(runtime string) { s.job.Runtime, s.evidence.Runtime = runtime, runtime }

// firstKey is a key that the terms name, or that of a stranger.
func firstKey(list []envelope.PublicKey) (envelope.PublicKey, error) {
	if len(list) > 0 {
		return list[0], nil
	}
	return stranger()
}

func stranger() (envelope.PublicKey, error) {
	s, err := envelope.GenerateSigner(envelope.RoleOwner)
	if err != nil {
		return envelope.PublicKey{}, err
	}
	return s.Public(), nil
}

func territoryOf(list []string) string {
	if len(list) == 0 || list[0] == licence.Worldwide {
		return "DE"
	}
	return list[0]
}

// entitled is what a buyer brings who did what access asks for.
func (c *Compiled) entitled(buyer envelope.PublicKey) input.Entitlement {
	t := &c.Terms
	switch t.Access {
	case dataset.AccessPermit:
		return input.Permit(&grant.Permit{Count: 1, NotAfter: t.NotAfter}, 1, exampleLeaves)
	case dataset.AccessReceipt:
		attributes := map[string][]string{}
		for _, a := range t.Buyers.Require {
			attributes[a.Name] = []string{a.AnyOf[0]}
		}
		return input.Receipt(input.Sale{
			Buyer: buyer, Operations: []string{input.OperationTrain}, Attributes: attributes, Amount: t.Receipts.MinAmount, Currency: t.Price.Currency, Expires: t.NotAfter,
		}, 1, exampleLeaves)
	}
	return input.None()
}

func (c *Compiled) plainJob(b *scene) string {
	t := &c.Terms
	with := ""
	if t.Access != dataset.AccessOpen {
		with = ", with a " + t.Access
	}
	return fmt.Sprintf("for %s, %s out, %s, results kept and used in %s, not commercially%s",
		b.job.Purpose, strings.Join(t.Outputs, " and "), count(int64(b.job.Epochs), "pass"), b.job.Use.Territory, with)
}
