// SPDX-License-Identifier: Apache-2.0

package tabular_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/ff1"
	"github.com/glovebox-dev/glovebox/transforms/steptest"
	"github.com/glovebox-dev/glovebox/transforms/tabular"
)

const (
	csv   = dataset.FormatCSV
	jsonl = dataset.FormatJSONL
)

var constructors = map[string]steptest.Constructor{
	"drop": tabular.NewDrop, "keep": tabular.NewKeep, "rename": tabular.NewRename, "generalise": tabular.NewGeneralise, "code": tabular.NewCode,
	"suppress": tabular.NewSuppress, "fpe": tabular.NewFPE, "tokenise": tabular.NewTokenise,
}

func run(t testing.TB, step, config string, f dataset.Format, in string) steptest.Result {
	t.Helper()
	r, err := steptest.Run(t, constructors[step], config, f, in, steptest.Env())
	if err != nil {
		t.Fatalf("%s %s: %v", step, config, err)
	}
	return r
}

// TestAnotherShapeIsNoWayOut: arrays and objects that a configuration does not name are no way around it. want is what is left of
// each record; "-" stands for one that is quarantined.
func TestAnotherShapeIsNoWayOut(t *testing.T) {
	records := map[string][]string{
		"user.ssn":    {`{"user":[{"ssn":"219-09-9999"}]}`, `[{"user":{"ssn":"219-09-9999"}}]`, `{"user":[[{"ssn":"219-09-9999"}]]}`, `{"user":"219-09-9999"}`, `{"user":["219-09-9999"]}`, `["219-09-9999"]`, `"219-09-9999"`},
		"items[].ssn": {`{"items":{"ssn":"219-09-9999"}}`, `{"items":[[{"ssn":"219-09-9999"}]]}`, `{"items":[{"ssn":["219-09-9999"]}]}`, `{"items":[{"ssn":{"v":"219-09-9999"}}]}`},
		"ssn":         {`[{"ssn":"219-09-9999"}]`, `{"ssn":{"v":"219-09-9999"}}`, `{"ssn":["219-09-9999"]}`, `[{"ssn":{"v":["219-09-9999"]}}]`},
		"ssns[]":      {`{"ssns":"219-09-9999"}`, `{"ssns":{"v":"219-09-9999"}}`, `{"ssns":[["219-09-9999"]]}`, `{"ssns":[{"v":"219-09-9999"}]}`},
	}
	configs := map[string]string{
		"drop": "", "keep": "", "suppress": "", "rename": `,"to":"id"`, "tokenise": "", "fpe": "", "generalise": `,"prefix":1`, "code": `,"top":1,"otherwise":"suppress"`,
	}
	for field, list := range records {
		for _, in := range list {
			for step, more := range configs {
				if step == "rename" && strings.HasSuffix(field, "[]") {
					continue
				}
				r := run(t, step, `{"fields":[{"field":"`+field+`","optional":true`+more+`}]}`, jsonl, in+"\n")
				// keep passes what is below a name that it has; rename changes names alone.
				below := step == "keep" && strings.Contains(in, `"`+strings.TrimSuffix(field, "[]")+`":`) && in[0] == '{'
				if strings.Contains(r.Out, "219") && !below && !(step == "keep" && field == "items[].ssn") && !(step == "rename" && strings.Contains(r.Out, `"id"`)) {
					t.Errorf("%s %s: %s became %s", step, field, in, r.Out)
				}
			}
		}
	}
	// What was meant is no other shape.
	for step, want := range map[string]string{
		"drop":     `{"user":null,"items":[{"n":1}],"":"x"}`,
		"suppress": `{"user":null,"items":[{"ssn":null,"n":1}],"":"x"}`,
	} {
		r := run(t, step, `{"fields":[{"field":"user.ssn","optional":true},{"field":"items[].ssn"}]}`, jsonl, `{"user":null,"items":[{"ssn":"1","n":1}],"":"x"}`+"\n")
		if r.Out != want+"\n" {
			t.Errorf("%s: got %s, want %s", step, r.Out, want)
		}
	}
}

func TestSteps(t *testing.T) {
	for name, c := range map[string]struct {
		step, config string
		format       dataset.Format
		in, want     string
	}{
		"drop a column":  {"drop", `{"fields":[{"field":"b"}]}`, csv, "a,b,c\n1,2,3\n4,\"5,\n\",6\n", "a,c\n1,3\n4,6\n"},
		"drop a subtree": {"drop", `{"fields":[{"field":"b"},{"field":"x[].y"}]}`, jsonl, `{"a":1,"b":{"c":[2]},"\u0062":3,"x":[{"y":1,"z":2},{"y":{}}]}` + "\n", `{"a":1,"x":[{"z":2},{}]}` + "\n"},
		"keep columns":   {"keep", `{"fields":[{"field":"c"},{"field":"a"}]}`, csv, "a,b,c\n1,2,3\n", "a,c\n1,3\n"},
		"keep members":   {"keep", `{"fields":[{"field":"a.b"},{"field":"c[].d"},{"field":"e"}]}`, jsonl, "{\"a\":{\"b\":{\"x\":1},\"x\":2},\"c\":[{\"d\":3,\"x\":4},5],\"e\":[6],\"x\":7,\"a\":8}\n\"s\"\n", "{\"a\":{\"b\":{\"x\":1}},\"c\":[{\"d\":3}],\"e\":[6]}\n{}\n"},
		"rename columns": {"rename", `{"fields":[{"field":"a","to":"b"},{"field":"b","to":"a"}]}`, csv, "a,b\n1,2\n", "b,a\n1,2\n"},
		"rename members": {
			"rename", `{"fields":[{"field":"a","to":"b"},{"field":"b","to":"a"},{"field":"c.d","to":"e"}]}`, jsonl,
			`{"a":1,"b":2,"c":{"d":[3]},"a":4}` + "\n", `{"b":1,"a":2,"c":{"e":[3]},"b":4}` + "\n",
		},
		"name is taken":      {"rename", `{"fields":[{"field":"a","to":"b"}]}`, jsonl, "{\"a\":1,\"b\":{}}\n{\"a\":2}\n{\"b\":3}\n", "{\"b\":2}\n{\"b\":3}\n"},
		"widths":             {"generalise", `{"fields":[{"field":"a","width":10}]}`, csv, "a,b\n37,x\n-1,x\n40.0,x\n\"\",x\n1e18,x\nforty,x\n", "a,b\n\"[30,40)\",x\n\"[-10,0)\",x\n\"[40,50)\",x\n\"\",x\n"},
		"ranges":             {"generalise", `{"fields":[{"field":"a","ranges":[{"to":18},{"from":18,"to":65.5},{"from":65.5,"label":"old"}]}]}`, jsonl, "{\"a\":17.99}\n{\"a\":\"18\"}\n{\"a\":655e-1}\n{\"a\":true}\n{\"a\":null}\n{}\n", "{\"a\":\"<18\"}\n{\"a\":\"[18,65.5)\"}\n{\"a\":\"old\"}\n{\"a\":null}\n{}\n"},
		"groups":             {"generalise", `{"fields":[{"field":"a","ignoreCase":true,"groups":[{"name":"EU","values":["DE","fr"]}],"otherwise":"suppress"}]}`, csv, "a,b\nde,1\nFR,2\nUS,3\n", "a,b\nEU,1\nEU,2\n,3\n"},
		"prefix":             {"generalise", `{"fields":[{"field":"zip","prefix":3,"pad":"*"}]}`, csv, "zip,b\n12345,1\n12345-6789,2\n123,3\n12,4\néèàx,5\n", "zip,b\n123**,1\n123*******,2\néèà*,5\n"},
		"prefix of a number": {"generalise", `{"fields":[{"field":"zip","prefix":3}]}`, jsonl, `{"zip":12345}` + "\n", `{"zip":"123"}` + "\n"},
		"months":             {"generalise", `{"fields":[{"field":"d","date":{"keep":"month"}}]}`, csv, "d\n2024-02-29\n2023-02-29\n2024/5/3\n20240531\n2024-05-31T10:11:12Z\n2024-05-31x\n2024-05/31\nmay\n", "d\n2024-02\n2024-05\n2024-05\n2024-05\n"},
		"dmy":                {"generalise", `{"fields":[{"field":"d","date":{"keep":"year","order":"dmy"}}]}`, csv, "d\n31.12.1999\n12/31/1999\n1.2.0001\n", "d\n1999\n0001\n"},
		"mdy, quarters":      {"generalise", `{"fields":[{"field":"d","date":{"keep":"quarter","order":"mdy"}}]}`, csv, "d\n12/31/1999\n1-2-2003\n", "d\n1999-Q4\n2003-Q1\n"},
		"decades":            {"generalise", `{"fields":[{"field":"d","date":{"keep":"decade"}}]}`, csv, "d\n1987-06-05\n", "d\n1980s\n"},
		"top and bottom":     {"code", `{"fields":[{"field":"a","bottom":18,"top":90,"topLabel":"90+"}]}`, jsonl, "{\"a\":17.5}\n{\"a\":18}\n{\"a\":\"7\"}\n{\"a\":91}\n{\"a\":1e99}\n{\"a\":\"x\"}\n", "{\"a\":18}\n{\"a\":18}\n{\"a\":\"18\"}\n{\"a\":\"90+\"}\n{\"a\":\"90+\"}\n"},
		"suppress all":       {"suppress", `{"fields":[{"field":"a"}]}`, jsonl, "{\"a\":{\"b\":[1]},\"c\":2}\n{\"a\":\"x\",\"\\u0061\":[]}\n", "{\"a\":null,\"c\":2}\n{\"a\":null,\"\\u0061\":null}\n"},
		"suppress cells":     {"suppress", `{"fields":[{"field":"a","except":["red","blue"]},{"field":"b","above":10},{"field":"c","longer":3,"equals":["no"]}]}`, csv, "a,b,c\nred,9,yes\ngreen,11,no\nblue,x,yessss\n", "a,b,c\nred,9,yes\n,,\nblue,,\n"},
		"suppress an object whatever the condition": {"suppress", `{"fields":[{"field":"a","equals":["x"]}]}`, jsonl, "{\"a\":{\"b\":1}}\n{\"a\":\"y\"}\n", "{\"a\":null}\n{\"a\":\"y\"}\n"},
		"an object is quarantined":                  {"code", `{"fields":[{"field":"a","top":9}]}`, jsonl, "{\"a\":{}}\n{\"a\":[1]}\n{\"a\":1,\"a\":{}}\n{\"a\":3}\n", "{\"a\":3}\n"},
		"elements":                                  {"code", `{"fields":[{"field":"a[]","top":9}]}`, jsonl, "{\"a\":[1,10,\"11\",null]}\n{\"a\":[[1]]}\n", "{\"a\":[1,9,\"9\",null]}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := run(t, c.step, c.config, c.format, c.in); got.Out != c.want {
				t.Errorf("got\n%s\nwant\n%s", got.Out, c.want)
			}
		})
	}
}

func TestQuarantineSaysWhy(t *testing.T) {
	r := run(t, "fpe", `{"fields":[{"field":"a"}]}`, jsonl, "{\"a\":\"12345\"}\n{\"a\":\"123456 Smith\"}\n{\"a\":{}}\n{\"a\":1.5e30}\n{\"a\":true}\n{\"a\":123456}\n")
	want := map[string]int64{"too-short": 1, "character": 3, "not-scalar": 1}
	for _, c := range r.Report.Quarantined {
		if want[c.Name] != c.Count {
			t.Errorf("%s: %d", c.Name, c.Count)
		}
		delete(want, c.Name)
	}
	if len(want) > 0 || r.Report.RecordsOut != 1 {
		t.Errorf("not seen: %v; %d came out", want, r.Report.RecordsOut)
	}
}

func TestFPEIsFF1(t *testing.T) {
	const in = "card,tel\n4111-1111-1111-1111,+1 555 010 9999\n,\n"
	r := run(t, "fpe", `{"fields":[{"field":"card"},{"field":"tel","domain":"phones"}]}`, csv, in)
	lines := r.Lines()
	key := steptest.Keys("a").Dataset(tabular.FPEKey)
	c, err := ff1.NewText(key[:], ff1.Digits, "-+ ")
	if err != nil {
		t.Fatal(err)
	}
	cells := strings.Split(lines[1], ",")
	for i, want := range [][2]string{{"4111-1111-1111-1111", "card"}, {"+1 555 010 9999", "phones"}} {
		if got, err := c.Decrypt(nil, []byte(cells[i]), []byte(want[1])); err != nil || string(got) != want[0] || cells[i] == want[0] {
			t.Errorf("%s stands for %s, %v", cells[i], got, err)
		}
	}
	if lines[2] != "," {
		t.Errorf("empty cells became %q", lines[2])
	}
	again := run(t, "fpe", `{"fields":[{"field":"card"},{"field":"tel","domain":"phones"}],"scope":"grant"}`, csv, in)
	if again.Out == r.Out {
		t.Error("a grant has the dataset's key")
	}
}

func TestTokensJoin(t *testing.T) {
	const in = `{"a":"Ann@x.org","b":" ann@X.org","c":"ann@x.org","d":"ann@x.org","n":42,"m":"42","e":null,"f":"","g":"  "}` + "\n"
	r := run(t, "tokenise", `{"fields":[{"field":"a","domain":"p","trim":true,"ignoreCase":true},{"field":"b","domain":"p","trim":true,"ignoreCase":true},
		{"field":"c","domain":"p"},{"field":"d"},{"field":"n","domain":"i"},{"field":"m","domain":"i"},{"field":"e"},{"field":"f"},{"field":"g","trim":true}]}`, jsonl, in)
	var got map[string]any
	if err := json.Unmarshal([]byte(r.Out), &got); err != nil {
		t.Fatal(err)
	}
	if got["a"] != got["b"] || got["a"] != got["c"] || got["c"] == got["d"] || got["n"] != got["m"] || got["e"] != nil || got["f"] != "" || got["g"] != "  " {
		t.Errorf("tokens: %v", got)
	}
	if s, _ := got["a"].(string); len(s) != 26 || strings.Contains(r.Out, "ann") {
		t.Errorf("token %q", s)
	}
	for _, env := range []*transforms.Env{{Keys: steptest.Keys("b")}} {
		other, err := steptest.Run(t, tabular.NewTokenise, `{"fields":[{"field":"a"}]}`, jsonl, in, env)
		same := run(t, "tokenise", `{"fields":[{"field":"a"}]}`, jsonl, in)
		if err != nil || other.Out == same.Out {
			t.Errorf("another key makes the same tokens, %v", err)
		}
	}
	for name, c := range map[string]steptest.Constructor{"tokenise": tabular.NewTokenise, "fpe": tabular.NewFPE} {
		if _, err := steptest.Run(t, c, `{"fields":[{"field":"a"}]}`, jsonl, in, nil); !errors.Is(err, transforms.ErrEnv) {
			t.Errorf("%s without keys: %v", name, err)
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	for step, configs := range map[string][]string{
		"drop":   {`{}`, `{"fields":[]}`, `{"fields":["a"]}`, `{"fields":[{"field":"a"}],"x":1}`, `{"fields":[{"field":"a"},{"field":"a"}]}`, `{"fields":[{"field":""}]}`, `{"fields":[{"field":1}]}`, `{"fields":[{"field":"a","to":"b"}]}`},
		"rename": {`{"fields":[{"field":"a"}]}`, `{"fields":[{"field":"a","to":"x"},{"field":"b","to":"x"}]}`, `{"fields":[{"field":"a","to":"x\ny"}]}`, `{"fields":[{"field":"a","to":"b"}]}`, `{"fields":[{"field":"a","to":"` + strings.Repeat("x", 999) + `"}]}`},
		"generalise": {
			`{"fields":[{"field":"a"}]}`, `{"fields":[{"field":"a","width":1,"prefix":1}]}`, `{"fields":[{"field":"a","width":-5}]}`, `{"fields":[{"field":"a","width":1.5}]}`, `{"fields":[{"field":"a","width":9000000000000000}]}`,
			`{"fields":[{"field":"a","ranges":[]}]}`, `{"fields":[{"field":"a","ranges":[{}]}]}`, `{"fields":[{"field":"a","ranges":[{"from":1,"to":5},{"from":4,"to":9}]}]}`, `{"fields":[{"field":"a","ranges":[{"from":5,"to":9},{"from":1,"to":4}]}]}`,
			`{"fields":[{"field":"a","ranges":[{"from":5,"to":5}]}]}`, `{"fields":[{"field":"a","ranges":[{"from":5},{"from":6}]}]}`, `{"fields":[{"field":"a","ranges":[{"from":"5","to":7}]}]}`,
			`{"fields":[{"field":"a","groups":[]}]}`, `{"fields":[{"field":"a","groups":[{"name":"","values":["x"]}]}]}`, `{"fields":[{"field":"a","groups":[{"name":"g","values":[]}]}]}`,
			`{"fields":[{"field":"a","groups":[{"name":"g","values":["x"]},{"name":"h","values":["x"]}]}]}`, `{"fields":[{"field":"a","ignoreCase":true,"groups":[{"name":"g","values":["x","X"]}]}]}`,
			`{"fields":[{"field":"a","prefix":-1}]}`, `{"fields":[{"field":"a","prefix":65}]}`, `{"fields":[{"field":"a","prefix":3,"pad":"**"}]}`, `{"fields":[{"field":"a","width":3,"pad":"*"}]}`, `{"fields":[{"field":"a","width":3,"ignoreCase":true}]}`,
			`{"fields":[{"field":"a","date":{}}]}`, `{"fields":[{"field":"a","date":{"keep":"day"}}]}`, `{"fields":[{"field":"a","date":{"keep":"year","order":"ydm"}}]}`, `{"fields":[{"field":"a","width":3,"otherwise":"pass"}]}`,
		},
		"code":     {`{"fields":[{"field":"a"}]}`, `{"fields":[{"field":"a","bottom":9,"top":8}]}`, `{"fields":[{"field":"a","bottom":9,"topLabel":"x"}]}`, `{"fields":[{"field":"a","top":"9"}]}`, `{"fields":[{"field":"a","top":9,"otherwise":"keep"}]}`},
		"suppress": {`{"fields":[{"field":"a","equals":[]}]}`, `{"fields":[{"field":"a","except":[]}]}`, `{"fields":[{"field":"a","longer":-1}]}`, `{"fields":[{"field":"a","matches":"x"}]}`},
		"fpe":      {`{"fields":[{"field":"a","alphabet":"greek"}]}`, `{"fields":[{"field":"a","separators":"5"}]}`, `{"fields":[{"field":"a","separators":"é"}]}`, `{"fields":[{"field":"a"}],"scope":"world"}`, `{"fields":[{"field":"a","domain":"` + strings.Repeat("x", 257) + `"}]}`},
		"tokenise": {`{"fields":[]}`, `{"fields":[{"field":"a"}],"scope":""  ,"y":0}`, `{"fields":[{"field":"a"}],"scope":"b"}`},
	} {
		for _, config := range configs {
			if _, err := steptest.Run(t, constructors[step], config, csv, "a,b\n1,2\n", steptest.Env()); !errors.Is(err, transforms.ErrConfig) {
				t.Errorf("%s %.90s: %v", step, config, err)
			}
		}
	}
}

// TestMisspeltField: whatever the step, a name that is not there ends the run, unless it may be missing.
func TestMisspeltField(t *testing.T) {
	extra := map[string]string{"rename": `,"to":"z"`, "generalise": `,"width":5`, "code": `,"top":5`}
	for step, c := range constructors {
		for _, f := range []dataset.Format{csv, jsonl} {
			in := map[dataset.Format]string{csv: "ab,c\n1,2\n", jsonl: "{\"ab\":1,\"c\":2}\n"}[f]
			config := `{"fields":[{"field":"aB"` + extra[step] + `}]}`
			if _, err := steptest.Run(t, c, config, f, in, steptest.Env()); !errors.Is(err, transforms.ErrConfig) {
				t.Errorf("%s, %s: %v", step, f, err)
			}
			config = `{"fields":[{"field":"aB","optional":true` + extra[step] + `}]}`
			if r, err := steptest.Run(t, c, config, f, in, steptest.Env()); step != "keep" && (err != nil || r.Out != in) {
				t.Errorf("%s, %s, optional: %q, %v", step, f, r.Out, err)
			}
		}
	}
	if _, err := steptest.Run(t, tabular.NewKeep, `{"fields":[{"field":"b","optional":true}]}`, csv, "a\n1\n", nil); !errors.Is(err, transforms.ErrConfig) {
		t.Errorf("no column: %v", err)
	}
	if _, err := steptest.Run(t, tabular.NewDrop, `{"fields":[{"field":"a"}]}`, csv, "a\n1\n", nil); !errors.Is(err, transforms.ErrConfig) {
		t.Errorf("the last column: %v", err)
	}
	if _, err := steptest.Run(t, tabular.NewRename, `{"fields":[{"field":"a[]","to":"b"}]}`, jsonl, "{\"a\":[1]}\n", nil); !errors.Is(err, transforms.ErrConfig) {
		t.Errorf("renamed elements: %v", err)
	}
}

// FuzzNothingPasses: after each step that replaces values, no field that it names still has a secret.
func FuzzNothingPasses(f *testing.F) {
	for _, s := range []string{`{"a":"secret7Q"}`, `{"a":{"b":"secret7Q"}}`, `{"\u0061":["secret7Q"],"b":"x"}`, `{"a":"1234567","a":"secret7Q"}`, `{"a":{"a":{"secret7Q":1}}}`, `{"b":1}`} {
		f.Add(s)
	}
	steps := map[string]string{
		"drop": `{"fields":[{"field":"a","optional":true}]}`, "suppress": `{"fields":[{"field":"a","optional":true}]}`, "fpe": `{"fields":[{"field":"a","optional":true}]}`,
		"tokenise": `{"fields":[{"field":"a","optional":true}]}`, "generalise": `{"fields":[{"field":"a","width":1000000,"optional":true}]}`,
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var before struct{ A json.RawMessage }
		if len(raw) > 4096 || strings.ContainsAny(raw, "\r\n") || json.Unmarshal([]byte(raw), &before) != nil || !strings.Contains(raw, "secret7Q") {
			return
		}
		for step, config := range steps {
			r, err := steptest.Run(t, constructors[step], config, jsonl, raw+"\n", steptest.Env())
			if err != nil {
				continue
			}
			var after map[string]json.RawMessage
			if json.Unmarshal([]byte(r.Out), &after) == nil && strings.Contains(string(after["a"]), "secret7Q") {
				t.Errorf("%s: %s became %s", step, raw, r.Out)
			}
		}
	})
}

func BenchmarkSteps(b *testing.B) {
	in := "card,age,zip,id\n" + strings.Repeat("4111-1111-1111-1111,43,12345,ann@example.org\n", 10_000)
	for step, config := range map[string]string{
		"drop": `{"fields":[{"field":"id"}]}`, "generalise": `{"fields":[{"field":"age","width":10},{"field":"zip","prefix":3}]}`,
		"code": `{"fields":[{"field":"age","top":40}]}`, "fpe": `{"fields":[{"field":"card"}]}`, "tokenise": `{"fields":[{"field":"id"}]}`,
	} {
		b.Run(step, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				run(b, step, config, csv, in)
			}
		})
	}
}
