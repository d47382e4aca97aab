// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/policies"
)

const (
	testTimeout = 30 * time.Second
	perRecord   = 7
	perUse      = 1000
	rows        = 40
)

var (
	measured = strings.Repeat("ab", 32)
	rootKey  = []byte("the root of the test platform")
)

// policy is compiled once for all tests.
var policy = sync.OnceValue(func() *policies.Engine {
	e, err := policies.Load(context.Background(), policies.Options{})
	if err != nil {
		panic(err)
	}
	return e
})

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// platform is a root of trust for these tests: a MAC over what an enclave measured and bound.
type platform struct{ assurance attestation.Assurance }

type quote struct {
	Bound       []byte `json:"bound"`
	Measurement string `json:"measurement"`
	Debug       bool   `json:"debug"`
	MAC         []byte `json:"mac"`
}

func (q quote) mac() []byte {
	m := hmac.New(sha256.New, rootKey)
	q.MAC = nil
	b, _ := json.Marshal(q)
	m.Write(b)
	return m.Sum(nil)
}

func (platform) Platform() attestation.Platform { return attestation.PlatformSimulated }

func (p platform) Authenticate(_ context.Context, e *attestation.Evidence, _ int64) (*attestation.Report, error) {
	var q quote
	if err := json.Unmarshal(e.Evidence, &q); err != nil {
		return nil, err
	}
	if !hmac.Equal(q.mac(), q.MAC) {
		return nil, errors.New("forged quote")
	}
	return &attestation.Report{
		Platform: attestation.PlatformSimulated, Assurance: p.assurance, Bound: q.Bound, Debug: q.Debug,
		Measurements: map[string]string{"enclave": q.Measurement}, Root: "test root",
	}, nil
}

func (platform) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if !bytes.Equal(r.Bound, d[:]) {
		return errors.New("bound to something else")
	}
	return nil
}

// owner is a creator or a buyer with her directory and her running broker.
type owner struct {
	t       testing.TB
	dir     string
	cfg     *config.Config
	clock   *clock
	formats []attestation.Format
	pub     broker.Publisher
	keys    keyholder.Keyholder // nil: the directory's
	prover  broker.Prover
	*broker.Broker
}

func newOwner(t testing.TB, role config.Role, c *clock) *owner {
	t.Helper()
	dir := filepath.Join(t.TempDir(), string(role))
	cfg, err := config.Init(dir, config.Options{
		Role: role, Listen: "127.0.0.1:0", Address: "http://" + string(role) + ".example", HeartbeatTimeout: testTimeout.Milliseconds(),
	})
	if err != nil {
		t.Fatal(err)
	}
	o := &owner{t: t, dir: dir, cfg: cfg, clock: c, formats: []attestation.Format{platform{attestation.AssuranceSimulated}}}
	o.reference(1, measured)
	o.start()
	t.Cleanup(func() { o.Close() })
	return o
}

func (o *owner) start() {
	o.t.Helper()
	b, err := o.open()
	if err != nil {
		o.t.Fatal(err)
	}
	o.Broker = b
}

func (o *owner) open() (*broker.Broker, error) {
	return broker.New(o.t.Context(), broker.Config{Settings: o.cfg, Formats: o.formats, Publisher: o.pub, Policy: policy(), Now: o.clock.now, Keyholder: o.keys, Prover: o.prover})
}

func (o *owner) restart() {
	o.t.Helper()
	if err := o.Close(); err != nil {
		o.t.Fatal(err)
	}
	o.start()
}

func (o *owner) key(path string, role envelope.Role) *envelope.Signer {
	o.t.Helper()
	s, err := envelope.LoadKeyFile(path, role)
	if err != nil {
		o.t.Fatal(err)
	}
	return s
}

// reference signs reference values.
func (o *owner) reference(version int64, measurement string) {
	o.t.Helper()
	signed, err := attestation.SignReference(&attestation.Reference{
		Version: version, NotAfter: o.clock.now().Add(48 * time.Hour).Unix(),
		Values: []attestation.ReferenceValue{{
			Name: "test enclave", Platform: attestation.PlatformSimulated, Measurements: map[string]string{"enclave": measurement},
		}},
	}, o.key(o.cfg.Layout().ReferenceKey(), envelope.RoleReference))
	if err != nil {
		o.t.Fatal(err)
	}
	if err := config.WriteFile(o.cfg.Layout().Reference(), signed); err != nil {
		o.t.Fatal(err)
	}
}

func (o *owner) terms() dataset.Terms {
	return dataset.Terms{
		Modes: []string{grant.ModeRaw}, Purposes: []string{"research"}, Outputs: []string{"metrics", "model"}, MaxOutputBytes: 1 << 20,
		MaxEpochs: 3, MaxUses: 2, Logs: grant.LogsSealed, Allowance: 2, LeaseSeconds: 3600, BrokerAway: "wait",
		Price:    dataset.Price{Currency: "EUR", PerRecord: perRecord, PerUse: perUse},
		NotAfter: o.clock.now().Add(24 * time.Hour).Unix(), MinAssurance: string(attestation.AssuranceSimulated),
	}.ForAnyone()
}

// packed is a package with what tests want to know about it.
type packed struct {
	*dataset.Packed
	key   []byte
	owner *owner
	k     dataset.Key
	store dataset.Store
}

type packOption func(*dataset.PackConfig)

func (o *owner) pack(kind dataset.Kind, options ...packOption) *packed {
	o.t.Helper()
	store, err := dataset.NewDirStore(o.cfg.Layout().Blobs())
	if err != nil {
		o.t.Fatal(err)
	}
	l := o.cfg.Layout()
	pc := dataset.PackConfig{
		Store: store, Source: strings.NewReader("a,b\n" + strings.Repeat("1,"+strings.Repeat("x", 64)+"\n", rows)),
		Manifest: dataset.Manifest{
			Kind: kind, Name: string(kind), Test: true, Format: dataset.FormatCSV, Terms: o.terms(), Owner: o.cfg.Owner,
			Broker: dataset.Broker{Address: o.cfg.Address, Key: o.key(l.BrokerKey(), envelope.RoleBroker).Public()},
		},
		Signer: o.key(l.OwnerKey(), envelope.RoleOwner), Key: dataset.NewKey(), SegmentBytes: 64 << 10, BatchBytes: 4 << 10,
		Now: o.clock.now,
	}
	for _, f := range options {
		f(&pc)
	}
	p, err := dataset.Pack(o.t.Context(), pc)
	if err != nil {
		o.t.Fatal(err)
	}
	kh, err := keyholder.Open(l.Keyholder(), l.KeyholderIdentity())
	if err != nil {
		o.t.Fatal(err)
	}
	key := bytes.Clone(pc.Key.Bytes())
	wrapped, err := kh.Wrap(o.t.Context(), keyholder.Context(p.ID), key)
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := config.AddPackage(o.dir, p.Signed, wrapped); err != nil {
		o.t.Fatal(err)
	}
	return &packed{p, key, o, pc.Key, store}
}

func withTerms(f func(*dataset.Terms)) packOption {
	return func(c *dataset.PackConfig) { f(&c.Manifest.Terms) }
}

// world is one creator, one buyer, their packages and one job.
type world struct {
	t              testing.TB
	clock          *clock
	creator, buyer *owner
	data, code     *packed
	more           []*packed // further data of the job
	job            *job.Job
	signedJob      []byte
	jobID          envelope.Digest
}

func newWorld(t testing.TB, options ...packOption) *world {
	t.Helper()
	c := &clock{t: time.UnixMilli(1_800_000_000_000)}
	w := &world{t: t, clock: c, creator: newOwner(t, config.Creator, c), buyer: newOwner(t, config.Buyer, c)}
	w.data = w.creator.pack(dataset.KindDataset, options...)
	w.code = w.buyer.pack(dataset.KindCode, withTerms(func(t *dataset.Terms) { t.Price = dataset.Price{Currency: "EUR"} }))
	w.newJob(nil)
	return w
}

// packs are the job's packages in its order.
func (w *world) packs() []*packed { return append([]*packed{w.code, w.data}, w.more...) }

func (w *world) datasets() (out []envelope.Digest) {
	for _, p := range w.packs()[1:] {
		out = append(out, p.ID)
	}
	return out
}

// newJob signs a job, with changes.
func (w *world) newJob(change func(*job.Job)) {
	w.t.Helper()
	j := &job.Job{
		ID: envelope.NewNonce(), Buyer: *w.buyer.cfg.Buyer, Code: w.code.ID, Datasets: w.datasets(),
		Transforms: []envelope.Digest{}, Purpose: "research", Use: job.Use{Territory: "DE"}, Receipts: []string{}, Mode: grant.ModeRaw, Runtime: job.RuntimeWASM, Epochs: 2,
		Limits:  job.Limits{MemoryBytes: 64 << 20, WallSeconds: 60, OutputBytes: 1 << 16, Fuel: 1 << 30},
		Outputs: []job.Output{{Name: "model.bin", Class: "model", MaxBytes: 1 << 15}, {Name: "m.json", Class: "metrics", MaxBytes: 1 << 10}},
		Params:  map[string]string{}, Seed: envelope.NewNonce(), SpendCap: 1_000_000, Recipient: "age1test",
		NotAfter: w.clock.now().Add(12 * time.Hour).Unix(),
	}
	if change != nil {
		change(j)
	}
	var err error
	w.job = j
	w.signedJob, w.jobID, err = job.Sign(j, w.buyer.key(w.buyer.cfg.Layout().BuyerKey(), envelope.RoleBuyer))
	if err != nil {
		w.t.Fatal(err)
	}
}

// enclave is one attempt: keys, binding, evidence.
type enclave struct {
	w        *world
	hpke     hpke.PrivateKey
	signer   *envelope.Signer
	binding  attestation.Binding
	d        envelope.Digest
	evidence []byte
	ticket   []byte
	grants   map[envelope.Digest]*envelope.Verified[grant.Grant]
	raw      map[envelope.Digest][]byte // grants as signed
	beats    map[envelope.Digest]int64
}

func (w *world) challenge(p *packed) (envelope.Nonce, error) {
	signed, err := p.owner.Challenge(w.t.Context(), &grant.ChallengeRequest{Manifest: p.ID, Job: w.jobID})
	if err != nil {
		return envelope.Nonce{}, err
	}
	v, err := grant.VerifyChallenge(signed, p.owner.Key())
	if err != nil {
		w.t.Fatal(err)
	}
	return v.Predicate.Nonce, nil
}

// newEnclave asks for challenges and collects evidence; change may spoil the binding before it is attested.
func (w *world) newEnclave(change func(*attestation.Binding)) *enclave {
	w.t.Helper()
	e := w.unattested()
	for _, p := range w.packs() {
		n, err := w.challenge(p)
		if err != nil {
			w.t.Fatal(err)
		}
		e.binding.Owners = append(e.binding.Owners, attestation.Owner{Audience: p.owner.Key(), Nonce: n, Manifest: p.ID})
	}
	if change != nil {
		change(&e.binding)
	}
	e.attest(func(*quote) {})
	return e
}

// own adds the owner of a package to the binding.
func (e *enclave) own(p *packed, n envelope.Nonce) {
	e.binding.Owners = append(e.binding.Owners, attestation.Owner{Audience: p.Manifest.Broker.Key, Nonce: n, Manifest: p.ID})
}

// unattested is an enclave with fresh keys that has asked nobody yet.
func (w *world) unattested() *enclave {
	w.t.Helper()
	e := &enclave{w: w, grants: map[envelope.Digest]*envelope.Verified[grant.Grant]{}, beats: map[envelope.Digest]int64{}, raw: map[envelope.Digest][]byte{}}
	var err error
	if e.hpke, err = hpke.MLKEM768X25519().GenerateKey(); err != nil {
		w.t.Fatal(err)
	}
	if e.signer, err = envelope.GenerateSigner(envelope.RoleEnclave); err != nil {
		w.t.Fatal(err)
	}
	e.binding = attestation.Binding{
		HPKEKey: e.hpke.PublicKey().Bytes(), SigningKey: e.signer.Public(), LeaseID: envelope.NewNonce(), Job: w.jobID,
		Runtime: w.job.Runtime, Configuration: envelope.Sum([]byte("c")), SelfTest: envelope.Sum([]byte("s")), Engine: envelope.Sum([]byte("e")),
	}
	return e
}

func (e *enclave) attest(change func(*quote)) {
	e.w.t.Helper()
	d, err := e.binding.Digest()
	if err != nil {
		e.w.t.Fatal(err)
	}
	e.d = d
	q := quote{Bound: d[:], Measurement: measured}
	change(&q)
	q.MAC = q.mac()
	raw, _ := json.Marshal(q)
	ev := attestation.Evidence{
		Version: 1, Platform: attestation.PlatformSimulated, Evidence: raw, Endorsements: []attestation.Endorsement{},
		EventLogs: []attestation.EventLog{}, Claims: e.binding, Nested: []attestation.Nested{},
	}
	if e.evidence, err = ev.Encode(); err != nil {
		e.w.t.Fatal(err)
	}
}

func (e *enclave) request(p *packed) *grant.ReleaseRequest {
	r := &grant.ReleaseRequest{Evidence: e.evidence, Job: e.w.signedJob, Code: e.w.code.Signed, Manifest: p.Signed}
	if p != e.w.code {
		r.Ticket = e.ticket
	}
	return r
}

// release asks for one package's key, opens it and compares it with the one packed.
func (e *enclave) release(p *packed) error {
	t := e.w.t
	t.Helper()
	r, err := p.owner.Release(t.Context(), e.request(p))
	if err != nil {
		return err
	}
	e.accept(p, r)
	return nil
}

func (e *enclave) accept(p *packed, r *grant.ReleaseReply) {
	t := e.w.t
	t.Helper()
	g, err := grant.VerifyGrant(r.Grant, p.owner.Key())
	if err != nil {
		t.Fatal(err)
	}
	key, err := e.open(r.Sealed, e.d, g.ID)
	if err != nil || !bytes.Equal(key, p.key) {
		t.Fatalf("sealed key does not open to the data key: %v", err)
	}
	if len(r.Ticket) > 0 {
		e.ticket = r.Ticket
	}
	e.grants[p.ID], e.raw[p.ID] = g, r.Grant
}

func (e *enclave) open(sealed []byte, info, aad envelope.Digest) ([]byte, error) {
	const encSize = 1120
	r, err := hpke.NewRecipient(sealed[:encSize], e.hpke, hpke.HKDFSHA256(), hpke.AES256GCM(), info[:])
	if err != nil {
		return nil, err
	}
	return r.Open(aad[:], sealed[encSize:])
}

// released is an enclave that has both keys.
func (w *world) released() *enclave {
	w.t.Helper()
	e := w.newEnclave(nil)
	for _, p := range []*packed{w.code, w.data} {
		if err := e.release(p); err != nil {
			w.t.Fatalf("release %s: %v", p.Manifest.Kind, err)
		}
	}
	return e
}

func (e *enclave) signHeartbeat(p *packed, sequence, delivered int64) []byte {
	e.w.t.Helper()
	signed, _, err := grant.Sign(&grant.Heartbeat{Binding: e.d, Grant: e.grants[p.ID].ID, Sequence: sequence, Delivered: delivered}, e.signer)
	if err != nil {
		e.w.t.Fatal(err)
	}
	return signed
}

func (e *enclave) heartbeat(p *packed, delivered int64) (*grant.Allowance, error) {
	signed, err := p.owner.Heartbeat(e.w.t.Context(), e.signHeartbeat(p, e.beats[p.ID]+1, delivered))
	if err != nil {
		return nil, err
	}
	e.beats[p.ID]++
	v, err := grant.VerifyAllowance(signed, p.owner.Key())
	if err != nil {
		e.w.t.Fatal(err)
	}
	return &v.Predicate, nil
}

// usage is a statement that fits: each package read once in each epoch.
func (e *enclave) usage(change func(*usage.Statement)) []byte {
	e.w.t.Helper()
	commitment := envelope.Sum([]byte("outputs"))
	s := &usage.Statement{
		Job: e.w.jobID, Binding: e.d, Evidence: envelope.Sum(e.evidence), Assurance: "simulated", Runtime: e.w.job.Runtime,
		Isolation: "user,pid,net,mnt,ipc,uts;seccomp;landlock-4;rlimit", Attempt: e.grants[e.w.code.ID].Predicate.Attempt, Outcome: usage.OutcomeCompleted,
		Outputs: []usage.Output{{Name: "model.bin", Class: "model", Bytes: 100}}, Commitment: &commitment,
		Execution:  &usage.Execution{Module: envelope.Sum([]byte("module")), Rewritten: envelope.Sum([]byte("rewritten")), Costs: usage.CostTable, Fuel: 1 << 20},
		Transforms: []usage.Transform{}, Spent: []usage.Spend{}, Receipts: []string{}, Payments: []string{},
		Time: usage.Time{Broker: e.w.clock.now().UnixMilli(), Released: 1, Started: 2, Finished: 3},
	}
	for _, p := range e.w.packs() {
		g := e.grants[p.ID]
		if g == nil {
			continue
		}
		root := envelope.Sum([]byte("read root"))
		s.Packages = append(s.Packages, usage.Package{
			Manifest: p.ID, Grant: g.ID, Policy: g.Predicate.Policy, Leaves: []grant.Range{{First: 0, Count: 1}}, ReadRoot: &root,
			Reads: 1, Bytes: p.Manifest.Segments[0].Bytes, Records: rows, Billable: rows, Epochs: 1, Heartbeat: e.beats[p.ID],
		})
	}
	if change != nil {
		change(s)
	}
	var result *envelope.Digest
	if s.Outcome == usage.OutcomeCompleted {
		d := envelope.Sum([]byte("result"))
		result = &d
	}
	signed, _, err := usage.Sign(s, result, e.signer)
	if err != nil {
		e.w.t.Fatal(err)
	}
	return signed
}

// failed turns a statement into one of a failed run.
func failed(s *usage.Statement) {
	s.Outcome, s.Reason, s.Outputs, s.Commitment = usage.OutcomeFailed, usage.ReasonTrap, []usage.Output{}, nil
}

// unread turns a statement into one of a run that failed before anything was read.
func unread(s *usage.Statement) {
	failed(s)
	for i := range s.Packages {
		p := &s.Packages[i]
		p.Leaves, p.ReadRoot, p.Reads, p.Bytes, p.Records, p.Billable, p.Epochs = []grant.Range{}, nil, 0, 0, 0, 0, 0
	}
}

func (e *enclave) commit(p *packed, signed []byte) (*grant.Commit, error) {
	out, err := p.owner.Commit(e.w.t.Context(), signed, nil)
	if err != nil {
		return nil, err
	}
	v, err := grant.VerifyCommit(out, p.owner.Key())
	if err != nil {
		e.w.t.Fatal(err)
	}
	return &v.Predicate, nil
}

// plan is the forecast for the world's job.
func (w *world) plan() *grant.PlanReply {
	w.t.Helper()
	r, err := w.creator.Plan(w.t.Context(), &grant.PlanRequest{Job: w.signedJob, Manifest: w.data.Signed, Code: w.code.Signed})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// revoke signs a revocation by the creator, which her broker finds.
func (w *world) revoke(r *grant.Revocation) {
	w.t.Helper()
	r.Reason, r.Time = "r", w.clock.now().UnixMilli()
	_, err := config.AddRevocation(w.creator.dir, r)
	must(w.t, err)
}

// rules lists the failed rules of a denial.
func rules(t testing.TB, err error) []string {
	t.Helper()
	d, ok := errors.AsType[*broker.DeniedError](err)
	if !ok {
		t.Fatalf("not a denial: %v", err)
	}
	var out []string
	for _, r := range d.Denial.Reasons {
		out = append(out, r.Rule)
	}
	return out
}

func want(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newEnclaveFor binds the code, the data and further packages.
func (w *world) newEnclaveFor(more ...*packed) *enclave {
	w.t.Helper()
	return w.newEnclave(func(b *attestation.Binding) {
		for _, p := range more {
			n, err := w.challenge(p)
			if err != nil {
				w.t.Fatal(err)
			}
			b.Owners = append(b.Owners, attestation.Owner{Audience: p.owner.Key(), Nonce: n, Manifest: p.ID})
		}
	})
}
