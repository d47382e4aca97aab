// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// valid is a complete statement of a completed run.
func valid() usage.Statement {
	sum := func(s string) envelope.Digest { return envelope.Sum([]byte(s)) }
	root, commitment := sum("root"), sum("commitment")
	pkg := func(name string) usage.Package {
		return usage.Package{
			Manifest: sum(name), Grant: sum(name + " grant"), Policy: sum("policy"), Leaves: []grant.Range{{First: 0, Count: 2}, {First: 4, Count: 1}},
			ReadRoot: &root, Reads: 3, Bytes: 300, Records: 10, Billable: 10, Epochs: 1, Heartbeat: 2,
		}
	}
	step := func(name string, fuel int64, found ...dataset.Count) usage.Transform {
		return usage.Transform{Manifest: sum("data"), Fuel: fuel, StepReport: dataset.StepReport{
			Step: name, ID: sum(name + " id"), Digest: sum(name), Config: sum("{}"), RecordsIn: 10, RecordsOut: 10, BytesIn: 90, BytesOut: 90,
			Findings: append([]dataset.Count{}, found...), Quarantined: []dataset.Count{},
		}}
	}
	return usage.Statement{
		Job: sum("job"), Binding: sum("d"), Evidence: sum("evidence"), Assurance: "tpm", Runtime: job.RuntimeWASM, Isolation: "user,pid", Attempt: 1,
		Packages: []usage.Package{pkg("code"), pkg("data")}, Outcome: usage.OutcomeCompleted, Outputs: []usage.Output{{Name: "m", Class: "model", Bytes: 1}},
		Execution:  &usage.Execution{Module: sum("main.wasm"), Rewritten: sum("main.wasm, counted"), Costs: usage.CostTable, Fuel: 7},
		Commitment: &commitment, Transforms: []usage.Transform{step(dataset.StepModule, 5), step(dataset.StepRedact, 0, dataset.Count{Name: "PERSON", Count: 3})}, Spent: []usage.Spend{}, Receipts: []string{}, Payments: []string{},
		Time: usage.Time{Broker: usagetest.Now, Released: 1, Started: 2, Finished: 3},
	}
}

func fail(s *usage.Statement) {
	s.Outcome, s.Reason, s.Commitment, s.Outputs = usage.OutcomeFailed, usage.ReasonTrap, nil, nil
}

func TestStatementValidate(t *testing.T) {
	good := valid()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	var zero usage.Statement
	if err := zero.Validate(); !errors.Is(err, usage.ErrInvalid) {
		t.Errorf("the zero statement: %v", err)
	}
	for name, bend := range contradictions() {
		s := valid()
		bend(&s)
		if err := s.Validate(); !errors.Is(err, usage.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// contradictions are ways for a statement to be incomplete or to contradict itself.
func contradictions() map[string]func(s *usage.Statement) {
	return map[string]func(s *usage.Statement){
		"completed with a reason":      func(s *usage.Statement) { s.Reason = usage.ReasonTrap },
		"failed without a reason":      func(s *usage.Statement) { fail(s); s.Reason = "" },
		"failed for an unknown reason": func(s *usage.Statement) { fail(s); s.Reason = "record 7 was odd" },
		"failed with outputs":          func(s *usage.Statement) { fail(s); s.Outputs = valid().Outputs },
		"failed with a commitment":     func(s *usage.Statement) { fail(s); s.Commitment = valid().Commitment },
		"completed without commitment": func(s *usage.Statement) { s.Commitment = nil },
		"a zero commitment":            func(s *usage.Statement) { s.Commitment = &envelope.Digest{} },
		"completed without data":       func(s *usage.Statement) { s.Packages = s.Packages[:1] },
		"no package":                   func(s *usage.Statement) { fail(s); s.Packages = nil },
		"too many packages": func(s *usage.Statement) {
			for i := range 16 {
				p := s.Packages[1]
				p.Manifest = envelope.Sum([]byte{byte(i)})
				s.Packages = append(s.Packages, p)
			}
		},
		"a package twice":             func(s *usage.Statement) { s.Packages[1] = s.Packages[0] },
		"unknown outcome":             func(s *usage.Statement) { s.Outcome = "mostly" },
		"no assurance":                func(s *usage.Statement) { s.Assurance = "" },
		"no isolation":                func(s *usage.Statement) { s.Isolation = "" },
		"no attempt":                  func(s *usage.Statement) { s.Attempt = 0 },
		"completed without execution": func(s *usage.Statement) { s.Execution = nil },
		"executed but not admitted":   func(s *usage.Statement) { fail(s); s.Reason = usage.ReasonModule },
		"executed an unnamed module":  func(s *usage.Statement) { s.Execution.Module = envelope.Digest{} },
		"executed an unknown rewrite": func(s *usage.Statement) { s.Execution.Rewritten = envelope.Digest{} },
		"executed without costs":      func(s *usage.Statement) { s.Execution.Costs = "" },
		"negative fuel":               func(s *usage.Statement) { s.Execution.Fuel = -1 },
		"fuel beyond every limit":     func(s *usage.Statement) { s.Execution.Fuel = job.MaxAmount + 1 },
		"steps in a class without":    func(s *usage.Statement) { s.Measured.Steps = 1 },
		"negative privacy":            func(s *usage.Statement) { s.Privacy = -1 },
		"no list of steps":            func(s *usage.Statement) { s.Transforms = nil },
		"a step without anything":     func(s *usage.Statement) { s.Transforms = []usage.Transform{{}} },
		"a step of the code":          func(s *usage.Statement) { s.Transforms[0].Manifest = s.Packages[0].Manifest },
		"a step of nothing":           func(s *usage.Statement) { s.Transforms[0].Manifest = s.Job },
		"a step without a digest":     func(s *usage.Statement) { s.Transforms[0].Digest = envelope.Digest{} },
		"more records than were left": func(s *usage.Statement) { s.Transforms[1].RecordsIn++ },
		"bytes from nowhere":          func(s *usage.Statement) { s.Transforms[1].BytesIn++ },
		"fuel of a built-in":          func(s *usage.Statement) { s.Transforms[1].Fuel = 1 },
		"negative fuel of a step":     func(s *usage.Statement) { s.Transforms[0].Fuel = -1 },
		"sealed and stated":           func(s *usage.Statement) { s.Transforms[0].Sealed = true },
		"one step sealed":             func(s *usage.Statement) { s.Transforms[1].Seal() },
		"findings unsorted": func(s *usage.Statement) {
			s.Transforms[0].Findings = []dataset.Count{{Name: "B", Count: 1}, {Name: "A", Count: 1}}
		},
		"findings without a list":        func(s *usage.Statement) { s.Transforms[0].Findings = nil },
		"a text as a finding":            func(s *usage.Statement) { s.Transforms[0].Findings = []dataset.Count{{Name: "Jane Doe", Count: 1}} },
		"more left out than are missing": func(s *usage.Statement) { s.Transforms[1].Quarantined = []dataset.Count{{Name: "x", Count: 1}} },
		"a built-in that makes records":  func(s *usage.Statement) { s.Transforms[1].RecordsOut++ },
		"steps without end":              func(s *usage.Statement) { s.Transforms = slices.Repeat(s.Transforms, 400) },
		"receipts":                       func(s *usage.Statement) { s.Receipts = []string{"r"} },
		"payments":                       func(s *usage.Statement) { s.Payments = []string{"p"} },
		"no broker time":                 func(s *usage.Statement) { s.Time.Broker = 0 },
		"started before released":        func(s *usage.Statement) { s.Time.Released = 3; s.Time.Started = 2 },
		"finished before started":        func(s *usage.Statement) { s.Time.Finished = 1 },
		"released before asked":          func(s *usage.Statement) { s.Time.Released = -1 },
		"times beyond every clock":       func(s *usage.Statement) { s.Time.Finished = 1 << 60 },
		"negative memory":                func(s *usage.Statement) { s.Measured.PeakMemory = -1 },
		"negative undeclared":            func(s *usage.Statement) { s.Undeclared = -1 },
		"an output without a class":      func(s *usage.Statement) { s.Outputs[0].Class = "" },
		"an output of negative size":     func(s *usage.Statement) { s.Outputs[0].Bytes = -1 },
		"a package without a grant":      func(s *usage.Statement) { s.Packages[0].Grant = envelope.Digest{} },
		"billed more than delivered":     func(s *usage.Statement) { s.Packages[1].Billable++ },
		"negative records":               func(s *usage.Statement) { s.Packages[1].Records, s.Packages[1].Billable = -1, -1 },
		"records without an epoch":       func(s *usage.Statement) { s.Packages[1].Epochs = 0 },
		"records without a leaf":         func(s *usage.Statement) { p := &s.Packages[1]; p.Leaves, p.ReadRoot, p.Reads, p.Bytes = nil, nil, 0, 0 },
		"leaves unsorted":                func(s *usage.Statement) { l := s.Packages[1].Leaves; l[0], l[1] = l[1], l[0] },
		"leaves overlapping":             func(s *usage.Statement) { s.Packages[1].Leaves[1].First = 1 },
		"leaves adjacent but not one":    func(s *usage.Statement) { s.Packages[1].Leaves[1].First = 2 },
		"an empty range of leaves":       func(s *usage.Statement) { s.Packages[1].Leaves[1].Count = 0 },
		"leaves beyond every tree":       func(s *usage.Statement) { s.Packages[1].Leaves[1] = grant.Range{First: 1<<63 - 1, Count: 5} },
		"leaf counts that overflow":      func(s *usage.Statement) { s.Packages[1].Leaves[1] = grant.Range{First: 4, Count: 1<<63 - 1} },
		"more distinct leaves than read": func(s *usage.Statement) { s.Packages[1].Reads = 2 },
		"leaves without a read root":     func(s *usage.Statement) { s.Packages[1].ReadRoot = nil },
		"a zero read root":               func(s *usage.Statement) { s.Packages[1].ReadRoot = &envelope.Digest{} },
	}
}

func TestSignAndVerify(t *testing.T) {
	lease, stranger := mustKey(envelope.RoleEnclave), mustKey(envelope.RoleEnclave)
	s, result := valid(), envelope.Sum([]byte("age"))
	signed, id, err := usage.Sign(&s, &result, lease.Signer)
	if err != nil {
		t.Fatal(err)
	}
	v, got, err := usage.Verify(signed, lease.Public())
	if err != nil || v.ID != id || got == nil || *got != result {
		t.Fatalf("%v, result %v", err, got)
	}
	if _, _, err := usage.Verify(signed, stranger.Public()); !errors.Is(err, envelope.ErrSignature) {
		t.Errorf("another lease's key: %v", err)
	}
	if _, _, err := usage.Verify(signed, envelope.PublicKey{}); err == nil {
		t.Error("verified without a key")
	}
	if _, _, err := usage.Sign(&s, nil, lease.Signer); !errors.Is(err, usage.ErrInvalid) {
		t.Errorf("completed without a result: %v", err)
	}
	f := valid()
	fail(&f)
	if _, _, err := usage.Sign(&f, &result, lease.Signer); !errors.Is(err, usage.ErrInvalid) {
		t.Errorf("failed with a result: %v", err)
	}
	signed, _, err = usage.Sign(&f, nil, lease.Signer)
	if err != nil {
		t.Fatal(err)
	}
	if v, got, err := usage.Verify(signed, lease.Public()); err != nil || got != nil || len(v.Subject) != 2 {
		t.Errorf("failed run: %v, %v", got, err)
	}
	if _, _, err := usage.Sign(&s, &result, mustKey(envelope.RoleBroker).Signer); !errors.Is(err, envelope.ErrRole) {
		t.Errorf("signed by a broker: %v", err)
	}
}

// TestSubjectsAreTheResult: a statement about several files, or a file of another name, is refused.
func TestSubjectsAreTheResult(t *testing.T) {
	lease := mustKey(envelope.RoleEnclave)
	s, result := valid(), envelope.Sum([]byte("age"))
	for name, subjects := range map[string][]envelope.Subject{
		"another name": {envelope.NewSubject("model.bin", result)},
		"one more":     {envelope.NewSubject("result.age", result), envelope.NewSubject("result.age", result)},
	} {
		signed, _, err := envelope.Sign(lease.Signer, envelope.UsageType, subjects, &s)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := usage.Verify(signed, lease.Public()); !errors.Is(err, usage.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCommitment(t *testing.T) {
	salt, files := envelope.Nonce{1}, []usage.File{{Name: "a", Digest: other}, {Name: "b", Digest: other}}
	c := usage.Commitment(salt, files)
	if c == usage.Commitment(envelope.Nonce{2}, files) || c == usage.Commitment(salt, files[:1]) || c == usage.Commitment(salt, []usage.File{files[1], files[0]}) {
		t.Error("two results have one commitment")
	}
}

func TestCharge(t *testing.T) {
	p := dataset.Price{Currency: "EUR", PerRecord: 3, PerUse: 5}
	for name, c := range map[string]struct {
		price           dataset.Price
		outcome         string
		billable        int64
		records, amount int64
		err             error
	}{
		"completed":     {p, usage.OutcomeCompleted, 4, 4, 17, nil},
		"nothing read":  {p, usage.OutcomeCompleted, 0, 0, 5, nil},
		"failed":        {p, usage.OutcomeFailed, 4, 0, 0, nil},
		"overflow":      {dataset.Price{PerRecord: 1 << 52}, usage.OutcomeCompleted, 1 << 52, 0, 0, usage.ErrCharge},
		"use overflows": {dataset.Price{PerRecord: 1, PerUse: 1<<53 - 1}, usage.OutcomeCompleted, 1, 0, 0, usage.ErrCharge},
		"negative":      {p, usage.OutcomeCompleted, -1, 0, 0, usage.ErrCharge},
	} {
		records, amount, err := usage.Charge(c.price, c.outcome, c.billable)
		if records != c.records || amount != c.amount || !errors.Is(err, c.err) {
			t.Errorf("%s: %d records, %d, %v", name, records, amount, err)
		}
	}
}
