// SPDX-License-Identifier: Apache-2.0

// Package usagetest builds complete runs for tests: real keys, packages, grants, commits, usage statement, log and
// bundle, with hooks that bend any of them before it is signed.
//
// Trust domain: tests only; its attestation root is a fake. Its one job: everything but the fault under test is right.
package usagetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Now is the time at which runs happen, Unix milliseconds by every broker's clock.
const Now = 1_800_000_000_000

// Scenario bends a run. Hooks see the value as it would be signed and may change it; what is signed later is made from
// the changed value, unless Stale says otherwise. The zero Scenario is a run that verifies.
type Scenario struct {
	Assurance attestation.Assurance // of the platform; software-tpm if empty
	Datasets  int                   // 1 if zero
	Failed    string                // a reason: the run failed
	Entries   int                   // entries in the log before this one; 5 if zero
	Mode      string                // privacy mode; raw-in-tee if empty
	Steps     []dataset.Step        // of the mode
	Witnesses int                   // that cosign the log, and all of whom are trusted

	Offer     func(i int, m *dataset.Manifest)         // before packing; 0 is the code
	Pack      func(i int, c *dataset.PackConfig)       // likewise
	Keep      func(i int, u *dataset.ErasureUnit) bool // units granted and read; all if nil
	Job       func(*job.Job)
	Binding   func(*attestation.Binding)
	Evidence  func(*attestation.Evidence) // after it was collected
	Ticket    func(*grant.Ticket)
	Grant     func(i int, g *grant.Grant)
	Statement func(*usage.Statement)
	Commit    func(i int, c *grant.Commit)
	Reference func(*attestation.Reference)
	Trust     func(*usage.Trust)
	// Proof changes the proof of a grant or of a commit; part is as in findings.
	Proof func(r *Run, part string, p *tlog.Proof) *tlog.Proof

	// Edit changes a signed statement's payload as JSON just before it is signed; part is as in findings.
	Edit func(part string, statement map[string]any)
	// Stale makes every later part refer to what a part would have been without Edit.
	Stale bool
}

// Keys are everybody's keys.
type Keys struct {
	Creator, CreatorBroker          Key
	CodeOwner, CodeBroker           Key
	Buyer, Lease, Reference, Nobody Key // Nobody is a broker's key that nothing names
}

// Run is a finished run.
type Run struct {
	Keys     Keys
	Platform *Platform
	Log      *Log
	Trust    usage.Trust
	Parts    usage.Parts
	Bundle   []byte // remade by Seal
	Result   []byte // the age file

	s         Scenario
	t         testing.TB
	manifests []*dataset.Manifest
	ids       []envelope.Digest
	job       job.Job
	jobID     envelope.Digest
	d         envelope.Digest
	evidence  envelope.Digest
	ticketID  envelope.Digest
	grants    []grant.Grant
	grantIDs  []envelope.Digest
	statement usage.Statement
	usageID   envelope.Digest
}

// New makes a run and its bundle.
func New(t testing.TB, s Scenario) *Run {
	t.Helper()
	r := &Run{t: t}
	r.use(s)
	r.makeKeys()
	r.pack()
	r.run()
	return r
}

// Again makes another run with r's keys, platform and packages; hooks that bend those have no effect.
func (r *Run) Again(t testing.TB, s Scenario) *Run {
	t.Helper()
	n := &Run{Keys: r.Keys, Platform: r.Platform, t: t, manifests: r.manifests, ids: r.ids}
	n.use(s)
	n.s.Assurance, n.s.Datasets, n.s.Witnesses = r.s.Assurance, r.s.Datasets, max(n.s.Witnesses, r.s.Witnesses)
	n.Parts.Manifests = slices.Clone(r.Parts.Manifests)
	n.run()
	return n
}

func (r *Run) use(s Scenario) {
	r.s = s
	if r.s.Assurance == "" {
		r.s.Assurance = attestation.AssuranceSoftwareTPM
	}
	if r.s.Mode == "" {
		r.s.Mode = dataset.ModeRaw
	}
	r.s.Datasets, r.s.Entries = max(r.s.Datasets, 1), max(r.s.Entries, 5)
}

func (r *Run) run() {
	r.t.Helper()
	var err error
	r.Log, err = NewLog(r.s.Entries)
	r.Check(err)
	for i := range r.s.Witnesses {
		w, err := NewWitness(fmt.Sprintf("witness-%d.example.net", i))
		r.Check(err)
		r.Log.Witnesses = append(r.Log.Witnesses, w)
	}
	r.Log.Time = Now/1000 + 1
	r.signJob()
	r.collect()
	r.release()
	r.signUsage()
	r.commit()
	r.makeTrust()
	r.Seal()
}

// Formats accepts the run's platform.
func (r *Run) Formats([]envelope.PublicKey) []attestation.Format {
	return []attestation.Format{r.Platform}
}

// Verify verifies the run's bundle under its trust.
func (r *Run) Verify() *usage.Verdict {
	r.t.Helper()
	v, err := usage.Audit(context.Background(), r.Bundle, r.Trust, r.Formats)
	r.Check(err)
	return v
}

// Check ends the test if building the run failed.
func (r *Run) Check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("build run: %v", err)
	}
}

func (r *Run) makeKeys() {
	make := func(role envelope.Role) Key {
		k, err := NewKey(role)
		r.Check(err)
		return k
	}
	r.Keys = Keys{
		Creator: make(envelope.RoleOwner), CreatorBroker: make(envelope.RoleBroker),
		CodeOwner: make(envelope.RoleOwner), CodeBroker: make(envelope.RoleBroker),
		Buyer: make(envelope.RoleBuyer), Lease: make(envelope.RoleEnclave),
		Reference: make(envelope.RoleReference), Nobody: make(envelope.RoleBroker),
	}
	r.Platform = NewPlatform(r.s.Assurance)
}

// owner and broker are the keys of package i.
func (r *Run) owner(i int) Key {
	if i == 0 {
		return r.Keys.CodeOwner
	}
	return r.Keys.Creator
}

func (r *Run) broker(i int) Key {
	if i == 0 {
		return r.Keys.CodeBroker
	}
	return r.Keys.CreatorBroker
}

// sign signs a statement after Edit and returns it with the identity later parts refer to.
func (r *Run) sign(part string, key Key, typ string, subjects []envelope.Subject, predicate any) ([]byte, envelope.Digest) {
	r.t.Helper()
	signed, id, err := envelope.Sign(key.Signer, typ, subjects, predicate)
	r.Check(err)
	if r.s.Edit == nil {
		return signed, id
	}
	edited, err := Resign(signed, key, func(m map[string]any) { r.s.Edit(part, m) })
	r.Check(err)
	if !r.s.Stale {
		id, err = envelope.ID(edited)
		r.Check(err)
	}
	return edited, id
}

func subject(name string, d envelope.Digest) envelope.Subject { return envelope.NewSubject(name, d) }

func (r *Run) pack() {
	store, err := dataset.NewDirStore(r.t.TempDir())
	r.Check(err)
	for i := range r.s.Datasets + 1 {
		m := r.offer(i)
		if r.s.Offer != nil {
			r.s.Offer(i, &m)
		}
		c := dataset.PackConfig{
			Store: store, Source: bytes.NewReader(records(i)), Manifest: m, Signer: r.owner(i).Signer, Key: dataset.NewKey(),
			SegmentBytes: 160 << 10, BatchBytes: 16 << 10,
		}
		if r.s.Pack != nil {
			r.s.Pack(i, &c)
		}
		packed, err := dataset.Pack(context.Background(), c)
		r.Check(err)
		signed, id := r.sign(fmt.Sprintf("manifest[%d]", i), r.owner(i), envelope.ManifestType,
			[]envelope.Subject{subject(packed.Manifest.Name, packed.Manifest.Tree.Root)}, packed.Manifest)
		r.Parts.Manifests = append(r.Parts.Manifests, signed)
		r.manifests, r.ids = append(r.manifests, packed.Manifest), append(r.ids, id)
	}
}

// records is a text that does not compress, some leaves long.
func records(i int) []byte {
	var b bytes.Buffer
	raw := make([]byte, 32)
	b.WriteString("id,value\n")
	for n := range 3000*min(i, 1) + 100 {
		rand.Read(raw) //nolint:errcheck // never fails
		fmt.Fprintf(&b, "%d,%s\n", n, hex.EncodeToString(raw))
	}
	return b.Bytes()
}

func (r *Run) offer(i int) dataset.Manifest {
	least := string(r.s.Assurance)
	m := dataset.Manifest{
		Kind: dataset.KindDataset, Name: fmt.Sprintf("data-%d", i), Format: dataset.FormatCSV,
		Broker: dataset.Broker{Address: "http://127.0.0.1:1", Key: r.broker(i).Public()},
		Test:   !r.s.Assurance.AtLeast(attestation.AssuranceTPM),
		Terms: dataset.Terms{
			Modes: []string{r.s.Mode}, Purposes: []string{"research"}, Outputs: []string{"metrics", "model"},
			MaxOutputBytes: 1 << 20, MaxEpochs: 4, MaxUses: 10, Logs: grant.LogsOff, Allowance: 2, LeaseSeconds: 3600,
			BrokerAway: "wait", Price: dataset.Price{Currency: "EUR", PerRecord: 7, PerUse: 11}, NotAfter: Now/1000 + 10_000,
			MinAssurance: least,
		}.ForAnyone(),
	}
	if i == 0 {
		m.Kind, m.Name, m.Terms.Price = dataset.KindCode, "code", dataset.Price{Currency: "EUR"}
	} else if len(r.s.Steps) > 0 {
		m.Terms.Steps = []dataset.ModeSteps{{Mode: r.s.Mode, Steps: r.s.Steps}}
	}
	if dataset.Private(r.s.Mode) {
		offerPrivate(&m, r.s.Mode)
	}
	if dataset.Noisy(r.s.Mode) {
		m.Terms.Privacy.Adjacency, m.Terms.Privacy.Epsilon, m.Terms.Privacy.BuyerEpsilon = dataset.ReplaceOne, 5_000_000, 5_000_000
	}
	return m
}

func (r *Run) signJob() {
	r.job = job.Job{
		ID: envelope.NewNonce(), Buyer: r.Keys.Buyer.Public(), Code: r.ids[0], Datasets: slices.Clone(r.ids[1:]),
		Transforms: []envelope.Digest{}, Purpose: "research", Use: job.Use{Territory: "DE"}, Receipts: []string{}, Mode: r.s.Mode, Runtime: job.RuntimeWASM, Epochs: 2,
		Limits:  job.Limits{MemoryBytes: 64 << 20, WallSeconds: 60, OutputBytes: 1 << 16, Fuel: 120_000_000_000},
		Outputs: []job.Output{{Name: "model.bin", Class: "model", MaxBytes: 1 << 16}, {Name: "metrics.json", Class: "metrics", MaxBytes: 1 << 10}},
		Params:  map[string]string{"RATE": "1"}, Seed: envelope.NewNonce(), SpendCap: 1_000_000, Recipient: "age1example", NotAfter: Now/1000 + 5000,
	}
	if dataset.Private(r.s.Mode) {
		r.Check(declare(&r.job))
	}
	if r.s.Job != nil {
		r.s.Job(&r.job)
	}
	subjects := []envelope.Subject{subject("code", r.job.Code)}
	for _, d := range r.job.Datasets {
		subjects = append(subjects, subject("dataset", d))
	}
	r.Parts.Job, r.jobID = r.sign("job", r.Keys.Buyer, envelope.JobType, subjects, &r.job)
}

func (r *Run) collect() {
	hpke := make([]byte, 1216)
	rand.Read(hpke) //nolint:errcheck // never fails
	b := attestation.Binding{
		HPKEKey: hpke, SigningKey: r.Keys.Lease.Public(), LeaseID: envelope.NewNonce(), Job: r.jobID, Runtime: r.job.Runtime,
		Configuration: envelope.Sum([]byte("configuration")), SelfTest: envelope.Sum([]byte("self-test")), Engine: envelope.Sum([]byte("engine")),
	}
	for i, id := range r.ids {
		b.Owners = append(b.Owners, attestation.Owner{Audience: r.broker(i).Public(), Nonce: envelope.NewNonce(), Manifest: id})
	}
	if r.s.Binding != nil {
		r.s.Binding(&b)
	}
	var err error
	r.d, err = b.Digest()
	r.Check(err)
	e := r.Platform.collect(r.d)
	e.Claims = b
	if r.s.Evidence != nil {
		r.s.Evidence(&e)
	}
	r.Parts.Evidence, err = e.Encode()
	r.Check(err)
	r.evidence = envelope.Sum(r.Parts.Evidence)
}

func (r *Run) release() {
	ticket := grant.Ticket{Job: r.jobID, Binding: r.d, Attempt: 1, Issued: Now + 100, Expires: Now + 600_000}
	if r.s.Ticket != nil {
		r.s.Ticket(&ticket)
	}
	r.Parts.Ticket, r.ticketID = r.sign("ticket", r.Keys.CodeBroker, envelope.TicketType, []envelope.Subject{subject("job", ticket.Job)}, &ticket)
	for i, id := range r.ids {
		previous := envelope.Sum([]byte("an earlier record"))
		g := grant.Grant{
			Binding: r.d, Evidence: r.evidence, Job: r.jobID, Manifest: id, Buyer: r.job.Buyer, Ticket: &r.ticketID, Attempt: 1,
			Assurance: string(r.s.Assurance), Reference: "enclave", Policy: envelope.Sum([]byte("policy")), Sequence: 4, Previous: &previous,
			Issued: Now + 100 + int64(i), Population: r.manifests[i].Terms.Privacy.Population,
			Obligations: grant.Obligations{
				Mode: r.s.Mode, Transforms: r.steps(i), Privacy: r.manifests[i].Terms.EpsilonFor(r.s.Mode), Leaves: r.granted(i), Epochs: 2,
				Outputs: []string{"metrics", "model"}, MaxOutput: 1 << 16, Logs: grant.LogsOff, Allowance: 2, Expires: Now + 3_000_000,
			},
		}
		if dataset.Private(r.s.Mode) {
			g.Obligations.Epochs = 1
		}
		if p := r.job.Privacy; p != nil && i > 0 {
			g.Obligations.Privacy = p.Epsilon
		}
		if i == 0 {
			g.Ticket, g.Population, g.Obligations.Epochs = nil, "", 1
		}
		if r.s.Grant != nil {
			r.s.Grant(i, &g)
		}
		signed, gid := r.sign(fmt.Sprintf("grant[%d]", i), r.broker(i), envelope.GrantType,
			[]envelope.Subject{subject("job", g.Job), subject("manifest", g.Manifest)}, &g)
		r.Parts.Grants = append(r.Parts.Grants, signed)
		r.grants, r.grantIDs = append(r.grants, g), append(r.grantIDs, gid)
	}
}

func (r *Run) signUsage() {
	r.Result = []byte("age-encryption.org/v1\nwhat a buyer gets\n")
	commitment := envelope.Sum([]byte("commitment"))
	r.statement = usage.Statement{
		Job: r.jobID, Binding: r.d, Evidence: r.evidence, Assurance: string(r.s.Assurance), Runtime: r.job.Runtime, Isolation: "user,pid,net,mnt,ipc,uts;seccomp;landlock-4;rlimit",
		Attempt: 1, Outcome: usage.OutcomeCompleted, Outputs: []usage.Output{{Name: "model.bin", Class: "model", Bytes: 5000}, {Name: "metrics.json", Class: "metrics", Bytes: 40}},
		Execution: &usage.Execution{
			Module: envelope.Sum([]byte("main.wasm")), Rewritten: envelope.Sum([]byte("main.wasm, counted")), Costs: usage.CostTable, Fuel: 1_500_000_000,
		},
		Commitment: &commitment, Transforms: []usage.Transform{}, Spent: []usage.Spend{}, Receipts: []string{}, Payments: []string{},
		Measured: usage.Measured{CPUMillis: 900, PeakMemory: 1 << 24, WallMillis: 950},
		Time:     usage.Time{Broker: Now, Released: 300, Started: 400, Finished: 1400},
	}
	for i, m := range r.manifests {
		r.statement.Packages = append(r.statement.Packages, r.used(i, m))
		r.statement.Transforms = append(r.statement.Transforms, r.transforms(i, m)...)
		r.statement.Privacy += r.grants[i].Obligations.Privacy
	}
	if r.job.Privacy != nil {
		r.spend()
	}
	if r.s.Failed != "" {
		r.statement.Outcome, r.statement.Reason = usage.OutcomeFailed, r.s.Failed
		r.statement.Outputs, r.statement.Commitment = []usage.Output{}, nil
	}
	if r.s.Statement != nil {
		r.s.Statement(&r.statement)
	}
	subjects := []envelope.Subject{subject("result.age", envelope.Sum(r.Result))}
	if r.statement.Outcome != usage.OutcomeCompleted {
		subjects = nil
		for _, p := range r.statement.Packages {
			subjects = append(subjects, subject("grant", p.Grant))
		}
	}
	r.Parts.Usage, r.usageID = r.sign("usage", r.Keys.Lease, envelope.UsageType, subjects, &r.statement)
}

// steps are the identities of the mode's steps of package i.
func (r *Run) steps(i int) []envelope.Digest {
	ids, err := r.manifests[i].Terms.StepIDs(r.s.Mode)
	r.Check(err)
	return ids
}

// transforms say that all that is granted of package i went through the steps, and two records a step found something.
func (r *Run) transforms(i int, m *dataset.Manifest) (out []usage.Transform) {
	sel, err := m.Select(r.granted(i).Spans())
	r.Check(err)
	made := false
	for n, s := range m.Terms.StepsFor(r.s.Mode) {
		t := usage.Transform{Manifest: r.ids[i], StepReport: dataset.StepReport{
			Step: s.Name, ID: r.steps(i)[n], Digest: s.Digest, Config: s.ConfigDigest(), RecordsIn: sel.Records, RecordsOut: sel.Records,
			BytesIn: sel.RawBytes, BytesOut: sel.RawBytes, Findings: []dataset.Count{{Name: "PERSON", Count: 2}}, Quarantined: []dataset.Count{},
		}}
		if made || s.Name == dataset.StepModule {
			t.Round(made)
			made = true
		}
		if s.Name == dataset.StepModule {
			t.Fuel = 1000
		}
		if dataset.Silent(r.s.Mode) {
			t.Seal()
		}
		out = append(out, t)
	}
	return out
}

// granted is what is granted of package i, and read.
func (r *Run) granted(i int) grant.Ranges {
	return grant.RangesOf(r.manifests[i].Keep(func(u *dataset.ErasureUnit) bool { return r.s.Keep == nil || r.s.Keep(i, u) }))
}

// used says that what is granted of package i was read whole, code once and data twice. Of a part, the read root is made up.
func (r *Run) used(i int, m *dataset.Manifest) usage.Package {
	epochs := int64(min(i, 1) + 1)
	if dataset.Private(r.s.Mode) {
		epochs = 1
	}
	ranges := r.granted(i)
	sel, err := m.Select(ranges.Spans())
	r.Check(err)
	p := usage.Package{
		Manifest: r.ids[i], Grant: r.grantIDs[i], Policy: r.grants[i].Policy, Leaves: ranges, ReadRoot: &m.Tree.Root,
		Reads: sel.Leaves * epochs, Records: sel.Records * epochs, Billable: sel.Records * epochs, Epochs: epochs,
	}
	if sel.Leaves < m.Tree.Size {
		root := envelope.Sum([]byte("a part's root"))
		p.ReadRoot = &root
	}
	passes := epochs
	if len(m.Terms.StepsFor(r.s.Mode)) > 0 { // read once, for the steps
		p.Reads, passes = sel.Leaves, 1
	}
	for _, k := range sel.Segments {
		p.Bytes += m.Segments[k].Bytes * passes
	}
	p.Heartbeat = (p.Reads + 1) / 2
	return p
}

func (r *Run) commit() {
	for i, p := range r.statement.Packages {
		if i >= len(r.manifests) {
			break
		}
		price := r.manifests[i].Terms.Price
		records, amount, err := usage.Charge(price, r.statement.Outcome, p.Billable)
		if err != nil {
			records, amount = 0, 0
		}
		c := grant.Commit{
			Binding: r.d, Grant: r.grantIDs[i], Job: r.jobID, Manifest: r.ids[i], Usage: r.usageID, Outcome: r.statement.Outcome,
			Records: records, Amount: amount, Currency: price.Currency, Sequence: 5, Previous: &r.grantIDs[i], Time: Now + 2000,
		}
		if r.s.Witnesses > 0 {
			c.Witnessed = r.logged(fmt.Sprintf("grant[%d]", i), r.Entry(i, r.Parts.Grants[i]))
		}
		if r.s.Commit != nil {
			r.s.Commit(i, &c)
		}
		signed, _ := r.sign(fmt.Sprintf("commit[%d]", i), r.broker(i), envelope.CommitType, []envelope.Subject{subject("usage", c.Usage)}, &c)
		r.Parts.Commits = append(r.Parts.Commits, signed)
	}
	r.Parts.Grants = r.Parts.Grants[:min(len(r.Parts.Grants), len(r.Parts.Commits))]
}

// Entry is the log entry of a statement by package i's broker.
func (r *Run) Entry(i int, signed []byte) []byte {
	body, err := tlog.Body(signed, r.broker(i).Public())
	r.Check(err)
	return body
}

// Logged appends an entry to a log and proves it.
func (r *Run) Logged(l *Log, body []byte) *tlog.Proof {
	p, err := l.Proof(l.Append(body))
	r.Check(err)
	return &p
}

// logged does so with the run's own log.
func (r *Run) logged(part string, body []byte) *tlog.Proof {
	p := r.Logged(r.Log, body)
	if r.s.Proof != nil {
		p = r.s.Proof(r, part, p)
	}
	return p
}

func (r *Run) makeTrust() {
	ref := attestation.Reference{Version: 1, NotAfter: Now/1000 + 100_000, Values: []attestation.ReferenceValue{
		{Name: "enclave", Platform: r.Platform.platform, Measurements: r.Platform.measurements()},
	}}
	if r.s.Reference != nil {
		r.s.Reference(&ref)
	}
	signed, err := attestation.SignReference(&ref, r.Keys.Reference.Signer)
	r.Check(err)
	root, err := usage.WriteTrustedRoot(r.Log.Log, time.UnixMilli(Now))
	r.Check(err)
	r.Trust = usage.Trust{
		Version: 1, Log: root, Owners: []envelope.PublicKey{r.Keys.Creator.Public(), r.Keys.CodeOwner.Public()},
		References:   []usage.TrustedReference{{Key: r.Keys.Reference.Public(), Signed: signed}},
		MinAssurance: r.s.Assurance,
	}
	if r.s.Witnesses > 0 {
		r.Trust.Witnesses = &usage.TrustedWitnesses{Threshold: r.s.Witnesses, Keys: []string{}}
		for _, w := range r.Log.Witnesses {
			r.Trust.Witnesses.Keys = append(r.Trust.Witnesses.Keys, w.String())
		}
	}
	if r.s.Trust != nil {
		r.s.Trust(&r.Trust)
	}
}

// Seal logs usage statement and commits and makes the bundle from the other Parts as they are.
func (r *Run) Seal() {
	r.t.Helper()
	r.Log.Time = Now/1000 + 3
	r.Parts.Proofs = nil
	for i, c := range r.Parts.Commits {
		var p *tlog.Proof
		if len(c) > 0 && string(c) != "null" {
			p = r.logged(fmt.Sprintf("commit[%d]", i), r.Entry(i, c))
		}
		r.Parts.Proofs = append(r.Parts.Proofs, p)
	}
	body, err := usage.Body(r.Parts.Usage, r.Parts.Evidence)
	r.Check(err)
	proof, err := r.Log.Proof(r.Log.Append(body))
	r.Check(err)
	r.Bundle, err = usage.MakeBundle(r.Parts, r.Log.Log, proof)
	r.Check(err)
}
