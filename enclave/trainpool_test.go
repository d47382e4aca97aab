// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/enclave/train/clip"
)

// tally is what all workers of a pool were asked and did.
type tally struct {
	mu      sync.Mutex
	opened  int
	most    int // that can be opened; 0: any number
	asked   map[string]int
	deadly  func(record string) bool
	failing error // instead of dying
}

// mortal is a worker that dies of some records, in the middle of what it was asked.
type mortal struct {
	*tally
	params []float32
	dead   bool
}

func (f *tally) open(context.Context) (trainee, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.opened++; f.most > 0 && f.opened > f.most {
		return nil, sandbox.ErrSpawner
	}
	return &mortal{tally: f}, nil
}

func newTally(deadly func(record string) bool) *tally {
	return &tally{asked: map[string]int{}, deadly: deadly}
}

func (m *mortal) Initial() []float32     { return []float32{0, 0} }
func (m *mortal) Prepares() bool         { return true }
func (m *mortal) Predicts() bool         { return true }
func (m *mortal) Close() sandbox.Outcome { return sandbox.Outcome{Isolation: isolation} }
func (m *mortal) SetParams(_ context.Context, p []float32) error {
	m.params = slices.Clone(p)
	return nil
}

// asks counts a question; the answer to a deadly one is the worker's end.
func (m *mortal) asks(record string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		panic("a dead worker was asked")
	}
	m.asked[record]++
	if !m.deadly(record) {
		return nil
	}
	m.dead = true
	if m.failing != nil {
		return m.failing
	}
	return &sandbox.SessionEnd{Outcome: sandbox.Outcome{Reason: sandbox.ReasonWorker}}
}

func (m *mortal) Sum(_ context.Context, units []train.Unit, into *clip.Sum) error {
	for _, u := range units {
		for _, r := range u {
			if err := m.asks(string(r)); err != nil {
				into.Add([]float32{9, 9}) // whatever it has told until then
				into.End()
				return err
			}
			into.Add([]float32{m.params[0], 0.5})
		}
		into.End()
	}
	return nil
}

func (m *mortal) Score(_ context.Context, records [][]byte, scores []float32) error {
	for i, r := range records {
		scores[i] = 0.75
		if err := m.asks(string(r)); err != nil {
			return err
		}
		scores[i] = 0.25
	}
	return nil
}

func (m *mortal) PrepareAll(_ context.Context, records [][]byte) ([][]byte, error) {
	out := make([][]byte, len(records))
	for i, r := range records {
		if err := m.asks(string(r)); err != nil {
			return nil, err
		}
		out[i] = append([]byte("p"), r...)
	}
	return out, nil
}

func someUnits(n int) (units []train.Unit) {
	for i := range n {
		units = append(units, train.Unit{fmt.Appendf(nil, "%d", i)})
	}
	return units
}

func newTestPool(t *testing.T, f *tally) *trainPool {
	t.Helper()
	p, err := openPool(t.Context(), 1, 100, f.open)
	check(t, err)
	t.Cleanup(func() { p.close() })
	return p
}

// TestRecordKillsWorkers: it counts as zeros; all other units count as if it had not been there, though they were asked together.
func TestRecordKillsWorkers(t *testing.T) {
	f := newTally(func(r string) bool { return r == "3" || r == "500" || r == "501" || r == "999" })
	p := newTestPool(t, f)
	for step := range 3 {
		param := float32(step) / 4
		total := make([]int64, 2)
		check(t, p.Sum(t.Context(), []float32{param, 0}, someUnits(1000), total))
		want := []int64{996 * int64(param*clip.Norm), 996 * clip.Norm / 2}
		if !slices.Equal(total, want) {
			t.Errorf("step %d: %v, want %v", step, total, want)
		}
	}
	for _, r := range []string{"3", "500", "501", "999"} {
		if n := f.asked[r]; n > 3*3 {
			t.Errorf("%s was asked %d times in three steps", r, n)
		}
	}
	if most := len(p.desks) + 3*12; f.opened > most {
		t.Errorf("%d workers for four deadly records in three steps", f.opened)
	}
}

// TestOneRecordKillsTheNext: a worker that dies of what it saw before is not what the next unit is judged by. Only an engine that was
// broken out of remembers at all.
func TestOneRecordKillsTheNext(t *testing.T) {
	last := ""
	f := newTally(func(r string) bool {
		deadly := last == "2" && r == "4" // of 2, a worker remembers something
		if last = r; deadly {
			last = "" // the next worker is another
		}
		return deadly
	})
	p := newTestPool(t, f)
	d := p.desks[0]
	d.params = []float32{0, 0}
	check(t, d.t.SetParams(t.Context(), d.params))
	check(t, p.sum(t.Context(), d, []train.Unit{{[]byte("2")}, {[]byte("4")}, {[]byte("5")}}))
	if total := d.sum.Total(); total[1] != 3*clip.Norm/2 {
		t.Errorf("summed %v", total)
	}
	scores := make([]float32, 3)
	check(t, p.score(t.Context(), d, [][]byte{[]byte("2"), []byte("4"), []byte("5")}, scores))
	if !slices.Equal(scores, []float32{0.25, 0.25, 0.25}) {
		t.Errorf("scored %v", scores)
	}
	prepared := []train.Unit{{[]byte("2")}, {[]byte("4")}, {[]byte("5")}}
	check(t, p.prepareUnits(t.Context(), d, prepared))
	for i, u := range prepared {
		if len(u) != 1 {
			t.Errorf("unit %d was left out", i)
		}
	}
}

// dyingAtZero dies of the record "twin" where the first parameter is 0.
type dyingAtZero struct{ mortal }

func (m *dyingAtZero) Sum(ctx context.Context, units []train.Unit, into *clip.Sum) error {
	for _, u := range units {
		if string(u[0]) == "twin" && m.params[0] == 0 {
			m.dead = true
			return &sandbox.SessionEnd{Outcome: sandbox.Outcome{Reason: sandbox.ReasonWorker}}
		}
	}
	return m.mortal.Sum(ctx, units, into)
}

// TestTwinOfADeadUnit: what a worker died of in one step, or did not, changes nothing about units of another step that say the same.
func TestTwinOfADeadUnit(t *testing.T) {
	twins := slices.Repeat([]train.Unit{{[]byte("twin")}}, 50)
	second := func(first []train.Unit) []int64 {
		f := newTally(func(string) bool { return false })
		p, err := openPool(t.Context(), 1, 100, func(context.Context) (trainee, error) { return &dyingAtZero{mortal{tally: f}}, nil })
		check(t, err)
		defer p.close()
		total := make([]int64, 2)
		check(t, p.Sum(t.Context(), []float32{0, 0}, first, total))
		if total[1] != 0 {
			t.Errorf("a unit that workers die of counts as %v", total)
		}
		check(t, p.Sum(t.Context(), []float32{1, 0}, twins, total))
		return total
	}
	if without, with := second(nil), second(twins[:1]); !slices.Equal(without, with) || with[1] == 0 {
		t.Errorf("second step: %v, and %v after the death of one unit", without, with)
	}
}

// TestUnitOfADeadlyRecord: a contributor's other records do not count without it.
func TestUnitOfADeadlyRecord(t *testing.T) {
	f := newTally(func(r string) bool { return r == "bad" })
	p := newTestPool(t, f)
	units := append(someUnits(10), train.Unit{[]byte("good"), []byte("bad"), []byte("good")}, train.Unit{})
	for range 2 {
		total := make([]int64, 2)
		check(t, p.Sum(t.Context(), []float32{0, 0}, units, total))
		if total[1] != 10*clip.Norm/2 {
			t.Errorf("%v", total)
		}
	}
}

// TestEveryRecordKills: a guest that dies of all of them trains on zeros; that there is no end to it says nothing of any record.
func TestEveryRecordKills(t *testing.T) {
	f := newTally(func(string) bool { return true })
	p, total := newTestPool(t, f), make([]int64, 2)
	check(t, p.Sum(t.Context(), []float32{0, 0}, someUnits(300), total))
	if !slices.Equal(total, []int64{0, 0}) {
		t.Error(total)
	}
	check(t, p.Sum(t.Context(), []float32{0, 0}, someUnits(300), total))
	for r, n := range f.asked {
		if n > 2*2 {
			t.Errorf("%s was asked %d times in two steps", r, n)
		}
	}
}

// TestWorkersThatFail: what is no death of a record's ends the training, and a death that nobody replaces.
func TestWorkersThatFail(t *testing.T) {
	f := newTally(func(r string) bool { return r == "7" })
	f.failing = sandbox.ErrSpawner
	if err := newTestPool(t, f).Sum(t.Context(), []float32{0, 0}, someUnits(10), make([]int64, 2)); !errors.Is(err, errWorker) {
		t.Errorf("%v", err)
	}
	f = newTally(func(r string) bool { return r == "7" })
	p := newTestPool(t, f)
	f.most = f.opened
	if err := p.Sum(t.Context(), []float32{0, 0}, someUnits(10), make([]int64, 2)); !errors.Is(err, errWorker) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errStopped)
	f = newTally(func(string) bool { return true })
	if err := newTestPool(t, f).Sum(ctx, []float32{0, 0}, someUnits(10), make([]int64, 2)); !errors.Is(err, errStopped) {
		t.Errorf("%v", err)
	}
}

// TestDeathsWhileScoring: such a record scores 0, and the others what they score.
func TestDeathsWhileScoring(t *testing.T) {
	f := newTally(func(r string) bool { return r == "2" || r == "77" })
	p, records, scores := newTestPool(t, f), [][]byte{}, make([]float32, 100)
	for _, u := range someUnits(100) {
		records = append(records, u[0])
	}
	records[5] = make([]byte, 101) // longer than any may be
	for range 2 {
		check(t, p.Score(t.Context(), []float32{0, 0}, records, scores))
		for i, s := range scores {
			if want := float32(0.25); (i == 2 || i == 77 || i == 5) != (s == 0) || s != 0 && s != want {
				t.Errorf("%d scores %v", i, s)
			}
		}
	}
	if f.asked["2"] > 2*3 { // each time among others, alone, and in a worker that met nobody else
		t.Errorf("asked %d times", f.asked["2"])
	}
}

// TestDeathsWhilePreparing: such a record is left out of its unit, and so is one that comes out too long.
func TestDeathsWhilePreparing(t *testing.T) {
	f := newTally(func(r string) bool { return r == "bad" })
	p := newTestPool(t, f)
	in, out := newRecords(3, 0, 1<<20), newRecords(3, 0, 1<<20)
	in.units = make([][]record, 200)
	for i := range 200 {
		check(t, in.add(i, 0, "", []byte("a")))
		if i%50 == 7 {
			check(t, in.add(i, 0, "", []byte("bad")))
		}
		if i == 9 {
			check(t, in.add(i, 0, "", make([]byte, 100)))
		}
		check(t, in.add(i, 0, "", []byte("b")))
	}
	check(t, p.prepare(t.Context(), in, out))
	for i := range 200 {
		u, err := out.Unit(i)
		check(t, err)
		if len(u) != 2 || string(u[0]) != "pa" || string(u[1]) != "pb" {
			t.Fatalf("unit %d: %q", i, u)
		}
	}
}
