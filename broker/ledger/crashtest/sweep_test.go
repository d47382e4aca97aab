// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/ledger/crashtest/faultfs"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	suiteVariable = "GLOVEBOX_CRASH_RUNS" // set: everything, as `make crash-suite` does
	seedVariable  = "GLOVEBOX_CRASH_SEED"
	jobs          = 28
	lasting       = 30 * time.Second // of one run of the workload
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// whole says whether to do everything.
func whole() bool { return os.Getenv(suiteVariable) != "" }

// stride is how many points a test passes over.
func stride(normal, short int64) int64 {
	switch {
	case whole():
		return 1
	case testing.Short():
		return short
	}
	return normal
}

func seed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv(seedVariable)
	if text == "" {
		return rand.Uint64()
	}
	n, err := strconv.ParseUint(text, 10, 64)
	must(t, err)
	return n
}

func newPlan(t *testing.T) plan {
	t.Helper()
	p := plan{Key: filepath.Join(t.TempDir(), "key"), Jobs: jobs, Tries: 20}
	_, err := envelope.CreateKeyFile(p.Key, envelope.RoleBroker)
	must(t, err)
	for range 3 {
		s, err := envelope.GenerateSigner(envelope.RoleBuyer)
		must(t, err)
		p.Buyers = append(p.Buyers, s.Public())
	}
	return p
}

// outcome is how a run of the workload ended.
type outcome struct {
	acks   []ack
	done   bool
	failed string // what the program said when it gave up
	exited bool   // by itself, with everything closed
	lost   bool   // the power
}

// run runs the workload on a disk until it ends or the power fails.
func run(t *testing.T, p plan, d *faultfs.Disk) (o outcome) {
	t.Helper()
	p.Dir = t.TempDir()
	text, err := json.Marshal(p)
	must(t, err)
	stderr := &bytes.Buffer{}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), planVariable+"="+string(text))
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	proc, err := faultfs.Start(cmd, d, p.Dir)
	if errors.Is(err, faultfs.ErrUnsupported) {
		t.Skip(err)
	}
	must(t, err)
	ended := make(chan struct{})
	go func() {
		select {
		case <-d.Lost():
		case <-ended:
		case <-time.After(lasting):
		}
		cmd.Process.Kill() //nolint:errcheck // it may have ended
	}()
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		switch a := (ack{}); {
		case line == "done\n":
			o.done = true
			if p.Linger {
				cmd.Process.Kill() //nolint:errcheck // it waits for that
			}
		case strings.HasPrefix(line, "failed"):
			o.failed = strings.TrimSpace(line)
		case json.Unmarshal([]byte(line), &a) == nil:
			o.acks = append(o.acks, a)
		default:
			t.Errorf("the program says %q", line)
		}
	}
	must(t, proc.Wait())
	close(ended)
	o.exited = cmd.ProcessState.Success()
	select {
	case <-d.Lost():
		o.lost = true
	default:
	}
	if stderr.Len() > 0 {
		t.Errorf("%s", stderr)
	}
	return o
}

// left exports what a power loss leaves.
func left(t *testing.T, d *faultfs.Disk) string {
	t.Helper()
	dir := t.TempDir()
	must(t, d.Export(dir))
	return dir
}

// sameAnswers: what is asked again is answered with the same bytes.
func sameAnswers(t *testing.T, before, after []ack) {
	t.Helper()
	key := func(a ack) string { return fmt.Sprint(a.Step, a.Job) }
	last := map[string][]byte{}
	for _, a := range before {
		last[key(a)] = a.Reply
	}
	for _, a := range after {
		if was, ok := last[key(a)]; ok && a.Step != "look" && a.Step != "beat" && !bytes.Equal(was, a.Reply) {
			t.Errorf("%s of job %d is answered otherwise after the crash", a.Step, a.Job)
		}
	}
}

// report says what a test did.
type report struct {
	what            string
	crashes, points int64
	acks            int
	began           time.Time
}

func (r *report) log(t *testing.T) {
	t.Logf("%s: %d crashes, sync points up to %d, %d acknowledged operations held, in %v", r.what, r.crashes, r.points, r.acks,
		time.Since(r.began).Round(time.Millisecond))
}

// crash lets the power fail at a sync point of the workload, looks at what is left, and in some cases lets the workload
// go on with it to the end. It reports whether the workload ended before.
func crash(t *testing.T, p plan, f faultfs.Faults, tear *uint64, goOn bool, r *report) (ended bool) {
	t.Helper()
	d := faultfs.NewDisk()
	d.Inject(f)
	if tear != nil {
		d.Tear(*tear)
	}
	o := run(t, p, d)
	if o.failed != "" && d.Counts().Syncs < f.PowerLoss {
		t.Fatalf("before the power failed: %s", o.failed)
	}
	ended = d.Counts().Syncs < f.PowerLoss
	if ended && (!o.done || !o.exited) {
		t.Fatal("the workload did not end")
	}
	after := d.Restart()
	records := audit(t, p, left(t, after), o.acks, nil)
	r.crashes++
	r.points, r.acks = max(r.points, d.Counts().Syncs), r.acks+len(o.acks)
	if !goOn || t.Failed() {
		return ended
	}
	again := run(t, p, after)
	if !again.done || !again.exited {
		t.Errorf("after the crash the workload does not end: %s", again.failed)
	}
	sameAnswers(t, o.acks, again.acks)
	audit(t, p, left(t, after.Restart()), append(o.acks, again.acks...), records)
	return ended
}

// TestPowerLossAtEverySyncPoint: nothing that was not synced survives.
func TestPowerLossAtEverySyncPoint(t *testing.T) {
	p, step, r := newPlan(t), stride(2, 60), report{what: "power loss at every sync point", began: time.Now()}
	if step > 1 {
		r.what = fmt.Sprintf("power loss at one of %d sync points", step)
	}
	for point := int64(1); !t.Failed(); point += step {
		var ended bool
		t.Run(fmt.Sprint(point), func(t *testing.T) {
			ended = crash(t, p, faultfs.Faults{PowerLoss: point}, nil, point%(4*step) == 1, &r)
		})
		if ended {
			break
		}
	}
	r.log(t)
}

// TestTornPowerLoss: of what was not synced some sectors survive, and some names; jobs run side by side, and readers
// with them.
func TestTornPowerLoss(t *testing.T) {
	p, r := newPlan(t), report{what: "power loss with torn writes", began: time.Now()}
	p.Concurrent = true
	first, runs := seed(t), 200/stride(7, 100)
	for i := range uint64(runs) {
		s := first + i
		t.Run(fmt.Sprintf("seed=%d", s), func(t *testing.T) {
			crash(t, p, tornFaults(s), &s, i%4 == 0, &r)
		})
		if t.Failed() {
			t.Logf("again with %s=%d", seedVariable, s)
			break
		}
	}
	r.log(t)
}

// tornFaults gives readers time to see what is not anchored yet.
func tornFaults(seed uint64) faultfs.Faults {
	rng := rand.New(rand.NewPCG(seed, 3))
	return faultfs.Faults{PowerLoss: 1 + rng.Int64N(100), Grace: time.Duration(rng.IntN(20)) * time.Millisecond}
}

// TestPowerLossTwice: the power fails again while the ledger is being opened after the first time.
func TestPowerLossTwice(t *testing.T) {
	p, r := newPlan(t), report{what: "power loss, and again while opening", began: time.Now()}
	rng := rand.New(rand.NewPCG(seed(t), 4))
	for range 60 / stride(10, 30) {
		d := faultfs.NewDisk()
		d.Tear(rng.Uint64())
		d.Inject(faultfs.Faults{PowerLoss: 1 + rng.Int64N(150)})
		o := run(t, p, d)
		acks := o.acks
		for point := int64(1); point <= 6 && !t.Failed(); point++ {
			d = d.Restart()
			d.Tear(rng.Uint64())
			d.Inject(faultfs.Faults{PowerLoss: point})
			o = run(t, p, d)
			sameAnswers(t, acks, o.acks)
			acks = append(acks, o.acks...)
			r.crashes++
		}
		audit(t, p, left(t, d.Restart()), acks, nil)
		r.points, r.acks = 6, r.acks+len(acks)
	}
	r.log(t)
}

// TestPowerLossAfterKill: the program dies at each sync point in turn and is started again, and the power fails soon after.
// What the second one read and built upon was perhaps never on the disk.
func TestPowerLossAfterKill(t *testing.T) {
	p, step, first, r := newPlan(t), stride(3, 80), seed(t), report{what: "power loss after SIGKILL", began: time.Now()}
	rng := rand.New(rand.NewPCG(first, 5))
	for point, ended := 1+rng.Int64N(step), false; !ended && !t.Failed(); point += step {
		d := faultfs.NewDisk()
		d.Inject(faultfs.Faults{PowerLoss: point})
		o := run(t, p, d)
		ended = o.exited
		d.Continue()
		later := 1 + rng.Int64N(9)
		d.Inject(faultfs.Faults{PowerLoss: later})
		again := run(t, p, d)
		t.Run(fmt.Sprintf("%d+%d", point, later), func(t *testing.T) {
			sameAnswers(t, o.acks, again.acks)
			audit(t, p, left(t, d.Restart()), append(o.acks, again.acks...), nil)
		})
		r.crashes, r.points, r.acks = r.crashes+2, max(r.points, point), r.acks+len(o.acks)+len(again.acks)
	}
	if t.Failed() {
		t.Logf("again with %s=%d", seedVariable, first)
	}
	r.log(t)
}

// TestPowerLossWhileTheAnchorChangesForm: a head file of release 0.1 is one line, which the first change replaces.
func TestPowerLossWhileTheAnchorChangesForm(t *testing.T) {
	p, r := newPlan(t), report{what: "power loss while the head file changes its form", began: time.Now()}
	few := p
	few.Jobs = 7
	d := faultfs.NewDisk()
	o := run(t, few, d)
	dir := left(t, d)
	head, err := os.ReadFile(files(dir).Head)
	must(t, err)
	newest := ""
	for _, slot := range []string{string(head[:len(head)/2]), string(head[len(head)/2:])} {
		line, _, _ := strings.Cut(slot, "\n")
		if strings.Contains(line, fmt.Sprintf(`"revision":%d,`, anchor(t, dir, "revision"))) {
			newest = line
		}
	}
	must(t, os.WriteFile(files(dir).Head, []byte(newest), 0o600))
	for point := int64(1); point <= 16 && !t.Failed(); point += min(3, stride(2, 4)) {
		t.Run(fmt.Sprint(point), func(t *testing.T) {
			d := faultfs.NewDisk()
			must(t, d.Import(dir))
			d.Inject(faultfs.Faults{PowerLoss: point})
			again := run(t, p, d)
			sameAnswers(t, o.acks, again.acks)
			audit(t, p, left(t, d.Restart()), append(o.acks, again.acks...), nil)
			r.crashes, r.points, r.acks = r.crashes+1, point, r.acks+len(o.acks)+len(again.acks)
		})
	}
	r.log(t)
}

// TestSyncFails: a sync fails once, at each point in turn, and what it was to write is never written unless it is written
// again. The ledger may refuse what it was asked then, not forget what it said. Every other time the power fails soon
// after.
func TestSyncFails(t *testing.T) {
	p, step, r := newPlan(t), stride(5, 140), report{what: "failing syncs", began: time.Now()}
	p.Linger = true
	for point := int64(1); !t.Failed(); point += step {
		d, f := faultfs.NewDisk(), faultfs.Faults{SyncError: point}
		for _, f.PowerLoss = range []int64{0, point + 1, point + 2} {
			d = faultfs.NewDisk()
			d.Inject(f)
			o := run(t, p, d)
			t.Run(fmt.Sprintf("%d,%d", point, f.PowerLoss), func(t *testing.T) { survive(t, p, d, o, &r) })
		}
		if d.Counts().SyncErrors == 0 {
			break
		}
	}
	r.log(t)
}

// TestDiskFull: from one write on a number of writes find no room, at different ones each time.
func TestDiskFull(t *testing.T) {
	p, step, r := newPlan(t), 16*stride(10, 50), report{what: "full disks", began: time.Now()}
	p.Linger = true
	for point := 1 + rand.Int64N(step); !t.Failed(); point += step {
		d := faultfs.NewDisk()
		d.Inject(faultfs.Faults{FullFrom: point, FullFor: 1 + point%7})
		o := run(t, p, d)
		if d.Counts().Full == 0 {
			break
		}
		t.Run(fmt.Sprint(point), func(t *testing.T) { survive(t, p, d, o, &r) })
	}
	r.log(t)
}

// survive looks at a ledger whose disk failed without losing power, loses power, and lets the workload go on.
func survive(t *testing.T, p plan, d *faultfs.Disk, o outcome, r *report) {
	t.Helper()
	after := d.Restart()
	records := audit(t, p, left(t, after), o.acks, nil)
	r.crashes++
	r.points, r.acks = max(r.points, d.Counts().Syncs), r.acks+len(o.acks)
	if !o.done && !o.lost && !strings.Contains(o.failed, "cannot be written") && !strings.Contains(o.failed, "failed open") && len(o.acks) > 0 {
		t.Errorf("the workload stopped: %s", o.failed)
	}
	if r.crashes%5 != 1 || t.Failed() {
		return
	}
	p.Linger = false
	again := run(t, p, after)
	if !again.done {
		t.Errorf("after the failure the workload does not end: %s", again.failed)
	}
	sameAnswers(t, o.acks, again.acks)
	audit(t, p, left(t, after.Restart()), append(o.acks, again.acks...), records)
}
