// SPDX-License-Identifier: Apache-2.0

package localdp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/localdp"
	"github.com/glovebox-dev/glovebox/transforms/steptest"
)

const (
	csv   = dataset.FormatCSV
	jsonl = dataset.FormatJSONL
)

func env(seed byte) *transforms.Env {
	return &transforms.Env{Noise: rand.NewChaCha8([32]byte{seed}), Approximate: true}
}

func run(t testing.TB, c steptest.Constructor, config string, f dataset.Format, in string, seed byte) steptest.Result {
	t.Helper()
	r, err := steptest.Run(t, c, config, f, in, env(seed))
	if err != nil {
		t.Fatalf("%s: %v", config, err)
	}
	return r
}

// histogram counts what comes out of a record that is there many times.
func histogram(t testing.TB, c steptest.Constructor, config string, f dataset.Format, record string, n int, seed byte) map[string]int {
	t.Helper()
	head := ""
	if f == csv {
		head = "a\n"
	}
	counts := map[string]int{}
	lines := run(t, c, config, f, head+strings.Repeat(record+"\n", n), seed).Lines()
	if f == csv {
		lines = lines[1:]
	}
	if len(lines) != n {
		t.Fatalf("%d of %d records came out", len(lines), n)
	}
	for _, line := range lines {
		counts[line]++
	}
	return counts
}

// number is the number that a record that came out has.
func number(t testing.TB, s string) float64 {
	t.Helper()
	s = strings.TrimSuffix(strings.TrimPrefix(s, `{"a":`), "}")
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// surely bounds a probability: seen of n times, it is hardly ever outside (Wilson, five deviations).
func surely(seen, n int) (low, high float64) {
	const z = 5
	p, m := float64(seen)/float64(n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(middle-half, 0), min(middle+half, 1)
}

// leastEpsilon is the epsilon that two histograms show there must be at least, at a delta: from each outcome alone, and from all
// that are above or below it.
func leastEpsilon(t testing.TB, a, b map[string]int, n int, numbers bool, delta float64) (worst float64) {
	t.Helper()
	judge := func(x, y int) {
		low, _ := surely(x, n)
		_, high := surely(y, n)
		if low > delta {
			worst = max(worst, math.Log((low-delta)/high))
		}
	}
	both := func(in func(string) bool) {
		x, y := 0, 0
		for s, k := range a {
			if in(s) {
				x += k
			}
		}
		for s, k := range b {
			if in(s) {
				y += k
			}
		}
		judge(x, y)
		judge(y, x)
		judge(n-x, n-y)
		judge(n-y, n-x)
	}
	for s := range a {
		both(func(o string) bool { return o == s })
	}
	if numbers {
		for q := -40.0; q <= 140; q += 5 {
			both(func(o string) bool { return number(t, o) > q })
		}
	}
	return worst
}

const krr3 = `{"fields":[{"field":"a","categories":["x","y","z"],"default":"z","epsilon":%g}]}`

func laplace(epsilon float64) string {
	return fmt.Sprintf(`{"fields":[{"field":"a","lower":0,"upper":100,"resolution":20,"default":40,"epsilon":%g,"clamp":true}]}`, epsilon)
}

// optional allows the field to be missing in all records.
func optional(config string) string {
	return strings.Replace(config, `"field":"a"`, `"field":"a","optional":true`, 1)
}

// identity is a step without noise.
type identity struct{}

func (identity) Schema(in transforms.Schema) (transforms.Schema, error) { return in, nil }

func (identity) Transform(*transforms.Record, *transforms.Trace) (transforms.Verdict, error) {
	return transforms.Keep, nil
}

func noNoise(json.RawMessage, transforms.Schema, *transforms.Env) (transforms.Step, error) {
	return identity{}, nil
}

// TestEmpiricalEpsilon: two records, however different, are not told apart better than claimed; and steps with half the noise, or
// none, fail the same test.
func TestEmpiricalEpsilon(t *testing.T) {
	n := 200_000
	if testing.Short() {
		n = 40_000
	}
	const claim = 1.0
	for _, c := range []struct {
		name     string
		make     steptest.Constructor
		config   string
		format   dataset.Format
		one, two string
		delta    float64
		private  bool
	}{
		{"k-rr", localdp.NewKRR, fmt.Sprintf(krr3, claim), csv, "x", "y", 0, true},
		{"k-rr, unknown", localdp.NewKRR, fmt.Sprintf(krr3, claim), csv, "x", "secret", 0, true},
		{"k-rr, missing", localdp.NewKRR, optional(fmt.Sprintf(krr3, claim)), jsonl, `{"a":"x"}`, `{}`, 0, true},
		{"k-rr, an object", localdp.NewKRR, optional(fmt.Sprintf(krr3, claim)), jsonl, `{"a":"x"}`, `{"a":{"b":1}}`, 0, true},
		{"laplace", localdp.NewLaplace, laplace(claim), csv, "0", "100", 0, true},
		{"laplace, out of bounds", localdp.NewLaplace, laplace(claim), csv, "-1e300", "1e300", 0, true},
		{"laplace, missing", localdp.NewLaplace, optional(laplace(claim)), jsonl, `{"a":100}`, `{}`, 0, true},
		{"laplace, no clamp", localdp.NewLaplace, strings.Replace(laplace(claim), "true", "false", 1), csv, "0", "100", 0, true},
		{"gaussian", localdp.NewGaussian, strings.Replace(laplace(claim), `"clamp":true`, `"clamp":true,"delta":0.01`, 1), csv, "0", "100", 0.01, true},

		{"k-rr with half the noise", localdp.NewKRR, fmt.Sprintf(krr3, 2*claim), csv, "x", "y", 0, false},
		{"k-rr with little less noise", localdp.NewKRR, fmt.Sprintf(krr3, 1.2*claim), csv, "x", "y", 0, false},
		{"laplace with half the noise", localdp.NewLaplace, laplace(2 * claim), csv, "0", "100", 0, false},
		{"laplace with little less noise", localdp.NewLaplace, laplace(1.2 * claim), csv, "0", "100", 0, false},
		{"gaussian with a third of the noise", localdp.NewGaussian, strings.Replace(laplace(3.5*claim), `"clamp":true`, `"delta":0.01`, 1), csv, "0", "100", 0.01, false},
		{"no noise", noNoise, `{}`, csv, "0", "100", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := histogram(t, c.make, c.config, c.format, c.one, n, 1)
			b := histogram(t, c.make, c.config, c.format, c.two, n, 2)
			numbers := strings.Contains(c.config, "lower")
			if least := leastEpsilon(t, a, b, n, numbers, c.delta); least > claim == c.private {
				t.Errorf("epsilon is at least %.3f, claimed is %.3f", least, claim)
			}
		})
	}
}

// TestKRRProbabilities holds the answers to the exact probabilities.
func TestKRRProbabilities(t *testing.T) {
	const n = 100_000
	for i, k := range []int{2, 3, 10} {
		var names []string
		for j := range k {
			names = append(names, fmt.Sprintf("c%d", j))
		}
		list, _ := json.Marshal(names)
		for j, e := range []float64{0.1, 1, 3} {
			config := fmt.Sprintf(`{"fields":[{"field":"a","categories":%s,"default":"c0","epsilon":%g}]}`, list, e)
			got := histogram(t, localdp.NewKRR, config, csv, "c1", n, byte(10*i+j))
			for _, name := range names {
				p := 1 / (math.Exp(e) + float64(k) - 1)
				if name == "c1" {
					p *= math.Exp(e)
				}
				if dev := (float64(got[name]) - n*p) / math.Sqrt(n*p*(1-p)); math.Abs(dev) > 5 {
					t.Errorf("%d categories, epsilon %g: %s came %d times, want %.0f", k, e, name, got[name], n*p)
				}
			}
		}
	}
}

// TestFormTellsNothing: with the same noise, records that differ in the field alone, and stand for the same value, become the same bytes.
func TestFormTellsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		make    steptest.Constructor
		config  string
		records []string
	}{
		"default": {localdp.NewLaplace, `{"fields":[{"field":"a","lower":0,"upper":10,"resolution":0.5,"default":5,"epsilon":1}]}`, []string{
			`{"b":{"x": 1},"a":5}`, `{"a":5.0,"b":{"x": 1}}`, `{"b":{"x": 1}}`, `{"b":{"x": 1},"a":null}`, `{"a":"five","b":{"x": 1}}`, `{"a":{"c":[]},"b":{"x": 1}}`,
			`{"a":1,"b":{"x": 1},"a":5}`, `{"\u0061":"5","b":{"x": 1}}`, `{ "b" :{"x": 1} , "a":true}`, `{"a":[1],"b":{"x": 1}}`, `{"a":"NaN","b":{"x": 1}}`, `{"a":"1e99999999999","b":{"x": 1}}`,
		}},
		"above":     {localdp.NewLaplace, `{"fields":[{"field":"a","lower":0,"upper":10,"default":5,"epsilon":1}]}`, []string{`{"a":10}`, `{"a":11}`, `{"a":1e300}`, `{"a":" 99 "}`, `{"a":9.5}`}},
		"unknown":   {localdp.NewKRR, fmt.Sprintf(krr3, 1.0), []string{`{"a":"z"}`, `{}`, `{"a":"Z"}`, `{"a":7}`, `{"a":{"a":"x"}}`, `{"a":"x","a":"z"}`}},
		"rounded":   {localdp.NewLaplace, `{"fields":[{"field":"a","lower":-1,"upper":1,"resolution":0.25,"default":0,"epsilon":1}]}`, []string{`{"a":-0.5}`, `{"a":-0.6}`, `{"a":-0.4000001}`, `{"a":-6.2e-1}`, `{"a":-0.625}`}},
		"no object": {localdp.NewKRR, fmt.Sprintf(krr3, 1.0), []string{`{}`, `[{"a":"x"}]`, `7`, `"x"`, `null`}},
	} {
		var first string
		for i, raw := range c.records {
			// With another record that has the field, so that it is not missing everywhere.
			got := run(t, c.make, c.config, jsonl, raw+"\n"+`{"a":1}`+"\n", 7).Lines()[0]
			if i == 0 {
				first = got
			}
			if got != first {
				t.Errorf("%s: %s became %s, and %s became %s", name, c.records[0], first, raw, got)
			}
		}
	}
}

func TestNumbersAreWritten(t *testing.T) {
	config := `{"fields":[{"field":"a","lower":0.25,"upper":10.25,"resolution":0.5,"default":0.25,"epsilon":900}]}`
	in := "a\n0.25\n10.25\n11\n5\n4.9\n-3\n\nx\n5.01\n"
	got := run(t, localdp.NewLaplace, config, csv, strings.Replace(in, "\n\n", "\n\"\"\n", 1), 3)
	if want := "a\n0.25\n10.25\n10.25\n5.25\n4.75\n0.25\n0.25\n0.25\n5.25\n"; got.Out != want {
		t.Errorf("with hardly any noise: %q, want %q", got.Out, want)
	}
	// As wide as can be: nothing overflows.
	for _, c := range []string{
		`{"fields":[{"field":"a","lower":-5000000000000000,"upper":5000000000000000,"resolution":10000000000000,"default":0,"epsilon":0.000001}]}`,
		`{"fields":[{"field":"a","lower":0,"upper":1e-9,"resolution":1e-17,"default":0,"epsilon":0.0002}]}`,
		`{"fields":[{"field":"a","lower":0,"upper":1000000000,"default":0,"epsilon":0.2}]}`,
	} {
		for _, line := range run(t, localdp.NewLaplace, c, csv, "a\n"+strings.Repeat("7e17\n", 300), 4).Lines()[1:] {
			if x := number(t, line); math.Abs(x) > 9e18 {
				t.Errorf("%s: %s", c, line)
			}
		}
	}
	got = run(t, localdp.NewLaplace, laplace(0.01), csv, "a\n"+strings.Repeat("50\n", 1000), 5)
	for _, line := range got.Lines()[1:] {
		if x := number(t, line); x < 0 || x > 100 {
			t.Errorf("clamped to %s", line)
		}
	}
}

func TestEpsilonIsStated(t *testing.T) {
	two := `{"fields":[{"field":"a","categories":["x","y"],"default":"x","epsilon":0.5},{"field":"b","categories":["x","y"],"default":"x","epsilon":1.25}]}`
	if e, err := localdp.KRREpsilon([]byte(two)); e != 1_750_000 || err != nil {
		t.Errorf("k-rr: %d, %v", e, err)
	}
	if e, err := localdp.LaplaceEpsilon([]byte(laplace(0.3))); e != 300_000 || err != nil {
		t.Errorf("laplace: %d, %v", e, err)
	}
	gauss := []byte(strings.Replace(laplace(0.3), `"clamp":true`, `"delta":0.000001`, 1))
	if e, d, err := localdp.GaussianSpends(gauss); e != 300_000 || d != 1_000_000 || err != nil {
		t.Errorf("gaussian: %d, %d, %v", e, d, err)
	}
	if e, err := localdp.GaussianEpsilon(gauss); e != 300_000 || err != nil {
		t.Errorf("gaussian: %d, %v", e, err)
	}
	if _, err := localdp.KRREpsilon([]byte(`{"fields":[]}`)); !errors.Is(err, transforms.ErrConfig) {
		t.Error(err)
	}
}

func TestGaussianNeedsAnAccount(t *testing.T) {
	config := strings.Replace(laplace(1), `"clamp":true`, `"delta":0.000001`, 1)
	e := env(1)
	e.Approximate = false
	if _, err := steptest.Run(t, localdp.NewGaussian, config, csv, "a\n1\n", e); !errors.Is(err, transforms.ErrEnv) || !strings.Contains(err.Error(), "ingest") {
		t.Error(err)
	}
	for _, c := range []steptest.Constructor{localdp.NewGaussian, localdp.NewLaplace} {
		if _, err := c([]byte(config), transforms.Schema{}, nil); err == nil {
			t.Error("noise came from nowhere")
		}
	}
}

// ends is a source of noise that ends.
type ends struct{ n int }

func (r *ends) Read(p []byte) (int, error) {
	if r.n -= len(p); r.n < 0 {
		return 0, errors.New("no more")
	}
	return len(p), nil
}

func TestNoNoiseNoRecord(t *testing.T) {
	if _, err := steptest.Run(t, localdp.NewLaplace, laplace(1), csv, "a\n"+strings.Repeat("1\n", 10_000), &transforms.Env{Noise: &ends{8192}}); !errors.Is(err, transforms.ErrEnv) {
		t.Errorf("the noise ended: %v", err)
	}
}

func TestMisspelt(t *testing.T) {
	config := `{"fields":[{"field":"b","categories":["x","y"],"default":"x","epsilon":1%s}]}`
	for f, in := range map[dataset.Format]string{csv: "a\n1\n", jsonl: "{\"a\":1}\n"} {
		if _, err := steptest.Run(t, localdp.NewKRR, fmt.Sprintf(config, ""), f, in, env(1)); !errors.Is(err, transforms.ErrConfig) {
			t.Errorf("%s: %v", f, err)
		}
		if _, err := steptest.Run(t, localdp.NewKRR, fmt.Sprintf(config, `,"optional":true`), f, in, env(1)); err != nil {
			t.Errorf("%s, optional: %v", f, err)
		}
	}
	for _, name := range []string{"a.b", "a[]", "[]", "a{}"} {
		if _, err := steptest.Run(t, localdp.NewKRR, strings.Replace(fmt.Sprintf(config, ""), `"b"`, strconv.Quote(name), 1), jsonl, "{}\n", env(1)); !errors.Is(err, transforms.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	for _, e := range []string{`0`, `-1`, `1001`, `1e300`, `0.0000001`, `"1"`, `null`, `1.00000001`, `true`} {
		for name, c := range map[string]string{
			"k-rr":    `{"fields":[{"field":"a","categories":["x","y"],"default":"x","epsilon":` + e + `}]}`,
			"laplace": `{"fields":[{"field":"a","lower":0,"upper":9,"default":1,"epsilon":` + e + `}]}`,
		} {
			make := map[string]steptest.Constructor{"k-rr": localdp.NewKRR, "laplace": localdp.NewLaplace}[name]
			if _, err := make([]byte(c), transforms.Schema{}, env(1)); !errors.Is(err, transforms.ErrConfig) {
				t.Errorf("%s, epsilon %s: %v", name, e, err)
			}
		}
	}
	var names []string
	for i := range 1025 {
		names = append(names, strconv.Quote(strconv.Itoa(i)))
	}
	for _, c := range []string{
		`{}`, `{"fields":[]}`, `{"fields":[{"field":"a"}]}`, `{"fields":[{"field":"a","categories":["x"],"default":"x","epsilon":1}]}`,
		`{"fields":[{"field":"a","categories":["x","x"],"default":"x","epsilon":1}]}`, `{"fields":[{"field":"a","categories":["x","y"],"default":"q","epsilon":1}]}`,
		`{"fields":[{"field":"a","categories":["x","y"],"epsilon":1}]}`, `{"fields":[{"field":"a","categories":["x","y"],"default":"x"}]}`,
		`{"fields":[{"field":"a","categories":["x","y"],"default":"x","epsilon":1,"k":3}]}`, `{"fields":[{"field":"a","categories":["x",1],"default":"x","epsilon":1}]}`,
		`{"fields":[{"field":"a","categories":[` + strings.Join(names, ",") + `],"default":"1","epsilon":1}]}`,
		`{"fields":[{"field":"a","categories":["x","y"],"default":"x","epsilon":1},{"field":"a","categories":["x","y"],"default":"x","epsilon":1}]}`,
		`{"fields":[{"field":"a","categories":["x","y"],"default":"x","epsilon":600},{"field":"b","categories":["x","y"],"default":"x","epsilon":600}]}`,
	} {
		if _, err := localdp.NewKRR([]byte(c), transforms.Schema{}, env(1)); !errors.Is(err, transforms.ErrConfig) {
			t.Errorf("k-rr %.80s: %v", c, err)
		}
	}
	for _, c := range []string{
		`{"fields":[{"field":"a","upper":9,"default":1,"epsilon":1}]}`, `{"fields":[{"field":"a","lower":0,"upper":9,"epsilon":1}]}`,
		`{"fields":[{"field":"a","lower":9,"upper":9,"default":9,"epsilon":1}]}`, `{"fields":[{"field":"a","lower":9,"upper":0,"default":1,"epsilon":1}]}`,
		`{"fields":[{"field":"a","lower":0,"upper":9,"default":10,"epsilon":1}]}`, `{"fields":[{"field":"a","lower":0,"upper":9,"resolution":0,"default":1,"epsilon":1}]}`,
		`{"fields":[{"field":"a","lower":0,"upper":9,"resolution":-1,"default":1,"epsilon":1}]}`, `{"fields":[{"field":"a","lower":0,"upper":9,"resolution":2,"default":1,"epsilon":1}]}`,
		`{"fields":[{"field":"a","lower":0,"upper":1e30,"default":1,"epsilon":1}]}`, `{"fields":[{"field":"a","lower":0,"upper":9,"resolution":1e-30,"default":1,"epsilon":1}]}`,
		`{"fields":[{"field":"a","lower":0,"upper":1e17,"default":1,"epsilon":1}]}`, `{"fields":[{"field":"a","lower":0,"upper":1000000000,"default":1,"epsilon":0.000001,"delta":1}]}`,
		`{"fields":[{"field":"a","lower":0,"upper":1000000000,"default":1,"epsilon":0.1,"resolution":1e-9}]}`, `{"fields":[{"field":"a","lower":"0","upper":9,"default":1,"epsilon":1}]}`,
	} {
		if _, err := localdp.NewLaplace([]byte(c), transforms.Schema{}, env(1)); !errors.Is(err, transforms.ErrConfig) {
			t.Errorf("laplace %.90s: %v", c, err)
		}
	}
	for _, d := range []string{``, `,"delta":0`, `,"delta":-1e-6`, `,"delta":0.5`, `,"delta":1e-13`, `,"delta":"1e-6"`, `,"delta":1e-6,"rho":1`} {
		if _, err := localdp.NewGaussian([]byte(`{"fields":[{"field":"a","lower":0,"upper":9,"default":1,"epsilon":1`+d+`}]}`), transforms.Schema{}, env(1)); !errors.Is(err, transforms.ErrConfig) {
			t.Errorf("gaussian %s: %v", d, err)
		}
	}
}

// FuzzShape: whatever the record, one comes out, with the field as a member of its own, once.
func FuzzShape(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, `{"a":{"a":2}}`, `[1]`, `"x"`, `{"b":[{"a":"z"}],"\u0061":7}`, `{"":{"a":1}}`, `{"a":1e400}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.ContainsAny(raw, "\r\n") || raw == "" || len(raw) > 4096 {
			return
		}
		config := `{"fields":[{"field":"a","lower":0,"upper":10,"default":5,"epsilon":1,"optional":true}]}`
		r, err := steptest.Run(t, localdp.NewLaplace, config, jsonl, raw+"\n", env(1))
		if errors.Is(err, transforms.ErrRecord) {
			return
		}
		if err != nil || len(r.Lines()) != 1 || len(r.Report.Quarantined) > 0 || len(r.Report.Findings) > 0 {
			t.Fatalf("%q: %v", raw, err)
		}
		var rec transforms.Record
		if err := transforms.NewCodec(transforms.Schema{Format: jsonl}).Parse(&rec, "", []byte(r.Lines()[0])); err != nil {
			t.Fatalf("%q became %q", raw, r.Out)
		}
		n := 0
		for _, f := range rec.Fields() {
			if f.Path == "a" {
				n++
			}
		}
		if n != 1 || !strings.Contains(r.Out, `"a":`) {
			t.Fatalf("%q became %q", raw, r.Out)
		}
	})
}

func BenchmarkSteps(b *testing.B) {
	in := "a\n" + strings.Repeat("42\n", 20_000)
	for name, c := range map[string]steptest.Constructor{"laplace": localdp.NewLaplace, "gaussian": localdp.NewGaussian} {
		config := `{"fields":[{"field":"a","lower":0,"upper":100,"default":40,"epsilon":1}]}`
		if name == "gaussian" {
			config = strings.Replace(config, `"epsilon"`, `"delta":0.000001,"epsilon"`, 1)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				run(b, c, config, csv, in, 1)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20_000, "ns/record")
		})
	}
}
