// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/aggregate"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// meaner compiles testdata/shards/mean.c, once.
var meaner = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "shards")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("clang", "--target=wasm32", "-nostdlib", "-mbulk-memory", "-Wl,--no-entry", "-Wl,--export=_start", "-O2", "-Wall", "-Werror", "-o", out, "testdata/shards/mean.c")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
})

func meanGuest(t *testing.T) []byte {
	t.Helper()
	b, err := meaner()
	if err != nil {
		if os.Getenv("CI") == "true" && os.Getenv("GLOVEBOX_NO_CLANG") == "" {
			t.Fatal(err)
		}
		t.Skipf("no clang and lld for WebAssembly: %v", err)
	}
	return b
}

// shardWorld runs a module on shards of rows; epsilon is in whole units.
func shardWorld(t testing.TB, module []byte, shards, epsilon int64, rows []string, change func(*job.Job)) *world {
	t.Helper()
	a := &job.Aggregate{
		Shards: shards, Kind: job.AggregateMean, Numbers: 1, Lower: 0, Upper: 10 * dp.Micro, Answer: "answer", Output: "answers.json",
	}
	ms, err := aggregate.Mechanisms(a, dp.AddOrRemove, aggregate.Budget{Epsilon: epsilon * dp.Micro})
	check(t, err)
	p := ofRecords(ms)
	p.Aggregate = a
	return inPrivate(t, dataset.ModeAggregate, p, module, nil, rows, func(j *job.Job) {
		j.Limits.WallSeconds = 4
		if change != nil {
			change(j)
		}
	})
}

func spawner(t testing.TB) Runner {
	t.Helper()
	s, err := sandbox.StartSpawner(sandbox.Config{Pool: 2})
	check(t, err)
	t.Cleanup(s.Close)
	return s
}

// quick is a clock that skips most of what is waited for, for runners that need no time. What takes time takes it: on a busy
// machine nothing is late, and a runner that is still at work is waited for.
type quick struct {
	train.Clock
	runner  Runner
	skipped time.Duration
}

func (c *quick) Now() time.Duration { return c.Clock.Now() + c.skipped }

func (c *quick) Wait(ctx context.Context, until time.Duration) error {
	left := max(until-c.Now(), 0)
	if err := c.Clock.Wait(ctx, c.Clock.Now()+left/10); err != nil {
		return err
	}
	for a, ok := c.runner.(*answering); ok && !a.late && a.running.Load() > 0; {
		time.Sleep(10 * time.Millisecond)
	}
	c.skipped += max(until-c.Now(), 0)
	return nil
}

// shards runs the job; what is no real worker is not waited for as long.
func (w *world) shards(r Runner) (*door.Result, *door.Abandon) {
	x := &trainingWorld{world: w}
	if _, real := r.(*sandbox.Spawner); !real {
		x.seams.testOnlyClock = &quick{Clock: train.NewClock(), runner: r}
	}
	return x.train(r)
}

// aggregated runs the job and gives what leaves.
func aggregated(t testing.TB, w *world, r Runner) (out aggregate.Result, s *usage.Statement) {
	t.Helper()
	res, abandon := w.shards(r)
	s = wantPrivate(t, w, res, abandon, usage.ReasonNone)
	check(t, json.Unmarshal((&trainingWorld{world: w}).opened(res)["answers.json"], &out))
	return out, s
}

// TestShardsAreAggregated: an unchanged command, in real workers; what it costs and what ran are in the statement.
func TestShardsAreAggregated(t *testing.T) {
	module := meanGuest(t)
	w := shardWorld(t, module, 4, 1000, numbered(2200, "h"), func(j *job.Job) {
		j.Limits.WallSeconds = 8
		j.Privacy.Aggregate.Lower = -10 * dp.Micro // the default is 0
		ms, err := aggregate.Mechanisms(j.Privacy.Aggregate, dp.AddOrRemove, aggregate.Budget{Epsilon: 1000 * dp.Micro})
		check(t, err)
		j.Privacy.Mechanisms = ms
	})
	began := time.Now()
	out, s := aggregated(t, w, spawner(t))
	if took := time.Since(began); took < 8*time.Second {
		t.Errorf("it took %v, less than its wall limit: that tells how long the code took", took)
	}
	if len(out.Values) != 1 || math.Abs(out.Values[0]-5) > 0.6 || out.Shards != 4 {
		t.Errorf("%+v", out)
	}
	if len(s.Spent) != 1 || s.Spent[0].Isolation != job.RuntimeWASM || s.Execution == nil || s.Execution.Rewritten != rewritten(t, module) {
		t.Errorf("%+v, %+v", s.Spent, s.Execution)
	}
	if s.Execution.Fuel != 0 || s.Measured != (usage.Measured{}) || s.Undeclared != 0 {
		t.Errorf("figures: %+v, %+v", s.Execution, s.Measured)
	}
}

// TestGuestThatAttacksShards: code that knows its target, and does its worst in the shard that has it, whatever that is, changes
// the answer of one shard: here by so much, and with the noise that there would be by nothing that can be told.
func TestGuestThatAttacksShards(t *testing.T) {
	module, runner := meanGuest(t), spawner(t)
	for name, kind := range map[string]string{
		"traps": "t", "loops": "l", "takes memory without end": "g", "writes a gigabyte": "w", "writes NaN": "n", "writes a huge number": "b",
		"writes a huge negative number": "s", "writes too many numbers": "m", "writes nothing": "x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const shards = 4
			rows := append(numbered(440, "h"), kind+",5")
			w := shardWorld(t, module, shards, 1000, rows, func(j *job.Job) { j.Limits.WallSeconds = 8 }) // a busy machine is late in less
			out, s := aggregated(t, w, runner)
			// One shard's answer is anywhere in 0…10; that of the others is about 5. The noise has a scale of 10/4/1000.
			most := 10.0/shards/2 + 0.9
			if math.Abs(out.Values[0]-5) > most {
				t.Errorf("%v: one shard moved the mean by more than %v", out.Values, most)
			}
			figuresOf(t, s)
		})
	}
}

// figuresOf demands the figures of every run of these shards: nothing of them may depend on records.
func figuresOf(t testing.TB, s *usage.Statement) {
	t.Helper()
	if s.Execution == nil || s.Execution.Fuel != 0 || s.Measured != (usage.Measured{}) || s.Undeclared != 0 || s.Packages[1].Records != 441 {
		t.Errorf("%+v %+v %+v", s.Execution, s.Measured, s.Packages[1])
	}
}

// TestEmptyShards: with more shards than records, most have none; code that divides by their number fails there.
func TestEmptyShards(t *testing.T) {
	w := shardWorld(t, []byte("m"), 16, 1000, []string{"h,9", "h,9"}, func(j *job.Job) { j.Limits.WallSeconds = 8 })
	out, _ := aggregated(t, w, &answering{do: func(text string) (*sandbox.Outcome, error) {
		if strings.Count(text, "\n") == 1 {
			return &sandbox.Outcome{Reason: sandbox.ReasonTrap}, nil
		}
		return answers("9")
	}})
	// 14 shards count as the middle of the bounds, or 15 where both records are in one.
	two, one := (14*5+2*9.0)/16, (15*5+9.0)/16
	if got := out.Values[0]; math.Abs(got-two) > 0.05 && math.Abs(got-one) > 0.05 {
		t.Errorf("%v, want %v or %v", out.Values, two, one)
	}
}

// TestDataOfOneRecordIsNotRead: one record cannot be hidden among others, whatever the noise.
func TestDataOfOneRecordIsNotRead(t *testing.T) {
	w := shardWorld(t, []byte("m"), 16, 1000, []string{"h,9"}, func(j *job.Job) { j.Limits.WallSeconds = 8 })
	res, abandon := w.shards(&answering{do: func(string) (*sandbox.Outcome, error) { return nil, errors.New("code runs") }})
	s := wantPrivate(t, w, res, abandon, usage.ReasonNotPermitted)
	if len(s.Spent) > 0 || len(s.Packages) != 1 || s.Packages[0].Manifest != w.code.ID {
		t.Errorf("more than the code was granted: %+v, %+v", s.Spent, s.Packages)
	}
}

// TestModuleThatIsNone: it is found out before the data is read, and may be told.
func TestModuleThatIsNone(t *testing.T) {
	w := shardWorld(t, []byte("\x00asm: not"), 4, 1, numbered(10, "h"), nil)
	res, abandon := w.run(spawner(t))
	unread(t, wantPrivate(t, w, res, abandon, usage.ReasonModule))
}

// TestCodeThatNeverEnds: where it does not even without records, nobody is asked for any.
func TestCodeThatNeverEnds(t *testing.T) {
	w := shardWorld(t, []byte("m"), 4, 1, numbered(10, "h"), nil)
	res, abandon := w.shards(&answering{rehearsed: sandbox.ReasonWall})
	unread(t, wantPrivate(t, w, res, abandon, usage.ReasonWall))
}

// TestAggregateThatWasNotDeclared: mechanisms that are not the aggregate's are not permitted.
func TestAggregateThatWasNotDeclared(t *testing.T) {
	for name, change := range map[string]func(*job.Privacy){
		"wider bounds": func(p *job.Privacy) { p.Aggregate.Upper *= 2 },
		"more numbers": func(p *job.Privacy) { p.Aggregate.Numbers = 2 },
		"a vote": func(p *job.Privacy) {
			p.Aggregate.Kind, p.Aggregate.Numbers, p.Aggregate.Upper = job.AggregateVote, 2, 0
		},
		"medians": func(p *job.Privacy) { p.Aggregate.Kind = job.AggregateMedian },
	} {
		t.Run(name, func(t *testing.T) {
			w := shardWorld(t, []byte("m"), 4, 1, numbered(10, "h"), func(j *job.Job) { change(j.Privacy) })
			res, abandon := w.run(noCode{})
			unread(t, wantPrivate(t, w, res, abandon, usage.ReasonNotPermitted))
		})
	}
}

// answering is a runner that answers what it is told to, by what a shard holds.
type answering struct {
	noModules
	mu  sync.Mutex
	saw []string
	do  func(text string) (*sandbox.Outcome, error)

	rehearsed string // reason for which the rehearsal ends
	late      bool   // nobody waits for it
	running   atomic.Int32
}

func (a *answering) Run(ctx context.Context, s sandbox.Spec, d sandbox.Data) (*sandbox.Outcome, error) {
	a.running.Add(1)
	defer a.running.Add(-1)
	var text strings.Builder
	for i, f := range s.Files {
		for at := int64(0); at < f.Size; {
			b, before, err := d.Range(ctx, i, at, 1)
			if err != nil {
				return nil, err
			}
			n, _ := text.Write(b[before:])
			at += int64(n)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if text.Len() == 0 { // the rehearsal
		return &sandbox.Outcome{Reason: a.rehearsed, Original: [32]byte{1}, Rewritten: [32]byte{2}, Costs: usage.CostTable, Isolation: "user,pid,net,mnt,ipc,uts;seccomp;landlock-1;rlimit"}, nil
	}
	a.saw = append(a.saw, text.String())
	return a.do(text.String())
}

func answers(text string) (*sandbox.Outcome, error) {
	return &sandbox.Outcome{Outputs: []sandbox.Artefact{{Name: "answer", Data: []byte(text)}}}, nil
}

// TestShardsAreDisjoint: every record is in one shard, with the header, and about as many in each.
func TestShardsAreDisjoint(t *testing.T) {
	var rows []string
	for i := range 1000 {
		rows = append(rows, fmt.Sprintf("h,%d", i))
	}
	r := &answering{do: func(string) (*sandbox.Outcome, error) { return answers("5") }}
	aggregated(t, shardWorld(t, []byte("m"), 5, 1, rows, nil), r)
	if len(r.saw) != 5 {
		t.Fatalf("%d shards", len(r.saw))
	}
	seen := map[string]int{}
	for _, text := range r.saw {
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if lines[0] != "kind,x" {
			t.Errorf("a shard begins with %q", lines[0])
		}
		if n := len(lines) - 1; n < 100 || n > 300 { // seven deviations
			t.Errorf("%d records in a shard", n)
		}
		for _, l := range lines[1:] {
			seen[l]++
		}
	}
	for _, l := range rows {
		if seen[l] != 1 {
			t.Errorf("%q is in %d shards", l, seen[l])
		}
	}
}

// TestGuestThatSlowsItsNeighbours: no two shards' code runs at once, so that none can make another late.
func TestGuestThatSlowsItsNeighbours(t *testing.T) {
	var running, most atomic.Int32
	s := &sharding{data: &records{}, units: make([][]int, 5), slot: 20 * time.Millisecond}
	r := &answering{do: func(string) (*sandbox.Outcome, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		return answers("1")
	}}
	n := 0
	check(t, s.run(t.Context(), atOnce{r}, sandbox.Spec{Outputs: []sandbox.Output{{Name: "answer"}}}, train.NewClock(), 0, wholeNumber, func(aggregate.Answer) error {
		n++
		return nil
	}))
	if n != 5 || most.Load() != 1 {
		t.Errorf("%d shards ran at once", most.Load())
	}
}

// wholeNumber reads an answer of few bytes.
func wholeNumber(b []byte) aggregate.Answer { return aggregate.Answer{int64(len(b))} }

// atOnce is a runner without a rehearsal.
type atOnce struct{ *answering }

func (a atOnce) Run(context.Context, sandbox.Spec, sandbox.Data) (*sandbox.Outcome, error) {
	return a.do("")
}

// TestShardsFailInEveryWay: no failure of a shard is told, whatever it is.
func TestShardsFailInEveryWay(t *testing.T) {
	for name, do := range map[string]func(string) (*sandbox.Outcome, error){
		"error":   func(string) (*sandbox.Outcome, error) { return nil, errors.New("no worker") },
		"spawner": func(string) (*sandbox.Outcome, error) { return nil, sandbox.ErrSpawner },
		"nothing": func(string) (*sandbox.Outcome, error) { return &sandbox.Outcome{}, nil },
		"another name": func(string) (*sandbox.Outcome, error) {
			return &sandbox.Outcome{Outputs: []sandbox.Artefact{{Name: "x", Data: []byte("9")}}}, nil
		},
		"with a reason": func(string) (*sandbox.Outcome, error) {
			o, err := answers("9")
			o.Reason = sandbox.ReasonTrap
			return o, err
		},
		"late": func(string) (*sandbox.Outcome, error) { time.Sleep(time.Second); return answers("9") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, s := aggregated(t, shardWorld(t, []byte("m"), 2, 1000, numbered(10, "h"), nil), &answering{do: do, late: name == "late"})
			if math.Abs(out.Values[0]-5) > 0.2 || len(s.Spent) != 1 {
				t.Errorf("%+v, want the default", out)
			}
		})
	}
}

// TestStoppedBetweenShards: a run that is stopped before there is an aggregate is paid for: records were read, and one may be why.
func TestStoppedBetweenShards(t *testing.T) {
	w := shardWorld(t, []byte("m"), 64, 1, numbered(100, "h"), func(j *job.Job) { j.Limits.WallSeconds = 30 })
	r := &answering{do: func(string) (*sandbox.Outcome, error) {
		w.mu.Lock()
		w.cancel = true
		w.mu.Unlock()
		return answers("5")
	}}
	res, abandon := w.run(r)
	if s := wantPrivate(t, w, res, abandon, usage.ReasonStopped); len(s.Spent) != 1 {
		t.Errorf("%+v", s.Spent)
	}
}

// TestSplitIsUniform: where a unit goes depends on nothing. Of a fixed stream, over many units.
func TestSplitIsUniform(t *testing.T) {
	const units, shards = 70_000, 7
	data := &records{units: make([][]record, units)}
	s, err := split(data, shards, sampler.NewSource(rand.NewChaCha8([32]byte{1})))
	check(t, err)
	chi := 0.0
	for _, u := range s.units {
		d := float64(len(u)) - units/shards
		chi += d * d / (units / shards)
	}
	if chi > 45 { // of 6 degrees of freedom: once in 10⁷
		t.Errorf("chi-square %v", chi)
	}
	if _, err := split(data, shards, sampler.NewSource(strings.NewReader(""))); err == nil {
		t.Error("a draw without entropy")
	}
}

// TestFilesInShards: datasets of files are tar streams in each shard too.
func TestFilesInShards(t *testing.T) {
	data := &records{schemas: []transforms.Schema{{Format: dataset.FormatFiles}}, units: [][]record{{{name: "a.txt", text: []byte("one")}}, {{name: "b/c.txt", text: []byte("two")}}}}
	s := &sharding{data: data, units: [][]int{{0, 1}, {}}, names: []string{"d/records.tar"}}
	sh := s.shard(0)
	src, err := transforms.NewSource(&sh.files[0], dataset.FormatFiles)
	check(t, err)
	got := ""
	for {
		it, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		got += it.Name + "=" + string(it.Raw) + ";"
	}
	if got != "a.txt=one;b/c.txt=two;" {
		t.Error(got)
	}
	if n := s.shard(1).files[0].Len(); n != 0 {
		t.Errorf("an empty shard has %d bytes", n)
	}
}
