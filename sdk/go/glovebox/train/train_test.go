// SPDX-License-Identifier: Apache-2.0

package train

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

func TestConfig(t *testing.T) {
	c := NewConfig("{ \"text\":\"inputs\", \"a\\\"b\" : 3,\n\"inputs\" : 7 ,\"rate\":-1.5e-2,\"big\":1E+3,\"nested\":\"x\\\\\"}")
	if got := c.Int("inputs", 1, 0, 10); got != 7 {
		t.Errorf("inputs is %d", got)
	}
	for name, want := range map[string]float64{"rate": -0.015, "big": 1000, "none": 9, "b": 9} {
		if got := c.Float(name, 9); math.Abs(got-want) > 1e-15 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if c.bad != "" {
		t.Errorf("%s is refused", c.bad)
	}
	for _, text := range []string{`{"n":11}`, `{"n":-1}`, `{"n":1.5}`, `{"n":"x"}`, `{"n":null}`, `{"n":1e400}`, `{"n":}`, `{"n":1e}`, `{"n":1e0.5}`, `{"n":--1}`} {
		c := NewConfig(text)
		if got := c.Int("n", 3, 0, 10); got != 3 || c.bad != "n" {
			t.Errorf("%s: %d, refused %q", text, got, c.bad)
		}
	}
	for n := range len(`{"a":"b\`) { // cut short, it says what it can
		NewConfig(`{"a":"b\`[:n]).Float("a", 0)
	}
}

// TestMisspeltConfigurationIsRefused: what stands in for a member that nobody wrote is not trained on.
func TestMisspeltConfigurationIsRefused(t *testing.T) {
	open := func(c *Config) (Model, error) { return &constant{make([]float32, c.Int("inputs", 4, 1, 9))}, nil }
	for text, want := range map[string]string{
		`{}`: "", ` { "inputs" : 3e0 } ` + "\n": "", `{"inputs":3}`: "",
		`{"inptus":3}`: "the model knows no inptus", `{"inputs":3,"more":1}`: "the model knows no more", `{"inputs ":3}`: "the model knows no inputs ",
		`{" inputs":3}`: "the model knows no  inputs", `{"inp\u0075ts":3}`: `the model knows no inp\u0075ts`,
		`{"inputs":3,"inputs":4}`: "inputs is given twice", `{"inputs":0}`: "inputs is out of range",
		"": "want", "null": "want", `[]`: "want", `{"inputs":3`: "want", `{"inputs":3,}`: "want", `{"inputs":3}}`: "want", `{"inputs":3} {}`: "want",
		`{,}`: "want", `{"inputs" 3}`: "want", `{"note":"inputs"}`: "want", `{"a":{"inputs":3}}`: "want", `{"inputs":3 4}`: "want", `{"inputs`: "want", `{"a":true}`: "want",
	} {
		_, err := Open(open, NewConfig(text))
		if (err == nil) != (want == "") || err != nil && (!errors.Is(err, errConfig) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestParseFloats(t *testing.T) {
	out := make([]float32, 3)
	if !ParseFloats([]byte("-12.5,0,.25"), out) || out[0] != -12.5 || out[1] != 0 || out[2] != 0.25 {
		t.Errorf("%v", out)
	}
	for _, bad := range []string{"", "1", "1,2", "1,2,", "1,2,3,", "1,2,3,4", ",1,2", "1,,2", "1,2,x", "1,2,-", "1,2,.", "1,2,3e1", "1,2, 3", "1,2,1.2.3", "1,2,nan"} {
		if ParseFloats([]byte(bad), out) {
			t.Errorf("%q was taken: %v", bad, out)
		}
	}
	if !ParseFloats(nil, nil) || ParseFloats([]byte(","), nil) {
		t.Error("no numbers")
	}
}

// FuzzParseFloats: what is taken is what the standard library reads.
func FuzzParseFloats(f *testing.F) {
	seeds := []string{"", "1", "-1.5", "1,2", "1.25,-0.5,3", ",", "1,,2", "00012.50", "1e5", "99999999999999999999"}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		fields := strings.Split(line, ",")
		out := make([]float32, len(fields))
		if !ParseFloats([]byte(line), out) {
			return
		}
		for i, s := range fields {
			want, err := strconv.ParseFloat(s, 64)
			if err != nil && !errors.Is(err, strconv.ErrRange) {
				t.Fatalf("%q was taken", s)
			}
			if len(s) > 300 {
				continue // digits beyond what a float64 counts
			}
			if d := math.Abs(float64(out[i]) - want); d > 1e-6*math.Abs(want) && d > 1e-44 && math.Abs(want) < math.MaxFloat32 {
				t.Fatalf("%q is %v, want %v", s, out[i], want)
			}
		}
	})
}

// FuzzConfig: of a flat object of JSON each number is found; whatever else comes, nothing breaks.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, ` {"a" : "b", "c" : -1.5e3 } `, `{"a\"":1,"b":2}`, `{"a":`, `"`, `{"a\u0041":1}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := NewConfig(text)
		c.Float("a", 0)
		flat := map[string]any{}
		if json.Unmarshal([]byte(text), &flat) != nil || strings.ContainsAny(text, `\[]`) || strings.Count(text, "{") != 1 {
			return
		}
		seen := map[string]int{}
		for _, part := range strings.Split(text, `"`) {
			seen[part]++
		}
		for name, v := range flat {
			if want, ok := v.(float64); ok && seen[name] == 1 && math.Abs(want) < 1e15 && (want == 0 || math.Abs(want) > 1e-15) {
				if got := NewConfig(text).Float(name, math.NaN()); !(math.Abs(got-want) <= 1e-9*math.Abs(want)) {
					t.Fatalf("%q is %v, want %v", name, got, want)
				}
			}
		}
	})
}

func TestAligned(t *testing.T) {
	for n := range 40 {
		b := aligned(n)
		if len(b) != n || uintptr(unsafe.Pointer(unsafe.SliceData(b)))%16 != 0 && n > 0 {
			t.Fatalf("%d bytes: %d at %p", n, len(b), unsafe.SliceData(b))
		}
	}
}

// TestChance: known answers, which the other languages have too: the first of splitmix64 from 0 are 0xe220a8397b1dcdaf and
// 0x6e789e6aa1b965f4.
func TestChance(t *testing.T) {
	var c Chance
	for _, want := range []uint64{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4} {
		if got := c.Uniform(); got != float64(want>>11)/(1<<53) {
			t.Errorf("%v", got)
		}
	}
}

// constant is a model that says what it got.
type constant struct{ params []float32 }

func (m *constant) Params() []float32 { return m.params }
func (m *constant) Gradient(record []byte, g []float32) bool {
	g[0] = float32(len(record)) / 2
	return len(record) > 0
}

// TestRunClipsAndAverages: one lot of gradients 1/2, 2 and none, the second clipped to 1, moves the parameter by half the rate.
func TestRunClipsAndAverages(t *testing.T) {
	m := &constant{make([]float32, 1)}
	got, err := Run(func(*Config) (Model, error) { return m, nil }, NewConfig("{}"), 1, 3, "a", "abcd", "")
	if err != nil || got.Records != 3 || m.params[0] != -1.5 {
		t.Errorf("%+v, %v, parameter %v; want -1.5", got, err, m.params[0])
	}
	if _, err := Run(func(*Config) (Model, error) { return &constant{}, nil }, NewConfig("{}"), 1, 3); err == nil {
		t.Error("a model without parameters was taken")
	}
}
