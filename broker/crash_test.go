// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger/crashtest/faultfs"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

const (
	crashVariable = "GLOVEBOX_CRASH_CHILD" // a crashSetting: this process is the broker that dies
	runsVariable  = "GLOVEBOX_CRASH_RUNS"
	seedVariable  = "GLOVEBOX_CRASH_SEED"

	crashRuns      = 50
	crashRunsShort = 3
	crashWorkers   = 4
	crashLifetime  = 10 // runs of one owner's directory
	crashUses      = 25 // and five, at most: jobs that her terms allow
	crashFast      = 400
)

// crashClock is one clock for both processes, which can run fast.
type crashClock struct {
	Real  int64 `json:"real"`  // Unix nanoseconds
	World int64 `json:"world"` // Unix nanoseconds
	Speed int64 `json:"speed"`
}

func (c crashClock) now() time.Time {
	return time.Unix(0, c.World+(time.Now().UnixNano()-c.Real)*c.Speed)
}

func (c crashClock) at(speed int64) crashClock {
	return crashClock{time.Now().UnixNano(), c.now().UnixNano(), speed}
}

type crashSetting struct {
	Dir   string     `json:"dir"`
	Clock crashClock `json:"clock"`
}

// TestCrashChild is not a test: it is the broker that the tests below kill.
func TestCrashChild(t *testing.T) {
	text := os.Getenv(crashVariable)
	if text == "" {
		return
	}
	if err := crashChild(text); err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
}

func crashChild(text string) error {
	var s crashSetting
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	if err := faultfs.Mount(); err != nil {
		return err
	}
	go func() { // nobody is left to kill it
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // it ends either way
		os.Exit(1)
	}()
	cfg, err := config.Load(config.Layout{Dir: s.Dir}.Config())
	if err != nil {
		return err
	}
	ctx := context.Background()
	b, err := broker.New(ctx, broker.Config{
		Settings: cfg, Formats: []attestation.Format{platform{attestation.AssuranceSimulated}}, Policy: policy(), Now: s.Clock.now,
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	return b.Serve(ctx, l)
}

// crashes is one owner whose broker crashes again and again while enclaves go on asking. What her broker said is
// remembered here, outside.
type crashes struct {
	t      *testing.T
	w      *world
	clock  crashClock
	rng    *rand.Rand
	uses   int64           // that are allowed
	permit envelope.Digest // zero: the terms allow them
	// training: jobs train, and run out of privacy. A run that fails made crashSteps of its steps.
	training bool
	run      int
	began    time.Time
	disk     *faultfs.Disk // nil: the broker works on the machine's own

	cmd   *exec.Cmd
	proc  *faultfs.Process
	stdin io.Closer
	url   string
	http  *http.Client

	mu      sync.Mutex
	acks    []*crashAck
	heard   chan struct{} // one for each answer
	jobs    []*crashJob   // not at their end
	records [][]byte      // as of the last crash
	last    *crashState   // likewise
	totals  crashTotals
}

// crashTotals is what a test did.
type crashTotals struct {
	runs, answers, repeated, grants, commits, denials, heartbeats, challenges, lost, revoked, syncs int
}

func (a *crashTotals) add(b crashTotals) {
	a.runs += b.runs
	a.answers += b.answers
	a.repeated += b.repeated
	a.grants += b.grants
	a.commits += b.commits
	a.denials += b.denials
	a.heartbeats += b.heartbeats
	a.challenges += b.challenges
	a.lost += b.lost
	a.revoked += b.revoked
	a.syncs += b.syncs
}

func (a crashTotals) String() string {
	return fmt.Sprintf("%d crashes, %d sync points; %d answers outlived them (%d grants, %d commits, %d heartbeats, %d challenges, %d denials), "+
		"%d were asked for again; %d leases lost, %d jobs revoked",
		a.runs, a.syncs, a.answers, a.grants, a.commits, a.heartbeats, a.challenges, a.denials, a.repeated, a.lost, a.revoked)
}

func newCrashes(t *testing.T, seed uint64) *crashes {
	t.Helper()
	c, rng := &clock{t: time.UnixMilli(1_800_000_000_000)}, rand.New(rand.NewPCG(seed, 1))
	uses, limit := 5+rng.Int64N(crashUses), rng.IntN(4)
	w := &world{t: t, clock: c, creator: newOwner(t, config.Creator, c), buyer: newOwner(t, config.Buyer, c)}
	w.data = w.creator.pack(dataset.KindDataset, withTerms(func(t *dataset.Terms) {
		t.MaxUses, t.Buyers.MaxUses = 10*uses, 10*uses
		switch limit { // what the jobs will run out of
		case 0:
			t.MaxUses = uses
		case 1:
			t.Buyers.MaxUses = uses
		case 2:
			t.Access = dataset.AccessPermit
		case 3:
			offerTraining(t)
			t.Privacy.Epsilon, t.Privacy.BuyerEpsilon = 4_000_000, 3_500_000
			uses *= 10
		}
	}))
	var permit envelope.Digest
	if limit == 2 {
		permit = w.permit(func(p *grant.Permit) { p.Count, p.NotAfter = uses, c.now().Add(12*time.Hour).Unix() })
	}
	w.code = w.buyer.pack(dataset.KindCode, withTerms(func(t *dataset.Terms) {
		t.Modes, t.Price, t.MaxUses = dataset.Modes(), dataset.Price{Currency: "EUR"}, 1_000_000
	}))
	must(t, w.creator.Close())
	return &crashes{
		t: t, w: w, clock: crashClock{time.Now().UnixNano(), c.now().UnixNano(), 1}, uses: uses, permit: permit, training: limit == 3, rng: rng, began: time.Now(),
		http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * crashWorkers}},
	}
}

// sync sets the clock of everything in this process.
func (c *crashes) sync() {
	c.w.clock.mu.Lock()
	defer c.w.clock.mu.Unlock()
	c.w.clock.t = c.clock.now()
}

// start starts the broker. It does not wait until it serves.
func (c *crashes) start(speed int64) *bufio.Reader {
	c.t.Helper()
	c.clock = c.clock.at(speed)
	c.sync()
	setting, err := json.Marshal(crashSetting{c.w.creator.dir, c.clock})
	must(c.t, err)
	c.cmd = exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
	c.cmd.Env = append(os.Environ(), crashVariable+"="+string(setting))
	c.cmd.Stderr = os.Stderr
	c.stdin, err = c.cmd.StdinPipe()
	must(c.t, err)
	out, err := c.cmd.StdoutPipe()
	must(c.t, err)
	if c.disk == nil {
		must(c.t, c.cmd.Start())
	} else if c.proc, err = faultfs.Start(c.cmd, c.disk, c.w.creator.dir); errors.Is(err, faultfs.ErrUnsupported) {
		c.t.Skip(err)
	}
	must(c.t, err)
	return bufio.NewReader(out)
}

// await reads the address once the broker serves. It reports false if the power failed before.
func (c *crashes) await(out *bufio.Reader) bool {
	c.t.Helper()
	line, err := out.ReadString('\n')
	if err == nil && strings.HasPrefix(line, "http://") {
		c.url = strings.TrimSpace(line) + exchangePath
		return true
	}
	if c.lostPower() {
		return false
	}
	c.t.Fatalf("the broker does not start after a crash: %q, %v", line, err)
	return false
}

func (c *crashes) lostPower() bool {
	if c.disk == nil {
		return false
	}
	select {
	case <-c.disk.Lost():
		return true
	default:
		return false
	}
}

// kill ends the broker with SIGKILL.
func (c *crashes) kill() {
	c.t.Helper()
	if c.disk != nil {
		c.totals.syncs += int(c.disk.Counts().Syncs)
		c.disk.PowerLoss()
		must(c.t, c.proc.Kill())
		c.mu.Lock()
		c.disk = c.disk.Restart()
		c.mu.Unlock()
	} else {
		must(c.t, c.cmd.Process.Kill())
		c.cmd.Wait() //nolint:errcheck // it was killed
	}
	c.http.CloseIdleConnections()
}

// post sends a message. An error says that the broker died before its answer was here.
func (c *crashes) post(message []byte) ([]byte, error) {
	resp, err := c.http.Post(c.url, "application/json", bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return b, err
}

// work lets enclaves ask, until the given number of answers has come and a moment has passed, and then crashes.
func (c *crashes) work(answers int, moment time.Duration) {
	c.t.Helper()
	c.heard = make(chan struct{}, 1024)
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for i := range crashWorkers {
		seed := c.rng.Uint64()
		workers.Go(func() { c.worker(i, rand.New(rand.NewPCG(seed, 2)), stop) })
	}
	var power <-chan struct{}
	if c.disk != nil {
		power = c.disk.Lost()
	}
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
wait:
	for range answers {
		select {
		case <-c.heard:
		case <-power:
			break wait
		case <-limit.C:
			c.t.Errorf("no %d answers in a minute", answers)
			break wait
		}
	}
	time.Sleep(moment)
	c.kill()
	close(stop)
	workers.Wait()
}

// worker goes on with one job after another until the broker is dead.
func (c *crashes) worker(i int, rng *rand.Rand, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		j := c.take(rng)
		if !j.proceed(rng, stop) {
			c.mu.Lock()
			c.jobs = append(c.jobs, j)
			c.mu.Unlock()
			return
		}
	}
}

// take finds a job that a crash interrupted, or begins one.
func (c *crashes) take(rng *rand.Rand) *crashJob {
	c.mu.Lock()
	if n := len(c.jobs); n > 0 {
		j := c.jobs[n-1]
		c.jobs = c.jobs[:n-1]
		c.mu.Unlock()
		return j
	}
	c.mu.Unlock()
	c.sync()
	w := *c.w
	kinds := []string{"complete", "complete", "fail", "rerun", "abandon", "deny", "revoke"}
	j := &crashJob{c: c, w: &w, kind: kinds[rng.IntN(len(kinds))], beats: 1 + rng.IntN(3)}
	j.begin()
	return j
}

// cycle is one life of the broker: it starts, is asked for what it said before, works, and crashes.
func (c *crashes) cycle() {
	c.t.Helper()
	speed := int64(1)
	if c.rng.IntN(6) == 0 {
		speed = crashFast // leases fall silent
	}
	out := c.start(speed)
	if c.rng.IntN(8) == 0 { // it dies while it starts
		time.Sleep(time.Duration(c.rng.IntN(60)) * time.Millisecond)
		c.kill()
		c.inspect()
		return
	}
	c.await(out)
	c.repeat()
	answers, moment := 1+c.rng.IntN(18), time.Duration(c.rng.IntN(3000))*time.Microsecond
	if speed > 1 {
		moment += 120 * time.Millisecond
	}
	c.work(answers, moment)
	c.inspect()
}

func crashCount(t *testing.T, normal, short int) int {
	t.Helper()
	if text := os.Getenv(runsVariable); text != "" {
		n, err := strconv.Atoi(text)
		must(t, err)
		return n
	}
	if testing.Short() {
		return short
	}
	return normal
}

func crashSeed(t *testing.T) uint64 {
	t.Helper()
	if text := os.Getenv(seedVariable); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		must(t, err)
		return n
	}
	return rand.Uint64()
}

// TestKill9 kills a broker with SIGKILL at random moments while enclaves ask for challenges, keys, allowances and
// commits, and while leases end and jobs are revoked. GLOVEBOX_CRASH_RUNS says how often; `make crash-suite` a thousand
// times.
func TestKill9(t *testing.T) {
	runs, seed, began := crashCount(t, crashRuns, crashRunsShort), crashSeed(t), time.Now()
	var totals crashTotals
	for totals.runs < runs && !t.Failed() {
		world := seed + uint64(totals.runs/crashLifetime)
		t.Run(fmt.Sprintf("seed=%d", world), func(t *testing.T) {
			c := newCrashes(t, world)
			defer func() {
				if t.Failed() {
					t.Logf("again with %s=%d", seedVariable, world)
				}
			}()
			for c.totals.runs < min(crashLifetime, runs-totals.runs) && !t.Failed() {
				c.cycle()
			}
			c.finish()
			totals.add(c.totals)
		})
	}
	t.Logf("kill -9 from seed %d in %v: %v", seed, time.Since(began).Round(time.Millisecond), totals)
	if totals.runs < runs {
		t.Errorf("%d runs of %d", totals.runs, runs)
	}
}

// TestPowerLoss lets the power fail at random sync points of the same broker: what was not synced is lost, or by chance
// only some of it.
func TestPowerLoss(t *testing.T) {
	runs, seed, began := (crashCount(t, crashRuns, crashRunsShort)+4)/5, crashSeed(t), time.Now()
	var totals crashTotals
	for totals.runs < runs && !t.Failed() {
		world := seed + uint64(totals.runs/crashLifetime)
		t.Run(fmt.Sprintf("seed=%d", world), func(t *testing.T) {
			c := newCrashes(t, world)
			c.disk = faultfs.NewDisk()
			must(t, c.disk.Import(c.w.creator.dir))
			for c.totals.runs < min(crashLifetime, runs-totals.runs) && !t.Failed() {
				c.powerCycle()
			}
			c.finish()
			totals.add(c.totals)
		})
	}
	t.Logf("power loss from seed %d in %v: %v", seed, time.Since(began).Round(time.Millisecond), totals)
}

// powerCycle is one life of the broker on a disk that loses power.
func (c *crashes) powerCycle() {
	c.t.Helper()
	c.disk.Inject(faultfs.Faults{PowerLoss: 1 + c.rng.Int64N(100)})
	if c.rng.IntN(2) == 0 {
		c.disk.Tear(c.rng.Uint64())
	}
	if !c.await(c.start(1)) {
		c.kill()
		c.inspect()
		return
	}
	c.repeat()
	c.work(1<<20, 0)
	c.inspect()
}

// ledgerFiles copies the ledger as the crash left it.
func (c *crashes) ledgerFiles() string {
	c.t.Helper()
	to := c.t.TempDir()
	if c.disk != nil {
		must(c.t, c.disk.Export(to))
		return to
	}
	list, err := filepath.Glob(filepath.Join(c.w.creator.dir, "ledger.*"))
	must(c.t, err)
	for _, path := range list {
		b, err := os.ReadFile(path)
		must(c.t, err)
		must(c.t, os.WriteFile(filepath.Join(to, filepath.Base(path)), b, 0o600))
	}
	return to
}
