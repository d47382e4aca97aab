// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/release"
)

// inPrivate makes a world of one private mode: rows of "kind,x", terms that allow p, and a job that declares it.
func inPrivate(t testing.TB, mode string, p *job.Privacy, module []byte, code map[string][]byte, rows []string, change func(*job.Job)) *world {
	t.Helper()
	runtime := job.RuntimesOf(mode)[0]
	p.Epsilon = comesTo(t, p)
	shards := int64(0)
	if p.Aggregate != nil {
		shards = p.Aggregate.Shards
	}
	return newWorldFrom(t, made{
		records: []byte("kind,x\n" + strings.Join(rows, "\n") + "\n"), module: module, code: code,
		terms: func(m *dataset.Terms) { m.Modes = []string{mode} },
		offer: func(m *dataset.Manifest) {
			m.Terms.Logs = grant.LogsOff
			m.Terms.Privacy = dataset.Privacy{
				Population: "people", Unit: p.Unit, Adjacency: p.Adjacency, Epsilon: 1e6 * dp.Micro, BuyerEpsilon: 1e6 * dp.Micro, Delta: 1_000_000,
			}
			m.Terms.Private = []dataset.ModePrivacy{{
				Mode: mode, Epsilon: 1e6 * dp.Micro, Delta: 1_000_000, Contributions: 1, Runtimes: []string{runtime}, Shards: shards,
			}}
		},
		job: func(j *job.Job) {
			j.Mode, j.Runtime, j.Privacy = mode, runtime, p
			j.Outputs = []job.Output{{Name: "answers.json", Class: "metrics", MaxBytes: 1 << 14}}
			j.Limits.WallSeconds = 20
			if change != nil {
				change(j)
			}
		},
	})
}

// record-level privacy of mechanisms, at δ = 10⁻⁶.
func ofRecords(ms []dp.Mechanism) *job.Privacy {
	return &job.Privacy{
		Unit: dataset.UnitRecord, Contributions: 1, Adjacency: dp.AddOrRemove, Accountant: dp.RDP, Delta: 1_000_000, Mechanisms: ms,
	}
}

const someQueries = `{"version": 1, "queries": [
	{"name": "all", "kind": "count", "epsilon": 5},
	{"name": "x", "kind": "mean", "field": "x", "lower": 0, "upper": 10, "epsilon": 5},
	{"name": "kinds", "kind": "histogram", "field": "kind", "delta": 1e-8, "most": 4, "noise": 1}]}`

// queryWorld has the queries, and a job that declares what they do.
func queryWorld(t testing.TB, queries string, rows []string, change func(*job.Job)) *world {
	t.Helper()
	q, err := release.Parse([]byte(queries))
	check(t, err)
	ms, err := q.Mechanisms(dataset.UnitRecord, dp.AddOrRemove, 1)
	check(t, err)
	return inPrivate(t, dataset.ModeRelease, ofRecords(ms), []byte("\x00asm: no code runs"), map[string][]byte{release.FileName: []byte(queries)}, rows, change)
}

func numbered(n int, kind string) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("%s,%d", kind, i%11))
	}
	return out
}

// noCode is a runner where no code may run.
type noCode struct{ noModules }

func (noCode) Run(context.Context, sandbox.Spec, sandbox.Data) (*sandbox.Outcome, error) {
	return nil, errors.New("code runs")
}

// TestQueriesAreAnswered: the whole line, without code: answers near the truth, and a statement from which anybody can
// recompute what they cost.
func TestQueriesAreAnswered(t *testing.T) {
	rows := append(numbered(3000, "a"), "b,3", "c,NaN", `"broken`+`"x,1`)
	w := queryWorld(t, someQueries, rows[:3002], nil)
	res, abandon := w.run(noCode{})
	s := wantPrivate(t, w, res, abandon, usage.ReasonNone)
	if s.Execution != nil || s.Isolation != usage.NotStarted || s.Measured != (usage.Measured{}) {
		t.Errorf("no code runs: %+v", s)
	}
	j, err := job.Verify(w.job)
	check(t, err)
	if len(s.Spent) != 1 || len(s.Spent[0].Mechanisms) != 4 || s.Spent[0].Epsilon != j.Predicate.Privacy.Epsilon || s.Spent[0].Isolation != job.RuntimeQuery {
		t.Fatalf("%+v", s.Spent)
	}
	var out release.Results
	check(t, json.Unmarshal((&trainingWorld{world: w}).opened(res)["answers.json"], &out))
	if n := *out.Results[0].Value; math.Abs(n-3002) > 10 {
		t.Errorf("%v records", n)
	}
	if x := *out.Results[1].Value; math.Abs(x-5) > 0.1 {
		t.Errorf("mean %v", x)
	}
	if g := out.Results[2].Groups; len(g) != 1 || g[0].Key != "a" {
		t.Errorf("groups %+v: of keys that one record has, nobody learns", g)
	}
}

// wantPrivate demands a statement that ended so.
func wantPrivate(t testing.TB, w *world, r *door.Result, a *door.Abandon, reason string) *usage.Statement {
	t.Helper()
	if r == nil {
		t.Fatalf("abandoned: %+v", a)
	}
	s, _ := w.statement(r)
	if s.Reason != reason {
		t.Fatalf("reason %q, want %q", s.Reason, reason)
	}
	if reason != usage.ReasonNone && len(r.Header) > 0 {
		t.Error("something leaves")
	}
	return s
}

// TestQueriesThatWereNotDeclared: what the job does not declare, in kind, number, noise or order, is not asked; the data is not
// even read.
func TestQueriesThatWereNotDeclared(t *testing.T) {
	for name, queries := range map[string]string{
		"one more":   strings.Replace(someQueries, `"queries": [`, `"queries": [{"name": "more", "kind": "count", "epsilon": 5}, `, 1),
		"one less":   `{"version": 1, "queries": [{"name": "all", "kind": "count", "epsilon": 5}]}`,
		"less noise": strings.Replace(someQueries, `"epsilon": 5`, `"epsilon": 6`, 1),
		"more noise": strings.Replace(someQueries, `"epsilon": 5`, `"epsilon": 4`, 1),
		"wider":      strings.Replace(someQueries, `"upper": 10`, `"upper": 11`, 1),
		"delta":      strings.Replace(someQueries, `1e-8`, `1e-7`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			q, err := release.Parse([]byte(someQueries))
			check(t, err)
			ms, err := q.Mechanisms(dataset.UnitRecord, dp.AddOrRemove, 1)
			check(t, err)
			w := inPrivate(t, dataset.ModeRelease, ofRecords(ms), []byte("m"), map[string][]byte{release.FileName: []byte(queries)}, numbered(10, "a"), nil)
			res, abandon := w.run(noCode{})
			unread(t, wantPrivate(t, w, res, abandon, usage.ReasonNotPermitted))
		})
	}
}

// unread demands that nothing was read of the data, and nothing spent.
func unread(t testing.TB, s *usage.Statement) {
	t.Helper()
	if len(s.Spent) > 0 || s.Packages[1].Reads > 0 || s.Packages[1].Records > 0 {
		t.Errorf("%+v, %+v", s.Spent, s.Packages[1])
	}
}

func TestQueriesThatAreNone(t *testing.T) {
	for name, code := range map[string]map[string][]byte{
		"no file": nil, "no JSON": {release.FileName: []byte("{")}, "empty": {release.FileName: []byte("{}")},
	} {
		t.Run(name, func(t *testing.T) {
			ms := []dp.Mechanism{{Kind: dp.Pure, Epsilon: dp.Micro, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}}
			w := inPrivate(t, dataset.ModeRelease, ofRecords(ms), []byte("m"), code, numbered(10, "a"), nil)
			res, abandon := w.run(noCode{})
			unread(t, wantPrivate(t, w, res, abandon, usage.ReasonModule))
		})
	}
}

// TestNoRoomForAnswers: an output too small for any answer is found out before the data is read.
func TestNoRoomForAnswers(t *testing.T) {
	w := queryWorld(t, someQueries, numbered(10, "a"), func(j *job.Job) { j.Outputs[0].MaxBytes = 100 })
	res, abandon := w.run(noCode{})
	unread(t, wantPrivate(t, w, res, abandon, usage.ReasonNotPermitted))
}

// TestColumnThatIsNotThere: a header is of no record: it is found there that nothing can be asked of them, and nothing is read,
// spent or counted as a use.
func TestColumnThatIsNotThere(t *testing.T) {
	w := queryWorld(t, strings.Replace(someQueries, `"field": "x"`, `"field": "y"`, 1), numbered(10, "a"), nil)
	res, abandon := w.run(noCode{})
	unread(t, wantPrivate(t, w, res, abandon, usage.ReasonModule))
}

// late is a clock that nobody can wait for.
type late struct{ train.Clock }

func (late) Wait(ctx context.Context, _ time.Duration) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestQueriesThatTakeTooLong: that they do may be because of a record, and is paid for like an answer.
func TestQueriesThatTakeTooLong(t *testing.T) {
	w := &trainingWorld{world: queryWorld(t, someQueries, numbered(10, "a"), func(j *job.Job) { j.Limits.WallSeconds = 1 })}
	w.seams.testOnlyClock = late{train.NewClock()}
	res, abandon := w.train(noCode{})
	if s := wantPrivate(t, w.world, res, abandon, usage.ReasonUnavailable); len(s.Spent) != 1 || len(s.Spent[0].Mechanisms) != 4 {
		t.Errorf("%+v", s.Spent)
	}
}

// TestTimesOfReleases: whatever records say, there are few moments at which answers come.
func TestTimesOfReleases(t *testing.T) {
	seen := map[time.Duration]bool{}
	for d := time.Duration(0); d < 2*time.Hour; d += 100 * time.Millisecond {
		e := job.Even(d)
		if e < d {
			t.Fatalf("%v ends at %v", d, e)
		}
		seen[e] = true
	}
	if len(seen) > 14 {
		t.Errorf("%d moments", len(seen))
	}
}
