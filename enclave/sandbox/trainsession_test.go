// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/enclave/train/clip"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// smallTrain is a session of the guest by hand.
func smallTrain(params int, norm float64) TrainSpec {
	sp := trainSpec(trainModule(params))
	sp.RecordBytes, sp.PreparedBytes, sp.RecordFuel, sp.Config, sp.Clip = 64, 64, 1<<22, []byte{0}, norm
	return sp
}

const testNorm = 64

// classes are where units are bounded and summed.
var classes = map[string]float64{"in the enclave": 0, "in the worker": testNorm}

// gradientOf is what the guest by hand gives for a number at the first parameter, by which nothing of another record shows.
func gradientOf(number, param float32) []float32 {
	g := make([]float32, 16)
	g[0], g[1], g[2], g[3] = number, 1, 1, param
	return g
}

// wantTotal compares a sum with one of gradients that this test knows.
func wantTotal(t *testing.T, got *clip.Sum, units ...[][]float32) {
	t.Helper()
	want := newSum(t, 16, testNorm)
	for _, u := range units {
		for _, g := range u {
			want.Add(g)
		}
		want.End()
	}
	if !slices.Equal(got.Total(), want.Total()) {
		t.Errorf("%v\nwant\n%v", got.Total(), want.Total())
	}
}

// TestTrainMaliciousGuest: a guest that keeps state, traps, loops, exits, grows, changes its parameters or gives what is no gradient
// changes what its own record counts as, and nothing else.
func TestTrainMaliciousGuest(t *testing.T) {
	for class, norm := range classes {
		t.Run(class, func(t *testing.T) {
			x := newTrain(t, newSpawner(t), smallTrain(16, norm))
			if p := x.Initial(); len(p) != 16 || p[0] != 0.5 || !x.Prepares() || !x.Predicts() {
				t.Fatalf("%v", p)
			}
			one := [][]float32{gradientOf(1, 0.5)}
			huge := gradientOf(1, 0.5)
			huge[5] = math.MaxFloat32
			for what, counts := range map[string][][]float32{
				"c": one, "p": one, "t": nil, "f": nil, "e": nil, "r": nil, "g": nil, "G": nil, "z": nil, "n": nil, "h": {huge},
			} {
				into := newSum(t, 16, testNorm)
				units := each(order('c', 3), order(what[0], 1), order('c', 4), order(what[0], 1), order('c', 5))
				if err := x.Sum(t.Context(), units, into); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				wantTotal(t, into, [][]float32{gradientOf(3, 0.5)}, counts, [][]float32{gradientOf(4, 0.5)}, counts, [][]float32{gradientOf(5, 0.5)})
			}
			params := make([]float32, 16)
			params[0] = 2
			if err := x.SetParams(t.Context(), params); err != nil {
				t.Fatal(err)
			}
			into := newSum(t, 16, testNorm)
			if err := x.Sum(t.Context(), each(order('p', 1), order('G', 1), order('c', 1)), into); err != nil {
				t.Fatal(err)
			}
			wantTotal(t, into, [][]float32{gradientOf(1, 2)}, nil, [][]float32{gradientOf(1, 2)})
			if o := x.Close(); o.Reason != ReasonNone || o.Original.IsZero() || o.CPU <= 0 {
				t.Errorf("%+v", o)
			}
			wantEnd(t, x.Sum(t.Context(), each(order('c', 1)), into), ReasonNone)
		})
	}
}

// TestTrainUnits: a unit is bounded as a whole, wherever chunks and batches end, and records that are not there are zeros.
func TestTrainUnits(t *testing.T) {
	for class, norm := range classes {
		t.Run(class, func(t *testing.T) {
			x := newTrain(t, newSpawner(t), smallTrain(16, norm))
			var units []train.Unit
			var want [][][]float32
			for n := range 3 * maxAsked / 5 {
				var u train.Unit
				var g [][]float32
				for k := range n % 11 {
					switch (n + k) % 4 {
					case 0:
						u = append(u, nil)
					case 1:
						u = append(u, order('t', 0))
					default:
						v := float32(n%97 + 1)
						u, g = append(u, order('c', v)), append(g, gradientOf(v, 0.5))
					}
				}
				units, want = append(units, u), append(want, g)
			}
			into := newSum(t, 16, testNorm)
			if err := x.Sum(t.Context(), units, into); err != nil {
				t.Fatal(err)
			}
			wantTotal(t, into, want...)
			for _, none := range [][]train.Unit{nil, {{}}, {{nil}, {}, {nil, nil}}} {
				if err := x.Sum(t.Context(), none, into); err != nil {
					t.Error(err)
				}
			}
			wantTotal(t, into, want...)
		})
	}
}

// TestTrainPrepareAndScore: both are of each record alone, and what a guest fails on is nothing.
func TestTrainPrepareAndScore(t *testing.T) {
	x := newTrain(t, newSpawner(t), smallTrain(16, 0))
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	records := [][]byte{order('c', 0.25), order('t', 1), nil, order('c', nan), order('c', inf), order('c', -1), order('c', 7), order('c', 1)}
	want := []float32{0.25, 0, 0, 0, 1, 0, 1, 1}
	got := slices.Repeat([]float32{5}, len(records))
	if err := x.Score(t.Context(), records, got); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, want %v (%v)", got, want, err)
	}
	all, err := x.PrepareAll(t.Context(), append(records, []byte{}))
	if err != nil || len(all) != len(records)+1 || all[len(records)] == nil {
		t.Fatal(err)
	}
	for i, r := range records {
		if i == 1 && all[i] != nil || i != 1 && !bytes.Equal(all[i], r) {
			t.Errorf("record %d: %q", i, all[i])
		}
	}
	if b, ok, err := x.Prepare(t.Context(), records[0]); err != nil || !ok || !bytes.Equal(b, records[0]) {
		t.Errorf("%q, %t, %v", b, ok, err)
	}
	if b, ok, err := x.Prepare(t.Context(), records[1]); err != nil || ok || b != nil {
		t.Errorf("%q, %t, %v", b, ok, err)
	}
	long := make([]byte, 65)
	into := newSum(t, 16, testNorm)
	_, long1 := x.PrepareAll(t.Context(), [][]byte{long})
	for name, err := range map[string]error{
		"a long record":  errors.Join(x.Sum(t.Context(), each(long), into)),
		"prepared":       long1,
		"scored":         x.Score(t.Context(), [][]byte{long}, got[:1]),
		"more scores":    x.Score(t.Context(), records, got[:1]),
		"another sum":    x.Sum(t.Context(), each(records[0]), newSum(t, 15, 1)),
		"few parameters": x.SetParams(t.Context(), make([]float32, 15)),
	} {
		if !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := x.Sum(t.Context(), each(order('c', 1)), into); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestTrainLargeModel: parameters and gradients that do not fit the windows at once.
func TestTrainLargeModel(t *testing.T) {
	const count = windowBytes/4 + 77
	for class, norm := range classes {
		t.Run(class, func(t *testing.T) {
			sp := smallTrain(count, norm)
			sp.MaxParams = count
			x := newTrain(t, newSpawner(t), sp)
			params := x.Initial()
			params[0] = 3
			if err := x.SetParams(t.Context(), params); err != nil {
				t.Fatal(err)
			}
			into := newSum(t, count, testNorm)
			if err := x.Sum(t.Context(), each(order('c', 1), order('t', 1), order('c', 2), order('p', 3), order('c', 4)), into); err != nil {
				t.Fatal(err)
			}
			const unit = clip.Norm / testNorm
			if got := into.Total(); got[0] != 10*unit || got[3] != 12*unit || got[1] != 4*unit || got[5] != 0 {
				t.Errorf("%v", got[:8])
			}
			sp.MaxParams--
			_, err := newSpawner(t).Train(t.Context(), sp)
			wantEnd(t, err, ReasonTrap)
		})
	}
}

// TestTrainGuestThatIsAllMemory: one that has nearly all that can be addressed before its first record finds room for what it was
// beside what it is.
func TestTrainGuestThatIsAllMemory(t *testing.T) {
	sp := smallTrain(16, 0)
	sp.Module, sp.MemoryBytes = trainModuleOf(16, 1<<16-64), maxMemory
	x := newTrain(t, newSpawner(t), sp)
	into := newSum(t, 16, testNorm)
	if err := x.Sum(t.Context(), each(order('c', 3), order('G', 1), order('t', 1), order('c', 4)), into); err != nil {
		t.Fatal(err)
	}
	wantTotal(t, into, [][]float32{gradientOf(3, 0.5)}, nil, nil, [][]float32{gradientOf(4, 0.5)})
}

// TestTrainDoesNotStart: why a guest does not come to its first record.
func TestTrainDoesNotStart(t *testing.T) {
	s := newSpawner(t)
	for name, c := range map[string]struct {
		change func(*TrainSpec)
		reason string
	}{
		"refuses its configuration": {func(s *TrainSpec) { s.Config = []byte{1} }, ReasonTrap},
		"of another ABI":            {func(s *TrainSpec) { s.Module = recordModule([]uint64{1}, hostileRecord()) }, ReasonModule},
		"no module":                 {func(s *TrainSpec) { s.Module = nil }, ReasonModule},
		"too little memory":         {func(s *TrainSpec) { s.MemoryBytes = pageBytes; s.Module = trainModule(1 << 16) }, ReasonMemory},
		"too little fuel":           {func(s *TrainSpec) { s.Fuel = 10 }, ReasonFuel},
	} {
		sp := smallTrain(16, 0)
		c.change(&sp)
		_, err := s.Train(t.Context(), sp)
		if end, ok := errors.AsType[*SessionEnd](err); !ok || end.Reason != c.reason {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*TrainSpec){
		"record": func(s *TrainSpec) { s.RecordBytes = MaxRecord + 1 }, "prepared": func(s *TrainSpec) { s.PreparedBytes = 0 },
		"parameters": func(s *TrainSpec) { s.MaxParams = clip.MaxParams + 1 }, "fuel": func(s *TrainSpec) { s.RecordFuel = 0 },
		"norm": func(s *TrainSpec) { s.Clip = math.NaN() }, "below": func(s *TrainSpec) { s.Clip = -1 }, "infinite": func(s *TrainSpec) { s.Clip = math.Inf(1) },
		"configuration": func(s *TrainSpec) { s.Config = make([]byte, MaxTrainConfig+1) }, "memory": func(s *TrainSpec) { s.MemoryBytes = 0 },
	} {
		sp := smallTrain(16, 0)
		change(&sp)
		if _, err := s.Train(t.Context(), sp); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTrainIsBrokenOff: a context that ends and a worker that is killed end the session, and leave nothing mapped.
func TestTrainIsBrokenOff(t *testing.T) {
	s := newSpawner(t)
	for _, how := range []string{"context", "killed", "closed"} {
		sp := smallTrain(16, 0)
		sp.RecordFuel = 1 << 50
		x := newTrain(t, s, sp)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, worker := workerPids(t, s)
		time.AfterFunc(100*time.Millisecond, func() {
			switch how {
			case "context":
				cancel()
			case "killed":
				_ = unix.Kill(worker, unix.SIGKILL)
			case "closed":
				x.Close()
			}
		})
		err := x.Sum(ctx, each(order('c', 1), order('f', 1)), newSum(t, 16, 1))
		end, ok := errors.AsType[*SessionEnd](err)
		if !ok || how == "context" != errors.Is(err, context.Canceled) || how == "killed" && end.Reason != ReasonWorker {
			t.Errorf("%s: %v", how, err)
		}
		x.Close()
		if x.results != nil || x.process.results != -1 {
			t.Errorf("%s: results are still there", how)
		}
	}
}

// TestResultsWindow: memory that a worker could shorten under the enclave's feet is refused.
func TestResultsWindow(t *testing.T) {
	good, err := newResults()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(good)
	if b, err := mapResults(good); err != nil || unix.Munmap(b) != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(good, 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("shortened: %v", err)
	}
	short, err := newShared("results", windowBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(short)
	open, err := unix.MemfdCreate("results", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil || unix.Ftruncate(open, resultsBytes) != nil {
		t.Fatal(err)
	}
	defer unix.Close(open)
	for name, fd := range map[string]int{"short": short, "not sealed": open} {
		if _, err := mapResults(fd); err == nil {
			t.Errorf("%s: mapped", name)
		}
	}
}

// hostileTrainer is a session with a worker that answers as it likes.
func hostileTrainer(t *testing.T, sp TrainSpec, count uint32, flags byte, behave func(down io.Reader, out io.Writer, results []byte)) (*TrainSession, error) {
	t.Helper()
	results, err := unix.Mmap(-1, 0, resultsBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	var opening bytes.Buffer
	said, err := envelope.Canonical(result{Fuel: 1})
	if err != nil {
		t.Fatal(err)
	}
	head := []byte{byte(count >> 24), byte(count >> 16), byte(count >> 8), byte(count), flags}
	if err := errors.Join(
		(admission{envelope.Sum(sp.Module), envelope.Sum([]byte("x")), fuel.CostTable}).write(&opening),
		writeKind(&opening, kindResult, said), writeKind(&opening, kindOutput, head),
	); err != nil {
		t.Fatal(err)
	}
	p := fakeWorker(t, func(down io.Reader, _, out io.Writer) {
		for _, most := range []int{maxHeader, MaxModule, MaxTrainConfig} {
			if _, err := readFrame(down, most); err != nil {
				return
			}
		}
		if behave != nil {
			behave(nil, nil, results)
		}
		_, _ = out.Write(opening.Bytes())
		if behave != nil {
			behave(down, out, results)
		}
	})
	x, err := newTrainSession(t.Context(), p, results, sp, time.Now())
	if x != nil {
		t.Cleanup(func() { x.Close() })
	}
	return x, err
}

// TestTrainHostileWorker: a worker that lies about anything that shows ends its session, and what does not show is bounded.
func TestTrainHostileWorker(t *testing.T) {
	records := [][]byte{order('c', 1), order('c', 2)}
	sum := func(x *TrainSession) error {
		return x.Sum(context.Background(), each(records...), newSum(t, 16, testNorm))
	}
	prepare := func(x *TrainSession) error { _, err := x.PrepareAll(context.Background(), records); return err }
	total := func(values ...int64) func([]byte) {
		return func(b []byte) { copy(numbers[int64](b, 16), values) }
	}
	for name, c := range map[string]struct {
		norm    float64
		count   uint32
		flags   byte
		results func([]byte)
		said    string
		do      func(*TrainSession) error
	}{
		"no parameters":         {count: 0},
		"too many parameters":   {count: 1<<20 + 1},
		"unknown flags":         {count: 16, flags: 4},
		"a start that is NaN":   {count: 16, results: func(b []byte) { numbers[float32](b, 1)[0] = float32(math.NaN()) }},
		"a start without end":   {count: 16, results: func(b []byte) { numbers[float32](b, 16)[15] = float32(math.Inf(-1)) }},
		"neither well nor ill":  {count: 16, said: "\x01\x02", do: sum},
		"an answer too many":    {count: 16, said: "\x01\x01\x01", do: func(x *TrainSession) error { return errors.Join(sum(x), sum(x)) }},
		"a prepared record":     {count: 16, flags: flagPrepare, said: "\x00\x00\x00\x05\x00\x00\x00\x41", do: prepare},
		"a huge prepared one":   {count: 16, flags: flagPrepare, said: "\x80\x00\x00\x00\x00\x00\x00\x00", do: prepare},
		"not a sum":             {norm: testNorm, count: 16, said: "\x00\x01", do: sum},
		"not a total":           {norm: testNorm, count: 16, said: "\x01\x07", do: sum},
		"a total beyond bounds": {norm: testNorm, count: 16, said: "\x01\x01", results: total(2*clip.Norm + 1), do: sum},
		"a total below":         {norm: testNorm, count: 16, said: "\x01\x01", results: total(math.MinInt64), do: sum},
		"a total too long":      {norm: testNorm, count: 16, said: "\x01\x01", results: total(2*clip.Norm, 2), do: sum},
		"parameters not taken":  {count: 16, said: "\x00", do: func(x *TrainSession) error { return x.SetParams(context.Background(), make([]float32, 16)) }},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := hostileTrainer(t, smallTrain(16, c.norm), c.count, c.flags, func(down io.Reader, out io.Writer, results []byte) {
				if down == nil {
					if c.do == nil && c.results != nil {
						c.results(results)
					}
					return
				}
				if _, err := io.ReadFull(down, make([]byte, askBytes)); err != nil {
					return
				}
				if c.results != nil {
					c.results(results)
				}
				if c.norm > 0 { // an answer to each question
					_, _ = io.ReadFull(down, make([]byte, 4*len(records)))
					_, _ = io.WriteString(out, c.said[:1])
					_, _ = io.ReadFull(down, make([]byte, askBytes))
					_, _ = io.WriteString(out, c.said[1:])
				} else {
					_, _ = io.WriteString(out, c.said)
				}
				_, _ = io.Copy(io.Discard, down)
			})
			if c.do != nil {
				if err != nil {
					t.Fatal(err)
				}
				err = c.do(x)
			}
			if end := wantEnd(t, err, ReasonWorker); !errors.Is(err, ErrProtocol) {
				t.Errorf("err = %v, %+v", err, end)
			}
		})
	}
}

// TestTrainFlippingGradients: a worker that writes to its results all the time cannot add more than the bound.
func TestTrainFlippingGradients(t *testing.T) {
	const n = 200
	stop := make(chan struct{})
	var flipping sync.WaitGroup
	x, err := hostileTrainer(t, smallTrain(16, 0), 16, 0, func(down io.Reader, out io.Writer, results []byte) {
		if down == nil {
			return
		}
		if _, err := io.ReadFull(down, make([]byte, askBytes+4*n)); err != nil {
			return
		}
		flipping.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				for k := range 16 {
					numbers[float32](results, 16*n)[(i*16+k)%(16*n)] = float32(math.Ldexp(1, i%256-128))
				}
			}
		})
		_, _ = io.WriteString(out, strings.Repeat("\x01", n))
	})
	if err != nil {
		t.Fatal(err)
	}
	into := newSum(t, 16, testNorm)
	err = x.Sum(t.Context(), each(slices.Repeat([][]byte{order('c', 1)}, n)...), into)
	close(stop)
	flipping.Wait() // before the results are unmapped
	if err != nil {
		t.Fatal(err)
	}
	square := 0.0
	for _, v := range into.Total() {
		square += float64(v) * float64(v)
	}
	if math.Sqrt(square) > n*clip.Norm {
		t.Errorf("a sum of norm %v", math.Sqrt(square))
	}
}
