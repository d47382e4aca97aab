// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

const (
	exchangePath  = "/glovebox/v1/exchange"
	childVariable = "GLOVEBOX_BROKER_CHILD"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// child serves a directory until it is killed.
func child(dir string) {
	fail := func(err error) {
		fmt.Println("child:", err)
		os.Exit(1)
	}
	cfg, err := config.Load(config.Layout{Dir: dir}.Config())
	if err != nil {
		fail(err)
	}
	ctx := context.Background()
	b, err := broker.New(ctx, broker.Config{Settings: cfg, Formats: []attestation.Format{platform{attestation.AssuranceSimulated}}})
	if err != nil {
		fail(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	fmt.Printf("http://%s\n", l.Addr())
	fail(b.Serve(ctx, l))
}

func encode(t testing.TB, m *grant.Message) []byte {
	t.Helper()
	b, err := envelope.Canonical(m)
	must(t, err)
	return b
}

func (o *owner) exchange(m []byte) *grant.Reply {
	o.t.Helper()
	r, err := grant.ParseReply(o.Exchange(o.t.Context(), m))
	must(o.t, err)
	return r
}

// kinds closes the broker and lists the predicate types on record, in order.
func (o *owner) kinds() (out []string) {
	o.t.Helper()
	must(o.t, o.Close())
	l := o.cfg.Layout()
	led, err := ledger.Open(o.t.Context(), ledger.Config{Path: l.Ledger(), Head: l.Head(), Lock: l.Lock()})
	must(o.t, err)
	must(o.t, led.Update(o.t.Context(), func(tx *ledger.Tx) error {
		records, err := tx.Records(0, 1<<20)
		for _, r := range records {
			_, payload, _, err := envelope.Parts(r.Signed)
			must(o.t, err)
			for _, k := range []string{"grant", "commit", "denial", "lease-lost", "revocation", "cancel"} {
				if bytes.Contains(payload, []byte("https://glovebox.dev/"+k+"/v1")) {
					out = append(out, k)
				}
			}
		}
		return err
	}))
	must(o.t, led.Close())
	return out
}

func TestReplyCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.newJob(nil)
	e := w.newEnclave(nil)
	e.ticket = forgeTicket(t, w, e, 1)
	nonceless := w.newEnclave(func(b *attestation.Binding) { b.Owners[1].Nonce = envelope.NewNonce() })
	nonceless.ticket = forgeTicket(t, w, nonceless, 1)
	busy := w.newEnclave(nil)
	unknown := envelope.Sum([]byte("unknown"))
	for name, c := range map[string]struct {
		to   *owner
		msg  []byte
		code string
	}{
		"junk":            {w.creator, []byte("junk"), grant.CodeInvalid},
		"empty":           {w.creator, []byte("{}"), grant.CodeInvalid},
		"two requests":    {w.creator, encode(t, &grant.Message{Heartbeat: []byte("x"), Commit: []byte("x")}), grant.CodeInvalid},
		"unknown package": {w.creator, encode(t, &grant.Message{Challenge: &grant.ChallengeRequest{Manifest: unknown, Job: w.jobID}}), grant.CodeInvalid},
		"bad nonce":       {w.creator, encode(t, &grant.Message{Release: nonceless.request(w.data)}), grant.CodeEvidence},
		"enrolment":       {w.creator, encode(t, &grant.Message{Enroll: &grant.EnrollRequest{EKCert: []byte("x"), EKPublic: []byte("x"), AKPublic: []byte("x")}}), grant.CodeInvalid},
		"activation":      {w.creator, encode(t, &grant.Message{Activate: &grant.ActivateRequest{Token: envelope.NewNonce(), Secret: []byte("x")}}), grant.CodeInvalid},
		"heartbeat":       {w.creator, encode(t, &grant.Message{Heartbeat: w.signedJob}), grant.CodeInvalid},
		"commit":          {w.creator, encode(t, &grant.Message{Commit: w.signedJob}), grant.CodeInvalid},
		"plan":            {w.creator, encode(t, &grant.Message{Plan: &grant.PlanRequest{Job: w.signedJob, Manifest: w.signedJob}}), grant.CodeInvalid},
	} {
		r := c.to.exchange(c.msg)
		if r.Error == nil || r.Error.Code != c.code || r.Error.Hint == "" || r.Error.Message == "" {
			t.Errorf("%s: %+v, want code %s", name, r.Error, c.code)
		}
	}
	must(t, e.release(w.code))
	if r := w.buyer.exchange(encode(t, &grant.Message{Release: busy.request(w.code)})); r.Error == nil || r.Error.Code != grant.CodeTryAgain {
		t.Errorf("busy: %+v", r.Error)
	}
	_, err := config.AddRevocation(w.creator.dir, &grant.Revocation{Job: &w.jobID, Reason: "r", Time: 1})
	must(t, err)
	r := w.creator.exchange(encode(t, &grant.Message{Release: e.request(w.data)}))
	if r.Error == nil || r.Error.Code != grant.CodeDenied {
		t.Fatalf("denied: %+v", r.Error)
	}
	if _, err := grant.VerifyDenial(r.Error.Denial, w.data.Manifest.Broker.Key); err != nil {
		t.Errorf("signed denial: %v", err)
	}
	must(t, os.Remove(w.creator.cfg.Layout().Reference()))
	must(t, config.WriteFile(filepath.Join(w.creator.cfg.Layout().Revocations(), "x.dsse"), []byte("{}")))
	if r := w.creator.exchange(encode(t, &grant.Message{Release: e.request(w.data)})); r.Error == nil || r.Error.Code != grant.CodeTryAgain ||
		strings.Contains(r.Error.Message, w.creator.dir) {
		t.Errorf("the owner's trouble: %+v", r.Error)
	}
	must(t, w.creator.Close())
	if r := w.creator.exchange(encode(t, &grant.Message{Challenge: &grant.ChallengeRequest{Manifest: w.data.ID, Job: w.jobID}})); r.Error == nil || r.Error.Code != grant.CodeTryAgain {
		t.Errorf("closed: %+v", r.Error)
	}
}

func TestHandler(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	srv := httptest.NewServer(w.creator.Handler())
	defer srv.Close()
	for _, c := range []struct {
		method, path, typ, body string
		status                  int
	}{
		{"GET", "/healthz", "", "", 200},
		{"POST", exchangePath, "application/json", "junk", 200},
		{"POST", exchangePath, "application/json; charset=utf-8", "{}", 200},
		{"POST", exchangePath, "text/plain", "{}", 415},
		{"GET", exchangePath, "", "", 405},
		{"POST", "/other", "application/json", "{}", 404},
		{"POST", exchangePath, "application/json", strings.Repeat(" ", grant.MaxMessage+1), 413},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, srv.URL+c.path, strings.NewReader(c.body))
		must(t, err)
		req.Header.Set("Content-Type", c.typ)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s %s %s: %d, want %d", c.method, c.path, c.typ, resp.StatusCode, c.status)
		}
	}
}

// TestByzantineRelay records every message of one job and sends them all again, many times, in any order, while the job
// runs and after it: nothing is granted, counted or committed twice.
func TestByzantineRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var sent [][]byte
	owners := []*owner{w.creator, w.buyer}
	replay := func() {
		for range 2 * len(sent) {
			owners[rand.IntN(2)].exchange(sent[rand.IntN(len(sent))])
		}
	}
	send := func(o *owner, m *grant.Message) *grant.Reply {
		replay()
		b := encode(t, m)
		first := o.exchange(b)
		sent = append(sent, b)
		if again := o.exchange(b); first.Error == nil && m.Challenge == nil {
			x, _ := envelope.Canonical(first)
			y, _ := envelope.Canonical(again)
			if !bytes.Equal(x, y) {
				t.Errorf("a message repeated at once got another reply: %s", y)
			}
		}
		if first.Error != nil {
			t.Fatalf("refused: %+v", first.Error)
		}
		return first
	}
	e := w.newEnclave(nil)
	for _, p := range []*packed{w.code, w.data} {
		sent = append(sent, encode(t, &grant.Message{Challenge: &grant.ChallengeRequest{Manifest: p.ID, Job: w.jobID}}))
		e.accept(p, send(p.owner, &grant.Message{Release: e.request(p)}).Release)
	}
	for i := range int64(2) {
		for _, p := range []*packed{w.code, w.data} {
			send(p.owner, &grant.Message{Heartbeat: e.signHeartbeat(p, i+1, 1)})
			e.beats[p.ID]++
		}
	}
	signed := e.usage(nil)
	for _, p := range []*packed{w.code, w.data} {
		send(p.owner, &grant.Message{Commit: signed})
	}
	for range 5 {
		replay()
	}
	for _, o := range owners {
		if got := strings.Join(o.kinds(), " "); got != "grant commit" {
			t.Errorf("records: %s", got)
		}
	}
}

// TestReordered sends the steps of a job in the wrong order.
func TestReordered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.newEnclave(nil)
	want(t, e.release(w.data), broker.ErrTicket) // before the code's release
	must(t, e.release(w.code))
	must(t, e.release(w.data))
	_, err := w.creator.Heartbeat(t.Context(), e.signHeartbeat(w.data, 2, 1))
	want(t, err, broker.ErrHeartbeat)
	_, err = e.commit(w.data, e.usage(nil))
	must(t, err)
	_, err = w.creator.Heartbeat(t.Context(), e.signHeartbeat(w.data, 1, 1))
	want(t, err, broker.ErrLease)
}

// TestFullDisk takes the folder of the anchor away: nothing is given out that is not on record, and all goes on after.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	away := w.creator.dir + ".away"
	must(t, os.Rename(w.creator.dir, away))
	if err := e.release(w.data); err == nil {
		t.Fatal("released without a record")
	}
	if _, err := w.challenge(w.data); !errors.Is(err, ledger.ErrWrite) {
		t.Errorf("challenge: %v", err)
	}
	must(t, os.Rename(away, w.creator.dir))
	must(t, e.release(w.data))
	if got := strings.Join(w.creator.kinds(), " "); got != "grant" {
		t.Errorf("records: %s", got)
	}
}

// collector is a log that fails now and then.
type collector struct {
	mu   sync.Mutex
	fail bool
	got  [][]byte
}

func (c *collector) Publish(_ context.Context, signed []byte, key envelope.PublicKey) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail || key.IsZero() {
		return errors.New("the log is away")
	}
	c.got = append(c.got, signed)
	return nil
}

func (c *collector) set(fail bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = fail
}

func (c *collector) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := &collector{fail: true}
	w.creator.pub = log
	w.creator.restart()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.creator.Run(ctx) }()
	e := w.released() // a log that is away blocks nothing
	other := envelope.Sum([]byte("another manifest"))
	_, err := config.AddRevocation(w.creator.dir, &grant.Revocation{Manifest: &other, Reason: "r", Time: 1})
	must(t, err)
	_, err = e.heartbeat(w.data, 1) // records the revocation, which the log does not take
	must(t, err)
	_, err = e.commit(w.data, e.usage(nil))
	must(t, err)
	log.set(false)
	for deadline := time.Now().Add(20 * time.Second); log.len() < 2 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	must(t, <-done)
	if log.len() != 2 {
		t.Fatalf("%d records published", log.len())
	}
	if _, err := grant.VerifyGrant(log.got[0], w.data.Manifest.Broker.Key); err != nil {
		t.Errorf("first: %v", err)
	}
	if _, err := grant.VerifyCommit(log.got[1], w.data.Manifest.Broker.Key); err != nil {
		t.Errorf("second: %v", err)
	}
}

func TestHTTPPublisher(t *testing.T) {
	t.Parallel()
	key, err := envelope.GenerateSigner(envelope.RoleBroker)
	must(t, err)
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body := fmt.Sprintf(`{"record":"cmVjb3Jk","broker":"%s"}`, key.Public())
		if r.URL.Path != "/glovebox.v1.LogService/AppendRecord" || r.Header.Get("Content-Type") != "application/json" || string(b) != body {
			t.Errorf("%s %s", r.URL, b)
		}
		w.WriteHeader(status)
	}))
	defer srv.Close()
	p := broker.NewHTTPPublisher(srv.URL + "/")
	must(t, p.Publish(t.Context(), []byte("record"), key.Public()))
	status = http.StatusServiceUnavailable
	if err := p.Publish(t.Context(), []byte("record"), key.Public()); err == nil || errors.Is(err, broker.ErrRefused) {
		t.Errorf("the log is away: %v", err)
	}
	status = http.StatusForbidden
	want(t, p.Publish(t.Context(), []byte("record"), key.Public()), broker.ErrRefused)
}

// victim is a broker in a process of its own that gets killed.
type victim struct {
	t   *testing.T
	dir string
	mu  sync.Mutex
	cmd *exec.Cmd
	url string
}

func (v *victim) start() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cmd = exec.Command(os.Args[0])
	v.cmd.Env = append(os.Environ(), childVariable+"="+v.dir)
	out, err := v.cmd.StdoutPipe()
	must(v.t, err)
	must(v.t, v.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "http://") {
		v.t.Fatalf("broker does not start again: %q, %v", line, err)
	}
	v.url = strings.TrimSpace(line)
}

func (v *victim) kill() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cmd.Process.Kill() //nolint:errcheck // it may be dead
	v.cmd.Wait()         //nolint:errcheck // it was killed
}

// send posts until somebody answers, killing the broker a random moment after the request left, the first times.
func (v *victim) send(m *grant.Message) *grant.Reply {
	v.t.Helper()
	body := encode(v.t, m)
	for try := range 30 {
		if try < 2 {
			go func() {
				time.Sleep(time.Duration(rand.IntN(12)) * time.Millisecond)
				v.kill()
			}()
		}
		resp, err := http.Post(v.url+exchangePath, "application/json", bytes.NewReader(body))
		if err == nil {
			b, rerr := io.ReadAll(resp.Body)
			resp.Body.Close()
			if rerr == nil {
				r, err := grant.ParseReply(b)
				must(v.t, err)
				if try < 2 {
					time.Sleep(15 * time.Millisecond)
					v.start()
				}
				return r
			}
		}
		time.Sleep(15 * time.Millisecond)
		v.start()
	}
	v.t.Fatal("no answer")
	return nil
}

// TestKillAtAnyPoint kills the creator's broker with SIGKILL around every message of a job. Each message is sent again
// until it is answered; in the end there is one grant and one commit.
func TestKillAtAnyPoint(t *testing.T) {
	w := newWorld(t)
	w.clock.advance(-time.Until(w.clock.now())) // the child's clock is the real one
	w.buyer.restart()
	w.data = w.creator.pack("dataset")
	w.buyer.reference(2, measured)
	w.creator.reference(2, measured)
	w.newJob(nil)
	must(t, w.creator.Close())
	v := &victim{t: t, dir: w.creator.dir}
	v.start()
	defer v.kill()
	nonce := v.send(&grant.Message{Challenge: &grant.ChallengeRequest{Manifest: w.data.ID, Job: w.jobID}})
	c, err := grant.VerifyChallenge(nonce.Challenge, w.data.Manifest.Broker.Key)
	must(t, err)
	codeNonce, err := w.challenge(w.code)
	must(t, err)
	e := w.unattested()
	e.binding.Owners = []attestation.Owner{
		{Audience: w.code.Manifest.Broker.Key, Nonce: codeNonce, Manifest: w.code.ID},
		{Audience: w.data.Manifest.Broker.Key, Nonce: c.Predicate.Nonce, Manifest: w.data.ID},
	}
	e.attest(func(*quote) {})
	must(t, e.release(w.code))
	r := v.send(&grant.Message{Release: e.request(w.data)})
	if r.Error != nil {
		t.Fatal(r.Error)
	}
	e.accept(w.data, r.Release)
	for i := range int64(2) {
		if r := v.send(&grant.Message{Heartbeat: e.signHeartbeat(w.data, i+1, 1)}); r.Error != nil {
			t.Fatal(r.Error)
		}
		e.beats[w.data.ID]++
	}
	r = v.send(&grant.Message{Commit: e.usage(nil)})
	if r.Error != nil {
		t.Fatal(r.Error)
	}
	v.kill()
	w.creator.Broker, err = w.creator.open()
	must(t, err)
	if got := strings.Join(w.creator.kinds(), " "); got != "grant commit" {
		t.Errorf("records: %s", got)
	}
}
