// SPDX-License-Identifier: Apache-2.0

package kanon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/kanon"
	"github.com/glovebox-dev/glovebox/transforms/steptest"
)

const (
	csv   = dataset.FormatCSV
	jsonl = dataset.FormatJSONL
)

// TestShapesAreNoClassOfTheirOwn: records whose quasi-identifier hides in arrays are not all alike.
func TestShapesAreNoClassOfTheirOwn(t *testing.T) {
	in := strings.Repeat(`{"p":{"zip":"12345"}}`+"\n", 3) + `[{"p":{"zip":"99999"}}]` + "\n" + `{"p":[{"zip":"88888"}]}` + "\n" + `{"p":"77777"}` + "\n" + `{"p":["66666"]}` + "\n" + `"55555"` + "\n"
	r, err := steptest.Run(t, kanon.New, `{"quasi":[{"field":"p.zip"}],"k":3,"maxSuppressed":1}`, jsonl, in, steptest.Env())
	if err != nil || r.Out != strings.Repeat(`{"p":{"zip":"12345"}}`+"\n", 3) {
		t.Errorf("got %s %v", r.Out, err)
	}
}

// TestSpellingsAreNoOthers: one value, or contributor, in other spellings is still one.
func TestSpellingsAreNoOthers(t *testing.T) {
	for _, spellings := range [][]string{
		{"sid\u00e1", "sida\u0301", "SID\u00c1", "sid\u00e1\u200b", "\ufeffsid\u00e1", "si\u00add\u00e1", "sid\u00e1 ", "\u00a0sid\u00e1", "\uff53id\u00e1", "sid\u00e1\ufe0f", "sida\u034f\u0301", "sid\u00e1\u0000"},
		{"\ud55c\uad6d", "\u1112\u1161\u11ab\u1100\u116e\u11a8", "\u3164\ud55c\uad6d"},
		{"1000", "1e3", "\uff11000", "1000.0", "1\u200b000"},
		{"bob  smith", "Bob smith", "bob\u2003smith", "bob \u200b smith"},
	} {
		for k := 1; k < len(spellings); k++ {
			in := `{"z":1,"d":"` + spellings[0] + `"}` + "\n" + `{"z":1,"d":"` + spellings[k] + `"}` + "\n"
			for _, config := range []string{
				`{"quasi":[{"field":"z"}],"k":2,"maxSuppressed":1,"sensitive":[{"field":"d","l":2}]}`,
				`{"quasi":[{"field":"z"}],"k":2,"maxSuppressed":1,"unit":{"field":"d"}}`,
			} {
				r, err := steptest.Run(t, kanon.New, config, jsonl, in, steptest.Env())
				if err != nil || r.Out != "" {
					t.Errorf("%q passes as two: %v", spellings[k], err)
				}
			}
		}
	}
	in := `{"z":1,"d":"sida"}` + "\n" + `{"z":1,"d":"sid\u00e1"}` + "\n" + `{"z":1,"d":"\u200b"}` + "\n"
	r, err := steptest.Run(t, kanon.New, `{"quasi":[{"field":"z"}],"k":3,"sensitive":[{"field":"d","l":2}]}`, jsonl, in, steptest.Env())
	if err != nil || r.Out != in {
		t.Errorf("two words: %q %v", r.Out, err)
	}
}

// task is what a dataset of rows is asked for. Rows have as many quasi-identifiers as quasi, as many sensitive values as l, and
// a contributor.
type task struct {
	quasi int
	l     []int
	k     int
	unit  bool
}

func (c task) config(share string) string {
	var quasi, sensitive []string
	for i := range c.quasi {
		quasi = append(quasi, fmt.Sprintf(`{"field":"q%d"}`, i))
	}
	for i, l := range c.l {
		sensitive = append(sensitive, fmt.Sprintf(`{"field":"s%d","l":%d}`, i, l))
	}
	s := fmt.Sprintf(`{"quasi":[%s],"k":%d,"maxSuppressed":%s`, strings.Join(quasi, ","), c.k, share)
	if len(sensitive) > 0 {
		s += fmt.Sprintf(`,"sensitive":[%s]`, strings.Join(sensitive, ","))
	}
	if c.unit {
		s += `,"unit":{"field":"u"}`
	}
	return s + "}"
}

// oracle compares every record with every other.
func (c task) oracle(rows [][]string) (kept [][]string, figures map[string]int64) {
	figures = map[string]int64{"k": 0, "classes": 0, "suppressed": 0}
	if len(c.l) > 0 {
		figures["l"] = 0
	}
	seen := map[string]bool{}
	for _, r := range rows {
		people, values := map[string]bool{}, make([]map[string]bool, len(c.l))
		for j := range values {
			values[j] = map[string]bool{}
		}
		for i, other := range rows {
			if !reflect.DeepEqual(r[:c.quasi], other[:c.quasi]) {
				continue
			}
			who := fmt.Sprint(i)
			if c.unit {
				who = other[len(other)-1]
			}
			people[who] = true
			for j := range values {
				if v := other[c.quasi+j]; v != "" {
					values[j][v] = true
				}
			}
		}
		ok := len(people) >= c.k
		for j, l := range c.l {
			ok = ok && len(values[j]) >= l
		}
		if !ok {
			figures["suppressed"]++
			continue
		}
		kept = append(kept, r)
		if class := strings.Join(r[:c.quasi], "\x00"); !seen[class] {
			seen[class] = true
			figures["classes"]++
		}
		least := func(name string, n int) {
			if figures[name] == 0 || int64(n) < figures[name] {
				figures[name] = int64(n)
			}
		}
		least("k", len(people))
		for j := range values {
			least("l", len(values[j]))
		}
	}
	return kept, figures
}

func header(c task) string {
	var h []string
	for i := range c.quasi {
		h = append(h, fmt.Sprintf("q%d", i))
	}
	for i := range c.l {
		h = append(h, fmt.Sprintf("s%d", i))
	}
	return strings.Join(append(h, "u"), ",") + "\n"
}

func text(c task, rows [][]string) string {
	s := header(c)
	for _, r := range rows {
		s += strings.Join(r, ",") + "\n"
	}
	return s
}

func TestAgainstOracle(t *testing.T) {
	r := rand.New(rand.NewChaCha8([32]byte{1}))
	kept := 0
	for range 400 {
		c := task{quasi: 1 + r.IntN(3), k: 2 + r.IntN(4), unit: r.IntN(2) == 0}
		for range r.IntN(3) {
			c.l = append(c.l, 2+r.IntN(2))
		}
		rows := make([][]string, r.IntN(80))
		for i := range rows {
			for range c.quasi {
				rows[i] = append(rows[i], string(rune('a'+r.IntN(3))))
			}
			for range c.l {
				rows[i] = append(rows[i], []string{"", "x", "y", "z"}[r.IntN(4)])
			}
			rows[i] = append(rows[i], fmt.Sprint("p", r.IntN(10)))
		}
		want, figures := c.oracle(rows)
		got, err := steptest.Run(t, kanon.New, c.config("1"), csv, text(c, rows), steptest.Env())
		if err != nil {
			t.Fatal(err)
		}
		if got.Out != text(c, want) || !reflect.DeepEqual(got.Figures, figures) {
			t.Fatalf("%+v\n%s\nbecame\n%s%v, want\n%s%v", c, text(c, rows), got.Out, got.Figures, text(c, want), figures)
		}
		kept += len(want)
		// As many as went may go, and not one fewer.
		if n := figures["suppressed"]; n > 0 {
			share := func(n int64) string {
				millionths := (n*1_000_000 + int64(len(rows)) - 1) / int64(len(rows))
				return fmt.Sprintf("%d.%06d", millionths/1_000_000, millionths%1_000_000)
			}
			_, err := steptest.Run(t, kanon.New, c.config(share(n)), csv, text(c, rows), steptest.Env())
			if err != nil {
				t.Errorf("%d of %d: %v", n, len(rows), err)
			}
			if _, err = steptest.Run(t, kanon.New, c.config(share(n-1)), csv, text(c, rows), steptest.Env()); !errors.Is(err, kanon.ErrSuppressed) {
				t.Errorf("%d of %d where %d may go: %v", n, len(rows), n-1, err)
			}
		}
	}
	if kept < 1000 {
		t.Errorf("only %d records passed: the test saw little", kept)
	}
}

// TestHouseVotes takes real records: the votes of 435 members of a house, of which some are alone with what others know of them.
func TestHouseVotes(t *testing.T) {
	cmd := exec.Command("go", "mod", "download", "-json", "github.com/sjwhitworth/golearn@v0.0.0-20221228163002-74ae077eafb2")
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil {
		t.Skipf("the Go module golearn, which carries the records, is not in the module cache and cannot be downloaded: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(module.Dir, "examples/datasets/house-votes-84.csv"))
	if err != nil {
		t.Skip(err)
	}
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(b), "\r", "")), "\n")
	// Columns: v16, v1 to v15, party. What others know: v1 to v5; what they must not learn: the party.
	c := task{quasi: 5, k: 5, l: []int{2}}
	rows := [][]string{}
	for i, line := range lines[1:] {
		f := strings.Split(line, ",")
		rows = append(rows, append(append([]string{}, f[1:6]...), f[16], fmt.Sprint(i)))
	}
	if len(rows) != 435 {
		t.Fatalf("%d records", len(rows))
	}
	want, figures := c.oracle(rows)
	got, err := steptest.Run(t, kanon.New, c.config("1"), csv, text(c, rows), steptest.Env())
	if err != nil || got.Out != text(c, want) || !reflect.DeepEqual(got.Figures, figures) {
		t.Fatalf("%v, %v, want %v", err, got.Figures, figures)
	}
	if figures["suppressed"] == 0 || figures["k"] < 5 || figures["l"] < 2 || len(want) == 0 {
		t.Errorf("nothing to see: %v", figures)
	}
	t.Logf("435 records, k 5 and l 2 asked for: %v", figures)
}

func TestSpelling(t *testing.T) {
	// Sensitive values and contributors that are one in truth count once; quasi-identifiers are taken as they stand.
	config := `{"quasi":[{"field":"q"}],"k":2,"sensitive":[{"field":"s","l":2}],"unit":{"field":"u"},"maxSuppressed":1}`
	for in, passes := range map[string]bool{
		`{"q":1,"s":"flu","u":"a"} {"q":1,"s":"Flu ","u":"b"}`:                false,
		`{"q":1,"s":1,"u":"a"} {"q":1,"s":"1.0","u":"b"}`:                     false,
		`{"q":1,"s":"flu","u":"a"} {"q":1,"s":"cold","u":"A"}`:                false,
		`{"q":1,"s":"flu","u":"a"} {"q":"1","s":"cold","u":"b"}`:              false,
		`{"q":1,"s":"flu","u":"a"} {"q":1,"s":null,"u":"b"}`:                  false,
		`{"q":1,"s":"flu","u":"a"} {"s":"cold","u":"b"}`:                      false,
		`{"q":1,"s":["flu"],"u":"a"} {"q":1,"s":["cold"],"u":"b"}`:            false,
		`{"q":1,"s":"flu","u":"a"} {"q":1,"s":"cold"}`:                        false,
		`{"q":1,"s":"flu","u":"a"} {"q":1,"s":"cold","s":"x","u":"b"}`:        false,
		`{"q":1,"s":"flu","u":"a"} {"q":1,"s":"cold","u":"b"}`:                true,
		`{"q":null,"s":"flu","u":"a"} {"q":null,"s":"cold","u":"b"}`:          true,
		`{"q":1,"q":2,"s":"flu","u":"a"} {"q":1,"q":2,"s":"cold","u":"b"}`:    true,
		`{"q":1,"q":2,"s":"flu","u":"a"} {"q":1,"s":"cold","u":"b"}`:          false,
		`{"q":"ab","s":"flu","u":"a"} {"q":"a","q":"b","s":"cold","u":"b"}`:   false,
		`{"q":1,"s":"flu","u":"a"} {"q":1,"s":"cold","u":"b","x":{"q":[1]}} `: true,
	} {
		r, err := steptest.Run(t, kanon.New, config, jsonl, strings.ReplaceAll(strings.TrimSpace(in), "} {", "}\n{")+"\n", steptest.Env())
		if err != nil || (r.Report.RecordsOut == 2) != passes || !passes && r.Report.RecordsOut != 0 {
			t.Errorf("%s: %d passed, %v", in, r.Report.RecordsOut, err)
		}
	}
}

func TestEmpty(t *testing.T) {
	r, err := steptest.Run(t, kanon.New, `{"quasi":[{"field":"q"}],"k":2}`, csv, "q\n", steptest.Env())
	if err != nil || r.Out != "q\n" || r.Figures["k"] != 0 {
		t.Errorf("%q, %v, %v", r.Out, r.Figures, err)
	}
}

func TestBadConfigurations(t *testing.T) {
	for _, config := range []string{
		`{}`, `{"quasi":[],"k":2}`, `{"quasi":[{"field":"a"}]}`, `{"quasi":[{"field":"a"}],"k":1}`, `{"quasi":[{"field":"a"}],"k":-2}`, `{"quasi":[{"field":"a"}],"k":2.5}`,
		`{"quasi":[{"field":"a"}],"k":9000000000000000}`, `{"quasi":[{"field":"a"},{"field":"a"}],"k":2}`, `{"quasi":[{"field":"a"}],"k":2,"sensitive":[]}`,
		`{"quasi":[{"field":"a"}],"k":2,"sensitive":[{"field":"b"}]}`, `{"quasi":[{"field":"a"}],"k":2,"sensitive":[{"field":"b","l":1}]}`,
		`{"quasi":[{"field":"a"}],"k":2,"sensitive":[{"field":"a","l":2}]}`, `{"quasi":[{"field":"a"}],"k":2,"maxSuppressed":1.1}`,
		`{"quasi":[{"field":"a"}],"k":2,"maxSuppressed":-0.1}`, `{"quasi":[{"field":"a"}],"k":2,"maxSuppressed":0.12345678}`, `{"quasi":[{"field":"a"}],"k":2,"maxSuppressed":"0.1"}`,
		`{"quasi":[{"field":"a"}],"k":2,"t":1}`, `{"quasi":["a"],"k":2}`, `{"quasi":[{"field":"a"}],"k":2,"unit":{"field":"b","optional":true}}`,
		`{"quasi":[{"field":"nope"}],"k":2}`, `{"quasi":[{"field":"a"}],"k":2,"unit":{"field":"a"}}`,
	} {
		if _, err := steptest.Run(t, kanon.New, config, csv, "a,b\n1,2\n", steptest.Env()); !errors.Is(err, transforms.ErrConfig) {
			t.Errorf("%s: %v", config, err)
		}
	}
	if _, err := steptest.Run(t, kanon.New, `{"quasi":[{"field":"a"}],"k":2}`, csv, "a,b\n1,2\n", nil); !errors.Is(err, transforms.ErrEnv) {
		t.Errorf("without random bytes: %v", err)
	}
	if _, err := steptest.Run(t, kanon.New, `{"quasi":[{"field":"a"}],"k":2}`, csv, "a,b\n1,2\n", steptest.Env()); !errors.Is(err, kanon.ErrSuppressed) {
		t.Errorf("more than none: %v", err)
	}
	// More values than there are: all go.
	r, err := steptest.Run(t, kanon.New, `{"quasi":[{"field":"a"}],"k":2,"sensitive":[{"field":"b","l":9}],"maxSuppressed":1}`, csv, "a,b\n1,2\n1,3\n", steptest.Env())
	if err != nil || r.Report.RecordsOut != 0 || r.Figures["suppressed"] != 2 {
		t.Errorf("l above the values there are: %v, %v", r.Figures, err)
	}
}

// spool gives other records back than it was given.
type spool []string

func (spool) Add(transforms.Item) error { return nil }

func (s spool) Each(f func(transforms.Item) error) error {
	for _, raw := range s {
		if err := f(transforms.Item{Raw: []byte(raw)}); err != nil {
			return err
		}
	}
	return nil
}

func (spool) Close() error { return nil }

// TestOtherRecords: what passes must be what was surveyed.
func TestOtherRecords(t *testing.T) {
	for again, ok := range map[string]bool{"1 1 2": true, "2 1 1": true, "1 1 3": false, "1": false, "": false, "1 1 1": false} {
		env := steptest.Env()
		env.Spool = func() (transforms.Spool, error) { return spool(strings.Fields(again)), nil }
		_, err := steptest.Run(t, kanon.New, `{"quasi":[{"field":"a"}],"k":2,"maxSuppressed":1}`, csv, "a\n1\n1\n2\n", env)
		if ok != (err == nil) || !ok && !errors.Is(err, kanon.ErrRecount) {
			t.Errorf("%q: %v", again, err)
		}
	}
}

func BenchmarkKAnon(b *testing.B) {
	r := rand.New(rand.NewChaCha8([32]byte{1}))
	var in strings.Builder
	in.WriteString("zip,age,sex,ill,who\n")
	for i := range 50_000 {
		fmt.Fprintf(&in, "%05d,%d,%c,d%d,p%d\n", r.IntN(100)*1000, r.IntN(9)*10, "mf"[r.IntN(2)], r.IntN(20), i)
	}
	for b.Loop() {
		b.SetBytes(int64(in.Len()))
		if _, err := steptest.Run(b, kanon.New, `{"quasi":[{"field":"zip"},{"field":"age"},{"field":"sex"}],"k":5,"sensitive":[{"field":"ill","l":2}],"unit":{"field":"who"},"maxSuppressed":1}`,
			csv, in.String(), steptest.Env()); err != nil {
			b.Fatal(err)
		}
	}
}
