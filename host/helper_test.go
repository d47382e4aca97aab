// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/host/client"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// fakeEnclave is the argument that makes the test binary an enclave: fake-enclave BEHAVIOUR.
const fakeEnclave = "fake-enclave"

// fakeHost is the argument that makes it a host: fake-host DIR.
const fakeHost = "fake-host"

func listenLoopback() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == fakeEnclave {
		if err := runFake(context.Background(), door.NewClient(os.Stdin, os.Stdout), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "fake enclave:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	if len(os.Args) > 2 && os.Args[1] == fakeHost {
		fmt.Fprintln(os.Stderr, "fake host:", runHost(os.Args[2]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// world is a host with one dataset and one code package published, and a buyer.
type world struct {
	t      *testing.T
	cfg    Config
	h      *Host
	c      *client.Client
	srv    *httptest.Server
	stop   func()
	blobs  *dataset.DirStore
	buyer  *envelope.Signer
	broker *envelope.Signer
	owner  *envelope.Signer // of packages; nil: a fresh one for each
	data   *dataset.Packed
	code   *dataset.Packed
}

func signer(t testing.TB, r envelope.Role) *envelope.Signer {
	t.Helper()
	s, err := envelope.GenerateSigner(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hostDir is a temporary directory that is removed again when the log's library has written its last: it goes on in the
// background for a moment after it was shut down.
func hostDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "host")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eventually(t, "removed", func() bool { return os.RemoveAll(dir) == nil }) })
	return dir
}

func newWorld(t *testing.T, address string, change func(*Config)) *world {
	t.Helper()
	t.Parallel() // most of the time goes into waiting for the disk
	w := &world{
		t: t, buyer: signer(t, envelope.RoleBuyer), broker: signer(t, envelope.RoleBroker),
		cfg: Config{
			Dir: hostDir(t), Origin: "log.test", RetryMin: 5 * time.Millisecond, RetryMax: 20 * time.Millisecond,
			Checkpoint: 100 * time.Millisecond,
		},
	}
	if change != nil {
		change(&w.cfg)
	}
	var err error
	if w.blobs, err = dataset.NewDirStore(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	w.data = w.pack(dataset.KindDataset, "digits", address)
	w.code = w.pack(dataset.KindCode, "trainer", address)
	w.open()
	t.Cleanup(func() { w.stop() })
	w.publish(w.data)
	w.publish(w.code)
	return w
}

func (w *world) pack(kind dataset.Kind, name, address string) *dataset.Packed {
	w.t.Helper()
	owner := w.owner
	if owner == nil {
		owner = signer(w.t, envelope.RoleOwner)
	}
	p, err := dataset.Pack(context.Background(), dataset.PackConfig{
		Store: w.blobs, Source: strings.NewReader("label,pixel\n" + strings.Repeat("7,255\n", 2000)),
		Signer: owner, Key: dataset.NewKey(),
		Manifest: dataset.Manifest{
			Kind: kind, Name: name, Broker: dataset.Broker{Address: address, Key: w.broker.Public()}, Test: true,
			Format: dataset.FormatCSV, Terms: dataset.Terms{
				Modes: []string{grant.ModeRaw}, Purposes: []string{"research"}, Outputs: []string{"model"}, MaxOutputBytes: 1 << 20,
				MaxEpochs: 1, MaxUses: 10, Logs: "off", Allowance: 4, LeaseSeconds: 60, BrokerAway: "wait",
				Price: dataset.Price{Currency: "EUR"}, NotAfter: 4_000_000_000, MinAssurance: "simulated",
			}.ForAnyone(),
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// open starts the host, as at boot.
func (w *world) open() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h, err := New(ctx, w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.h = h
	w.srv = httptest.NewServer(h.Handler())
	w.c = client.New(w.srv.URL)
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		h.Drain()
		w.c.Close()
		w.srv.Close()
		if err := h.Close(); err != nil {
			w.t.Error(err)
		}
	})
}

func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.open()
}

func (w *world) upload(p *dataset.Packed) {
	w.t.Helper()
	for _, d := range p.Manifest.Blobs() {
		b := w.blob(d)
		if err := w.c.PutBlob(context.Background(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) publish(p *dataset.Packed) {
	w.t.Helper()
	w.upload(p)
	if err := w.c.PutManifest(context.Background(), p.Signed); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) blob(d envelope.Digest) []byte {
	w.t.Helper()
	n, err := w.blobs.Size(context.Background(), d)
	if err != nil {
		w.t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := w.blobs.ReadAt(context.Background(), d, b, 0); err != nil && err != io.EOF {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) job(change func(*job.Job)) ([]byte, envelope.Digest) {
	w.t.Helper()
	j := &job.Job{
		ID: envelope.NewNonce(), Buyer: w.buyer.Public(), Code: w.code.ID, Datasets: []envelope.Digest{w.data.ID},
		Transforms: []envelope.Digest{}, Purpose: "research", Use: job.Use{Territory: "DE"}, Receipts: []string{}, Mode: grant.ModeRaw, Runtime: job.RuntimeWASM, Epochs: 1,
		Limits:  job.Limits{MemoryBytes: 1 << 20, WallSeconds: 10, OutputBytes: 1 << 20, Fuel: 1 << 30},
		Outputs: []job.Output{{Name: "model.bin", Class: "model", MaxBytes: 1 << 10}}, Params: map[string]string{},
		Seed: envelope.NewNonce(), Recipient: "age1test", NotAfter: 4_000_000_000,
	}
	if change != nil {
		change(j)
	}
	signed, id, err := job.Sign(j, w.buyer)
	if err != nil {
		w.t.Fatal(err)
	}
	return signed, id
}

func (w *world) submit(change func(*job.Job)) envelope.Digest {
	w.t.Helper()
	signed, id := w.job(change)
	if _, err := w.c.Submit(context.Background(), signed); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// wait watches a job to its end and returns it with all states seen.
func (w *world) wait(id envelope.Digest) (last *pb.Job, states []string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := w.c.Watch(ctx, id, func(j *pb.Job) error {
		if len(states) == 0 || states[len(states)-1] != j.State {
			states = append(states, j.State)
		}
		last = j
		return nil
	})
	if err != nil {
		w.t.Fatalf("watch: %v, last %v", err, last)
	}
	return last, states
}

// eventually polls until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// inProcess launches fake enclaves as goroutines.
type inProcess struct {
	run func(ctx context.Context, c *door.Client, launch int) error

	mu sync.Mutex
	n  int
}

type pipeConn struct {
	io.Reader
	io.Writer
	stop func() string
}

func (p *pipeConn) PID() int     { return 0 }
func (p *pipeConn) Stop() string { return p.stop() }

func (l *inProcess) Launch(context.Context, int) (Conn, error) {
	l.mu.Lock()
	n := l.n
	l.n++
	l.mu.Unlock()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	var exit string
	done := make(chan struct{})
	go func() {
		defer close(done)
		exit = fmt.Sprint(l.run(ctx, door.NewClient(inR, outW), n))
		outW.Close()
	}()
	return &pipeConn{outR, inW, func() string {
		cancel()
		inW.Close()
		outR.Close()
		<-done
		return exit
	}}, nil
}

// with configures one in-process enclave.
func with(run func(ctx context.Context, c *door.Client, launch int) error) func(*Config) {
	return func(c *Config) { c.Enclaves, c.Launcher = 1, &inProcess{run: run} }
}

// always is an enclave that behaves in one way.
func always(behaviour string) func(*Config) {
	return with(func(ctx context.Context, c *door.Client, _ int) error { return runFake(ctx, c, behaviour) })
}

// runFake asks for jobs and treats each as told. "a,b" does a in the first job and b from the second on.
func runFake(ctx context.Context, c *door.Client, behaviour string) error {
	for jobs := 0; ; {
		a, err := c.Next(ctx)
		if err != nil {
			return err
		}
		if a == nil {
			continue
		}
		what := strings.Split(behaviour, ",")
		if err := fakeJob(ctx, c, a, what[min(jobs, len(what)-1)]); err != nil {
			return err
		}
		jobs++
	}
}

const (
	fakeHeader  = "age-encryption.org/v1\nheader\n"
	fakePayload = "payload that is noise without its header"
)

func fakeJob(ctx context.Context, c *door.Client, a *door.Assignment, behaviour string) error {
	v, err := job.Verify(a.Job)
	if err != nil {
		return err
	}
	var total int64
	for _, id := range v.Predicate.Manifests() {
		b, err := c.Manifest(ctx, id)
		if err != nil {
			return err
		}
		m, err := dataset.Verify(b)
		if err != nil {
			return err
		}
		if _, err := c.ReadAt(ctx, m.Predicate.Segments[0].Blob, make([]byte, 64), 0); err != nil {
			return err
		}
		total = m.Predicate.Tree.Size
	}
	for _, s := range []string{door.StateReleasing, door.StateRunning} {
		cancelled, err := c.Progress(ctx, a.Token, door.Progress{State: s, Leaves: total, Total: total})
		if err != nil {
			return err
		}
		if cancelled {
			return c.Finish(ctx, a.Token, fakeRun(v.ID, usage.ReasonStopped, nil))
		}
	}
	switch behaviour {
	case "die":
		if err := c.Output(ctx, a.Token, []byte(fakePayload)); err != nil {
			return err
		}
		return fmt.Errorf("died of an ill")
	case "crash":
		os.Exit(9)
	case "wait-for-cancel":
		for {
			cancelled, err := c.Progress(ctx, a.Token, door.Progress{State: door.StateRunning})
			if err != nil {
				return err
			}
			if cancelled {
				return c.Finish(ctx, a.Token, fakeRun(v.ID, usage.ReasonStopped, nil))
			}
			time.Sleep(time.Millisecond)
		}
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	case "try-again":
		return c.Abandon(ctx, a.Token, door.Abandon{Code: grant.CodeTryAgain, Message: "the broker is busy", Retry: true})
	case "denied":
		return c.Abandon(ctx, a.Token, door.Abandon{Code: grant.CodeDenied, Message: "purpose\nnot allowed", Hint: "ask", Denial: []byte("signed")})
	case "trap":
		return c.Finish(ctx, a.Token, fakeRun(v.ID, usage.ReasonTrap, nil))
	}
	if err := c.Output(ctx, a.Token, []byte(fakePayload[:10])); err != nil {
		return err
	}
	if err := c.Output(ctx, a.Token, []byte(fakePayload[10:])); err != nil {
		return err
	}
	file := []byte(fakeHeader + fakePayload)
	if behaviour == "swap-result" {
		file = []byte(fakeHeader + "another payload")
	}
	r := fakeRun(v.ID, usage.ReasonNone, file)
	switch behaviour {
	case "other-job":
		r = fakeRun(envelope.Sum([]byte("other")), usage.ReasonNone, file)
	case "no-grants":
		r.Grants, r.Commits = nil, nil
	}
	return c.Finish(ctx, a.Token, r)
}

// fakeRun is what a real enclave hands over, with signatures that only fit each other. A nil file is a failed run.
func fakeRun(id envelope.Digest, reason string, file []byte) door.Result {
	must := func(b []byte, err error) []byte {
		if err != nil {
			panic(err)
		}
		return b
	}
	lease, err := envelope.GenerateSigner(envelope.RoleEnclave)
	if err != nil {
		panic(err)
	}
	broker, err := envelope.GenerateSigner(envelope.RoleBroker)
	if err != nil {
		panic(err)
	}
	some := func(s string) envelope.Digest { return envelope.Sum([]byte(s)) }
	ev := attestation.Evidence{
		Version: 1, Platform: attestation.PlatformSimulated, Evidence: []byte("quote"), Endorsements: []attestation.Endorsement{},
		EventLogs: []attestation.EventLog{}, Nested: []attestation.Nested{},
		Claims: attestation.Binding{
			Owners: []attestation.Owner{
				{Audience: broker.Public(), Nonce: envelope.NewNonce(), Manifest: some("code")},
				{Audience: broker.Public(), Nonce: envelope.NewNonce(), Manifest: some("data")},
			},
			HPKEKey: bytes.Repeat([]byte{1}, 1216), SigningKey: lease.Public(), LeaseID: envelope.NewNonce(), Job: id, Runtime: job.RuntimeWASM,
			Configuration: some("configuration"), SelfTest: some("self-test"), Engine: some("engine"),
		},
	}
	evidence := must(envelope.Canonical(ev))
	d, err := ev.Claims.Digest()
	if err != nil {
		panic(err)
	}
	st := &usage.Statement{
		Job: id, Binding: d, Evidence: envelope.Sum(evidence), Assurance: "simulated", Runtime: job.RuntimeWASM, Isolation: "none",
		Attempt: 1, Outcome: usage.OutcomeFailed, Reason: reason, Outputs: []usage.Output{}, Transforms: []usage.Transform{}, Spent: []usage.Spend{},
		Receipts: []string{}, Payments: []string{}, Time: usage.Time{Broker: 1},
	}
	r := door.Result{Outcome: usage.OutcomeFailed, Reason: reason, Evidence: evidence}
	var result *envelope.Digest
	if file != nil {
		sum, c := envelope.Sum(file), some("commitment")
		st.Execution = &usage.Execution{Module: some("module"), Rewritten: some("rewritten"), Costs: usage.CostTable, Fuel: 1}
		result, st.Commitment, st.Outcome, r.Outcome, r.Header = &sum, &c, usage.OutcomeCompleted, usage.OutcomeCompleted, []byte(fakeHeader)
	}
	for i := range 2 {
		g := testGrant(id, some(fmt.Sprint("manifest", i)))
		signed, gid, err := grant.Sign(g, broker)
		r.Grants = append(r.Grants, must(signed, err))
		st.Packages = append(st.Packages, usage.Package{Manifest: g.Manifest, Grant: gid, Policy: g.Policy, Leaves: []grant.Range{}})
	}
	var uid envelope.Digest
	r.Usage, uid, err = usage.Sign(st, result, lease)
	must(nil, err)
	for i, p := range st.Packages {
		signed, _, err := grant.Sign(&grant.Commit{
			Binding: d, Grant: p.Grant, Job: id, Manifest: p.Manifest, Usage: uid, Outcome: st.Outcome, Currency: "EUR",
			Sequence: 1, Time: int64(i + 1),
		}, broker)
		r.Commits = append(r.Commits, must(signed, err))
	}
	r.Ticket, _, err = grant.Sign(&grant.Ticket{Job: id, Binding: d, Attempt: 1, Issued: 1, Expires: 2}, broker)
	must(nil, err)
	return r
}

func testGrant(id, manifest envelope.Digest) *grant.Grant {
	some := envelope.Sum([]byte("some"))
	buyer, err := envelope.GenerateSigner(envelope.RoleBuyer)
	if err != nil {
		panic(err)
	}
	return &grant.Grant{
		Binding: some, Evidence: some, Job: id, Manifest: manifest, Buyer: buyer.Public(), Ticket: &some, Attempt: 1,
		Assurance: "simulated", Reference: "test", Policy: some, Sequence: 1, Issued: 1000,
		Obligations: grant.Obligations{
			Mode: grant.ModeRaw, Transforms: []envelope.Digest{}, Leaves: grant.Ranges{{Count: 1}}, Epochs: 1, Outputs: []string{"model"},
			MaxOutput: 1, Logs: grant.LogsOff, Allowance: 1, Expires: 2000,
		},
	}
}

// only asserts that a directory comes to hold exactly the named files: a job's end is seen a moment before what it left is
// swept.
func only(t *testing.T, dir string, want ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s holds %q", filepath.Base(dir), want), func() bool {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		return strings.Join(got, " ") == strings.Join(want, " ")
	})
}

// keptOf takes a bundle apart again.
func keptOf(t *testing.T, signedUsage, bundle []byte) []byte {
	t.Helper()
	p, err := usage.ParseBundle(bundle)
	if err != nil {
		t.Fatal(err)
	}
	k := runParts{Usage: signedUsage, Evidence: p.Evidence, Ticket: p.Ticket}
	for i := range p.Grants {
		k.Grants, k.Commits = append(k.Grants, p.Grants[i]), append(k.Commits, p.Commits[i])
	}
	b, err := envelope.Canonical(k)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
