// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/policies"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// measured is what the test platform reports and reference values expect.
var measured = strings.Repeat("ab", 32)

// isolation is what a worker's stamp looks like.
const isolation = "user,pid,net,mnt,ipc,uts;seccomp;landlock-4;rlimit"

// platform is a root of trust in a key, for tests: collector and format in one.
type platform struct{ key ed25519.PrivateKey }

func (p *platform) Platform() attestation.Platform { return attestation.PlatformSimulated }

func (p *platform) Collect(_ context.Context, d envelope.Digest) (attestation.Evidence, error) {
	return attestation.Evidence{
		Version: 1, Platform: p.Platform(), Evidence: append(ed25519.Sign(p.key, d[:]), d[:]...),
		Endorsements: []attestation.Endorsement{}, EventLogs: []attestation.EventLog{}, Nested: []attestation.Nested{},
	}, nil
}

func (p *platform) Authenticate(_ context.Context, e *attestation.Evidence, _ int64) (*attestation.Report, error) {
	if len(e.Evidence) != ed25519.SignatureSize+sha256.Size ||
		!ed25519.Verify(p.key.Public().(ed25519.PublicKey), e.Evidence[ed25519.SignatureSize:], e.Evidence[:ed25519.SignatureSize]) {
		return nil, errors.New("not this root")
	}
	return &attestation.Report{
		Platform: p.Platform(), Assurance: attestation.AssuranceSimulated, Bound: e.Evidence[ed25519.SignatureSize:],
		Measurements: map[string]string{"enclave": measured}, Root: "test",
	}, nil
}

func (p *platform) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if !bytes.Equal(r.Bound, d[:]) {
		return attestation.ErrBind
	}
	return nil
}

// party is one owner with her broker, in this process.
type party struct {
	dir    string
	cfg    *config.Config
	broker *broker.Broker
	ahead  time.Duration // of its clock
}

// world is a creator, a buyer and a host that holds their blobs; everything but hardware, network and worker is real.
type world struct {
	t        testing.TB
	root     *platform
	creator  *party
	buyer    *party
	store    *dataset.DirStore
	blobs    dataset.BlobReader
	signed   map[envelope.Digest][]byte
	data     *dataset.Packed
	code     *dataset.Packed
	identity *age.X25519Identity
	job      []byte
	jobID    envelope.Digest
	records  []byte

	relay func(address string, msg []byte) ([]byte, error) // nil: straight through

	asking   sync.Mutex
	mu       sync.Mutex
	payload  []byte
	result   *door.Result
	abandon  *door.Abandon
	progress []door.Progress
	cancel   bool
	cancels  int  // answers that said so
	full     bool // the host's disk
	answered []door.Probed

	refuseFinish int           // so many times
	patience     time.Duration // of the enclave with brokers; little if zero
	unlogged     time.Duration // of the enclave with commits that wait for the log
}

func newWorld(t testing.TB, change func(*job.Job)) *world { return newWorldOf(t, 20_000, change) }

// newWorldOf has a dataset of that many records; a leaf holds about 1,700.
func newWorldOf(t testing.TB, records int, change func(*job.Job)) *world {
	t.Helper()
	return newWorldFrom(t, made{records: numbers(records), module: []byte("\x00asm-for-a-fake-runner"), job: change})
}

// numbers are so many records in CSV, of random digits, so that they do not compress to nothing.
func numbers(records int) []byte {
	var csv bytes.Buffer
	csv.WriteString("id,value\n")
	for i := range records {
		fmt.Fprintf(&csv, "%d,%x\n", i, sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	return csv.Bytes()
}

// made is what a world is made from.
type made struct {
	records, module []byte
	files           fs.FS             // of the dataset, instead of records
	segment         int64             // bytes of the dataset's segments
	code            map[string][]byte // more files of the code package
	terms           func(*dataset.Terms)
	offer           func(*dataset.Manifest) // of the dataset alone
	job             func(*job.Job)
}

func newWorldFrom(t testing.TB, from made) *world {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	w := &world{t: t, root: &platform{key}, signed: map[envelope.Digest][]byte{}}
	w.store, err = dataset.NewDirStore(t.TempDir())
	check(t, err)
	w.blobs = w.store
	w.creator, w.buyer = w.newParty(config.Creator, "http://creator.test"), w.newParty(config.Buyer, "http://buyer.test")
	w.records = from.records
	offer, mine := w.offer(w.creator, dataset.KindDataset), w.offer(w.buyer, dataset.KindCode)
	if from.terms != nil {
		from.terms(&offer.Terms)
		from.terms(&mine.Terms)
	}
	if from.offer != nil {
		from.offer(&offer)
	}
	data := dataset.PackConfig{Source: bytes.NewReader(w.records), Manifest: offer, SegmentBytes: from.segment, BatchBytes: from.segment}
	if from.files != nil {
		data.Source, data.Files, data.Manifest.Format = nil, from.files, dataset.FormatFiles
	}
	w.data = w.pack(w.creator, data)
	code := t.TempDir()
	check(t, os.WriteFile(filepath.Join(code, mainModule), from.module, 0o600))
	for name, b := range from.code {
		check(t, os.WriteFile(filepath.Join(code, name), b, 0o600))
	}
	w.code = w.pack(w.buyer, dataset.PackConfig{Files: os.DirFS(code), Manifest: mine})
	w.identity, err = age.GenerateX25519Identity()
	check(t, err)
	w.signJob(from.job)
	w.startBrokers()
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) newParty(role config.Role, address string) *party {
	dir := filepath.Join(w.t.TempDir(), "owner")
	cfg, err := config.Init(dir, config.Options{Role: role, Listen: "127.0.0.1:0", Address: address, HeartbeatTimeout: 60_000})
	check(w.t, err)
	signer, err := envelope.LoadKeyFile(cfg.Layout().ReferenceKey(), envelope.RoleReference)
	check(w.t, err)
	ref, err := attestation.SignReference(&attestation.Reference{
		Version: 1, NotAfter: time.Now().Add(time.Hour).Unix(),
		Values: []attestation.ReferenceValue{{Name: "test enclave", Platform: attestation.PlatformSimulated, Measurements: map[string]string{"enclave": measured}}},
	}, signer)
	check(w.t, err)
	check(w.t, os.WriteFile(cfg.Layout().Reference(), ref, 0o600))
	return &party{dir: dir, cfg: cfg}
}

// policy is compiled once for all worlds.
var policy = sync.OnceValue(func() *policies.Engine {
	e, err := policies.Load(context.Background(), policies.Options{})
	if err != nil {
		panic(err)
	}
	return e
})

func (w *world) startBrokers() {
	for _, p := range []*party{w.creator, w.buyer} {
		var err error
		p.broker, err = broker.New(w.t.Context(), broker.Config{
			Settings: p.cfg, Formats: []attestation.Format{w.root}, Now: func() time.Time { return time.Now().Add(p.ahead) },
			Policy: policy(),
		})
		check(w.t, err)
		w.t.Cleanup(func() { p.broker.Close() })
	}
}

func (w *world) offer(p *party, kind dataset.Kind) dataset.Manifest {
	key, err := envelope.LoadKeyFile(p.cfg.Layout().BrokerKey(), envelope.RoleBroker)
	check(w.t, err)
	m := dataset.Manifest{
		Kind: kind, Name: "numbers", Format: dataset.FormatCSV, Test: true,
		Broker: dataset.Broker{Address: p.cfg.Address, Key: key.Public()},
		Terms: dataset.Terms{
			Modes: []string{grant.ModeRaw}, Purposes: []string{"research"}, Outputs: []string{"metrics", "model"},
			MaxOutputBytes: 1 << 20, MaxEpochs: 2, MaxUses: 5, Logs: grant.LogsSealed, Allowance: 3, LeaseSeconds: 600,
			BrokerAway: "wait", Price: dataset.Price{Currency: "EUR", PerRecord: 2, PerUse: 100},
			NotAfter: time.Now().Add(time.Hour).Unix(), MinAssurance: "simulated",
		}.ForAnyone(),
	}
	if kind == dataset.KindCode {
		m.Name, m.Format, m.Terms.Price = "code", dataset.FormatFiles, dataset.Price{Currency: "EUR"}
	}
	return m
}

func (w *world) pack(p *party, c dataset.PackConfig) *dataset.Packed {
	var err error
	c.Store, c.Key = w.store, dataset.NewKey()
	c.Signer, err = envelope.LoadKeyFile(p.cfg.Layout().OwnerKey(), envelope.RoleOwner)
	check(w.t, err)
	packed, err := dataset.Pack(w.t.Context(), c)
	check(w.t, err)
	k, err := keyholder.Open(p.cfg.Layout().Keyholder(), p.cfg.Layout().KeyholderIdentity())
	check(w.t, err)
	wrapped, err := k.Wrap(w.t.Context(), keyholder.Context(packed.ID), c.Key.Bytes())
	check(w.t, err)
	_, err = config.AddPackage(p.dir, packed.Signed, wrapped)
	check(w.t, err)
	w.signed[packed.ID] = packed.Signed
	return packed
}

func (w *world) signJob(change func(*job.Job)) {
	signer, err := envelope.LoadKeyFile(w.buyer.cfg.Layout().BuyerKey(), envelope.RoleBuyer)
	check(w.t, err)
	j := &job.Job{
		ID: envelope.NewNonce(), Buyer: signer.Public(), Code: w.code.ID, Datasets: []envelope.Digest{w.data.ID},
		Transforms: []envelope.Digest{}, Purpose: "research", Use: job.Use{Territory: "DE"}, Receipts: []string{}, Mode: grant.ModeRaw, Runtime: job.RuntimeWASM, Epochs: 1,
		Limits:  job.Limits{MemoryBytes: 1 << 24, WallSeconds: 30, OutputBytes: 1 << 16, Fuel: 1 << 40},
		Outputs: []job.Output{{Name: "model.bin", Class: "model", MaxBytes: 1 << 12}}, Params: map[string]string{},
		Seed: envelope.NewNonce(), SpendCap: 1 << 40, Recipient: w.identity.Recipient().String(),
		NotAfter: time.Now().Add(time.Hour).Unix(),
	}
	if change != nil {
		change(j)
	}
	w.job, w.jobID, err = job.Sign(j, signer)
	check(w.t, err)
}

// enclave makes a fresh enclave before this world's host, impatient enough for tests.
func (w *world) enclave(r Runner) *Enclave {
	e, err := New(Config{
		Host: w, Collector: w.root, Runner: r,
		Configuration: envelope.Sum([]byte("c")), SelfTest: envelope.Sum([]byte("s")), Engine: envelope.Sum([]byte("e")),
	})
	check(w.t, err)
	e.t = timing{
		ask: 100 * time.Millisecond, commit: 100 * time.Millisecond, answer: 5 * time.Second, output: 5 * time.Second, heartbeat: 20 * time.Millisecond, nonce: time.Hour, word: time.Hour,
		backoffFirst: time.Millisecond, backoffMost: 10 * time.Millisecond, probe: 5 * time.Second, probePace: 20 * time.Millisecond,
	}
	e.t.ask, e.t.unlogged = max(e.t.ask, w.patience), w.unlogged
	return e
}

// run drives one attempt to its end and returns what the host got.
func (w *world) run(r Runner) (*door.Result, *door.Abandon) {
	w.t.Helper()
	w.result, w.abandon, w.payload = nil, nil, nil
	if err := w.enclave(r).serveOne(w.t.Context(), &door.Assignment{Token: "t", Job: w.job}); err != nil {
		w.t.Fatal(err)
	}
	return w.result, w.abandon
}

func (w *world) Next(context.Context) (*door.Assignment, error) { return nil, errors.New("unused") }

func (w *world) Probed(_ context.Context, _ string, p door.Probed) error {
	w.answered = append(w.answered, p)
	return nil
}

func (w *world) Manifest(_ context.Context, d envelope.Digest) ([]byte, error) {
	if b, ok := w.signed[d]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("%w: no such manifest", door.ErrRefused)
}

func (w *world) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	return w.blobs.ReadAt(ctx, d, p, off)
}

func (w *world) Relay(_ context.Context, address string, msg []byte) ([]byte, error) {
	w.asking.Lock() // the door asks one question at a time
	defer w.asking.Unlock()
	if w.relay != nil {
		return w.relay(address, msg)
	}
	return w.forward(address, msg)
}

func (w *world) forward(address string, msg []byte) ([]byte, error) {
	for _, p := range []*party{w.creator, w.buyer} {
		if p.cfg.Address == address {
			return p.broker.Exchange(context.Background(), msg), nil
		}
	}
	return nil, fmt.Errorf("%w: no broker at %s", door.ErrRefused, address)
}

func (w *world) Progress(_ context.Context, _ string, p door.Progress) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.progress = append(w.progress, p); w.cancel {
		w.cancels++
	}
	return w.cancel, nil
}

func (w *world) Output(_ context.Context, _ string, p []byte) error {
	if w.full {
		return fmt.Errorf("%w: no space left on device", door.ErrRefused)
	}
	w.payload = append(w.payload, p...)
	return nil
}

func (w *world) Finish(_ context.Context, _ string, r door.Result) error {
	if w.refuseFinish > 0 {
		w.refuseFinish--
		return fmt.Errorf("%w: no space left on device", door.ErrRefused)
	}
	w.result = &r
	return nil
}

func (w *world) Abandon(_ context.Context, _ string, a door.Abandon) error {
	w.abandon = &a
	return nil
}

// noModules are those runners in tests that have no worker for a creator's steps.
type noModules struct{}

func (noModules) Module(context.Context, *dataset.Step, []byte, transforms.Schema, tx.Lent) (transforms.Module, error) {
	return nil, transforms.ErrModule
}

// Train refuses, too.
func (noModules) Train(context.Context, sandbox.TrainSpec) (*sandbox.TrainSession, error) {
	return nil, sandbox.ErrSpawner
}

// reader is a runner that reads its one dataset whole, as often as asked, and returns its hash as the model.
type reader struct {
	noModules
	passes int
	during func() // called after the first pass
	change func(*sandbox.Outcome)
}

func (r reader) Run(ctx context.Context, s sandbox.Spec, d sandbox.Data) (*sandbox.Outcome, error) {
	h := sha256.New()
	for pass := range max(r.passes, 1) {
		if pass == 1 && r.during != nil {
			r.during()
		}
		for off := int64(0); off < s.Files[0].Size; {
			b, before, err := d.Range(ctx, 0, off, int(min(10_000, s.Files[0].Size-off)))
			b = b[before:]
			h.Write(b)
			off += int64(len(b))
			if err != nil {
				return &sandbox.Outcome{Isolation: isolation}, fmt.Errorf("%w: %w", sandbox.ErrData, err)
			}
		}
	}
	if r.during != nil && r.passes < 2 {
		r.during()
	}
	if ctx.Err() != nil {
		return &sandbox.Outcome{Isolation: isolation}, ctx.Err()
	}
	o := &sandbox.Outcome{
		Isolation: isolation, Outputs: []sandbox.Artefact{{Name: "model.bin", Data: h.Sum(nil)}}, Logs: []byte("said"),
		Original: envelope.Sum(s.Module), Rewritten: envelope.Sum([]byte("rewritten")), Costs: fuel.CostTable, Fuel: 4321,
	}
	if r.change != nil {
		r.change(o)
	}
	return o, nil
}

// await waits for what happens under w.mu.
func (w *world) await(done func() bool) {
	for range 1000 {
		w.mu.Lock()
		ok := done()
		w.mu.Unlock()
		if ok {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Error("it did not come")
}

// forge has the creator's broker sign something else than it should.
func (w *world) forge(change func(*grant.Reply, *envelope.Signer) error) {
	key, err := envelope.LoadKeyFile(w.creator.cfg.Layout().BrokerKey(), envelope.RoleBroker)
	check(w.t, err)
	w.relay = func(address string, msg []byte) ([]byte, error) {
		b, err := w.forward(address, msg)
		if err != nil || address != w.creator.cfg.Address {
			return b, err
		}
		r, err := grant.ParseReply(b)
		check(w.t, err)
		check(w.t, change(r, key))
		return envelope.Canonical(r)
	}
}

// lose makes a broker take its live leases for lost, as silence does in time.
func (p *party) lose(t testing.TB) {
	t.Helper()
	p.ahead += 2 * p.cfg.HeartbeatTimeout()
	check(t, p.broker.ExpireLeases(t.Context()))
}
