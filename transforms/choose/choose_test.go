// SPDX-License-Identifier: Apache-2.0

package choose_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/choose"
)

type keys struct{ name string }

func (k keys) Dataset(label string) [32]byte { return envelope.Hash(k.name, []byte(label)) }
func (k keys) Grant(label string) [32]byte   { return envelope.Hash(k.name+"grant", []byte(label)) }

func maker(s *dataset.Step, in transforms.Schema, env *transforms.Env) (transforms.Step, error) {
	switch s.Name {
	case "filter":
		return choose.NewFilter(s.Config, in, env)
	case "sample":
		return choose.NewSample(s.Config, in, env)
	default:
		return choose.NewDeduplicate(s.Config, in, env)
	}
}

// run takes a dataset through one step and gives the lines that are left.
func run(t testing.TB, f dataset.Format, name, config, text string) ([]string, *transforms.Pipeline, error) {
	t.Helper()
	src, err := transforms.NewSource(strings.NewReader(text), f)
	if err != nil {
		t.Fatal(err)
	}
	return runSource(t, src, name, config, keys{"a"})
}

func runSource(t testing.TB, src transforms.Source, name, config string, k transforms.Keys) (out []string, p *transforms.Pipeline, err error) {
	t.Helper()
	steps := []dataset.Step{{Name: name, Digest: envelope.Digest{1}, Config: []byte(config)}}
	p, err = transforms.New(t.Context(), steps, src.Schema(), maker, &transforms.Env{Keys: k})
	if err != nil {
		return nil, nil, err
	}
	t.Cleanup(func() { _ = p.Close() })
	err = p.Run(t.Context(), src, func(it transforms.Item) error {
		out = append(out, it.Name+string(it.Raw))
		return nil
	})
	return out, p, err
}

const people = "id,age,country,consent,text\n" +
	"1,17,DE,research;training,Das ist ein kurzer Text und er ist nicht lang\n" +
	"2,44,AT,training,This is the text that was written for the test\n" +
	"3,,DE,research ; marketing,\n" +
	"4,65,FR,,Le texte que nous avons écrit pour le test\n" +
	"5,1e1,de,research,12345\n"

func TestFilter(t *testing.T) {
	for config, want := range map[string]string{
		`{"where":[{"equals":"DE","field":"country"}]}`:                                   "1 3",
		`{"where":[{"field":"country","in":["DE","AT"],"not":true}]}`:                     "4 5",
		`{"where":[{"field":"age","range":{"max":44}}]}`:                                  "1 2 5",
		`{"where":[{"field":"age","range":{"max":65,"min":18}}]}`:                         "2 4",
		`{"where":[{"field":"age","not":true,"range":{"min":18}}]}`:                       "1 5",
		`{"where":[{"field":"country","range":{"max":"E","min":"B"}}]}`:                   "1 3",
		`{"consent":{"field":"consent","scopes":["research"]}}`:                           "1 3 5",
		`{"consent":{"field":"consent","scopes":["research","training"]}}`:                "1",
		`{"consent":{"field":"consent","scopes":["rese"]}}`:                               "",
		`{"length":{"field":"text","max":9}}`:                                             "3 5",
		`{"length":{"min":50}}`:                                                           "1 2",
		`{"language":{"fields":["text"],"in":["de","fr"]}}`:                               "1 4",
		`{"language":{"fields":["text"],"in":["en"],"unknown":"keep"}}`:                   "2 3 5",
		`{"length":{"field":"text","min":1},"where":[{"equals":"DE","field":"country"}]}`: "1",
	} {
		out, _, err := run(t, dataset.FormatCSV, "filter", config, people)
		if err != nil {
			t.Errorf("%s: %v", config, err)
		}
		if got := ids(out); got != want {
			t.Errorf("%s kept %q, want %q", config, got, want)
		}
	}
}

func ids(lines []string) string {
	out := make([]string, 0, len(lines))
	for _, l := range lines {
		id, _, _ := strings.Cut(l, ",")
		out = append(out, id)
	}
	return strings.Join(out, " ")
}

func TestFilterJSON(t *testing.T) {
	const text = `{"n":1,"purposes":["research","care"],"label":"ham"}` + "\n" + `{"n":2,"purposes":[],"label":null}` + "\n" + `{"n":3,"purposes":"research"}` + "\n"
	for config, want := range map[string]int{
		`{"consent":{"field":"purposes[]","scopes":["care","research"]}}`: 1,
		`{"consent":{"field":"purposes","scopes":["research"]}}`:          2,
		`{"where":[{"exists":true,"field":"label"}]}`:                     1,
		`{"where":[{"exists":false,"field":"label"}]}`:                    2,
		`{"where":[{"field":"n","range":{"min":2}}]}`:                     2,
		`{"where":[{"equals":"x","field":"label","not":true}]}`:           1,
	} {
		if out, _, err := run(t, dataset.FormatJSONL, "filter", config, text); err != nil || len(out) != want {
			t.Errorf("%s: %v, %v, want %d", config, out, err, want)
		}
	}
}

// TestFilterThatCannotTell: what a condition cannot read does not hold, turned round or not.
func TestFilterThatCannotTell(t *testing.T) {
	long := strings.Repeat("0", 70)
	for _, c := range []struct {
		where string
		in    []string
		want  string // numbers of the records that stay
	}{
		{
			`{"exists":false,"field":"optout"}`,
			[]string{`{"optout":"2024"}`, `{"optout":{"date":"2024"}}`, `{"optout":["2024"]}`, `{"optout":[]}`, `[{"optout":1}]`, `{"optout":null}`, `{}`, `7`, `[]`},
			"5 6 8",
		},
		{
			`{"exists":true,"field":"optin"}`,
			[]string{`{"optin":"2024"}`, `{"optin":{"date":"2024"}}`, `{"optin":["2024"]}`, `{"optin":null}`, `{}`, `7`},
			"0 1 2",
		},
		{`{"exists":false,"field":"a.b"}`, []string{`{"a":"x"}`, `{"a":[{"b":1}]}`, `{"a":{"c":1}}`, `{"a":null}`}, "2 3"},
		{`{"exists":false,"field":"a[]"}`, []string{`{"a":[]}`, `{"a":[1]}`, `{"a":1}`, `{"a":{}}`, `{"a":[[]]}`}, "0"},
		{
			`{"field":"age","not":true,"range":{"max":17}}`,
			[]string{`{"age":17}`, `{"age":"17 years"}`, `{"age":17.` + long + `}`, `{"age":18}`, `{"age":"18"}`, `{"age":true}`, `{"age":[20]}`, `{"age":20,"age":"x"}`, `{"age":0.018e3}`},
			"3 4 8",
		},
		{`{"field":"age","range":{"min":17}}`, []string{`{"age":17}`, `{"age":"17 years"}`, `{"age":17.` + long + `}`, `{"age":16}`}, "0 2"},
		{`{"equals":"secret","field":"label","not":true}`, []string{`{"label":["secret"],"label":"x"}`, `{"label":"x"}`, `{"label":{"v":"secret"}}`}, "1"},
		{`{"equals":"secret","field":"label[]","not":true}`, []string{`{"label":["x",["secret"]]}`, `{"label":["x",{"v":"secret"}]}`, `{"label":["x"]}`, `{"label":["x","secret"]}`}, "2"},
		{`{"field":"age","range":{"min":18}}`, []string{`{"age":18,"age":17}`, `{"age":18}`}, "1"},
		{`{"equals":"17","field":"n","not":true}`, []string{`{"n":17.0}`, `{"n":"17.0"}`, `{"n":1.7e1}`}, "1"},
		{`{"field":"d","not":true,"range":{"max":"2020"}}`, []string{`{"d":2019}`, `{"d":"2019"}`, `{"d":"2021"}`}, "2"},
	} {
		var kept []string
		for i, in := range c.in {
			out, _, err := run(t, dataset.FormatJSONL, "filter", `{"where":[`+c.where+`]}`, in+"\n")
			if err != nil {
				t.Fatalf("%s %s: %v", c.where, in, err)
			}
			if len(out) > 0 {
				kept = append(kept, fmt.Sprint(i))
			}
		}
		if got := strings.Join(kept, " "); got != c.want {
			t.Errorf("%s kept %s, want %s", c.where, got, c.want)
		}
	}
}

// TestDeduplicateWithoutTheField: records that have none of the fields are not each other's doubles.
func TestDeduplicateWithoutTheField(t *testing.T) {
	out, p, err := run(t, dataset.FormatJSONL, "deduplicate", `{"fields":["id"]}`, `{"id":"a"}`+"\n"+`{"n":1}`+"\n"+`{"n":2}`+"\n"+`{"id":"a"}`+"\n")
	if err != nil || len(out) != 3 || p.Figures()["deduplicate.kept"] != 3 {
		t.Errorf("%q %v %v", out, p.Figures(), err)
	}
}

type files struct{ items []transforms.Item }

func (s *files) Schema() transforms.Schema { return transforms.Schema{Format: dataset.FormatFiles} }

func (s *files) Next() (transforms.Item, error) {
	if len(s.items) == 0 {
		return transforms.Item{}, io.EOF
	}
	it := s.items[0]
	s.items = s.items[1:]
	return it, nil
}

func TestFilterFiles(t *testing.T) {
	all := []transforms.Item{{Name: "ham/a.txt", Raw: []byte("the text of the mail is here and it was not long")}, {Name: "spam/b.bin", Raw: []byte("12")}, {Name: "c", Raw: nil}}
	for config, want := range map[string]int{
		`{"where":[{"equals":"ham","field":"folder"}]}`:     1,
		`{"where":[{"equals":".bin","field":"extension"}]}`: 1,
		`{"where":[{"exists":true,"field":"name"}]}`:        3,
		`{"length":{"min":1}}`:                              2,
		`{"language":{"fields":[""],"in":["en"]}}`:          1,
	} {
		if out, _, err := runSource(t, &files{all}, "filter", config, keys{"a"}); err != nil || len(out) != want {
			t.Errorf("%s: %v, %v, want %d", config, out, err, want)
		}
	}
	if _, _, err := runSource(t, &files{all}, "filter", `{"where":[{"exists":true,"field":"size"}]}`, keys{"a"}); !errors.Is(err, transforms.ErrConfig) {
		t.Errorf("a field that no file has: %v", err)
	}
}

func TestWrongConfigurations(t *testing.T) {
	for config, name := range map[string]string{
		`{}`:                          "filter",
		`{"wher":1}`:                  "filter",
		`{"where":[{"field":"age"}]}`: "filter",
		`{"where":[{"equals":"a","field":"age","in":["b"]}]}`:           "filter",
		`{"where":[{"exists":true,"field":"age","not":true}]}`:          "filter",
		`{"where":[{"field":"age","range":{}}]}`:                        "filter",
		`{"where":[{"field":"age","range":{"max":"a","min":1}}]}`:       "filter",
		`{"where":[{"field":"age","range":{"max":null}}]}`:              "filter",
		`{"where":[{"equals":"1","field":"size"}]}`:                     "filter",
		`{"consent":{"field":"consent","scopes":[]}}`:                   "filter",
		`{"length":{"max":1,"min":2}}`:                                  "filter",
		`{"language":{"fields":["text"],"in":["xx"]}}`:                  "filter",
		`{"language":{"fields":["text"],"in":["en"],"unknown":"pass"}}`: "filter",
		`{"fraction":"0"}`:                        "sample",
		`{"fraction":"9/8"}`:                      "sample",
		`{"fraction":"-1"}`:                       "sample",
		`{"fraction":".5"}`:                       "sample",
		`{"by":"nobody","fraction":"1/2"}`:        "sample",
		`{"near":{"threshold":0.4}}`:              "deduplicate",
		`{"near":{"threshold":1.1}}`:              "deduplicate",
		`{"near":{}}`:                             "deduplicate",
		`{"near":{"shingle":99,"threshold":0.8}}`: "deduplicate",
		`{"maxRecords":-1}`:                       "deduplicate",
		`{"fields":["nobody"]}`:                   "deduplicate",
	} {
		if _, _, err := run(t, dataset.FormatCSV, name, config, people); !errors.Is(err, transforms.ErrConfig) {
			t.Errorf("%s %s: %v", name, config, err)
		}
	}
	if _, err := choose.NewSample([]byte(`{"fraction":"1/2"}`), transforms.Schema{}, nil); !errors.Is(err, transforms.ErrEnv) {
		t.Errorf("no keys: %v", err)
	}
}

func TestSample(t *testing.T) {
	var b strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&b, `{"id":%d,"patient":"p%d"}`+"\n", i, i/4)
	}
	sample := func(config, text string, k keys) []string {
		src, err := transforms.NewSource(strings.NewReader(text), dataset.FormatJSONL)
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := runSource(t, src, "sample", config, k)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	all := sample(`{"fraction":"1/8"}`, b.String(), keys{"a"})
	if len(all) < 2500-200 || len(all) > 2500+200 { // four standard deviations
		t.Errorf("%d of 20000 for 1/8", len(all))
	}
	// A record is in whatever else is there, and under a larger fraction too.
	half := sample(`{"fraction":"0.125"}`, b.String()[:strings.LastIndex(b.String()[:b.Len()/2], "\n")+1], keys{"a"})
	if strings.Join(half[:1000], "") != strings.Join(all[:1000], "") {
		t.Error("the choice depends on the other records")
	}
	in := map[string]bool{}
	for _, l := range sample(`{"fraction":"0.25"}`, b.String(), keys{"a"}) {
		in[l] = true
	}
	for _, l := range all {
		if !in[l] {
			t.Fatal("a smaller sample is not part of the larger one")
		}
	}
	if other := sample(`{"fraction":"1/8"}`, b.String(), keys{"b"}); strings.Join(other, "") == strings.Join(all, "") {
		t.Error("another key chose the same")
	}
	if n := len(sample(`{"fraction":"1"}`, b.String(), keys{"a"})); n != 20000 {
		t.Errorf("%d of 20000 for 1", n)
	}
	patients := map[string]int{}
	for _, l := range sample(`{"by":"patient","fraction":"1/2","seed":"2026"}`, b.String(), keys{"a"}) {
		_, p, _ := strings.Cut(l, "patient")
		patients[p]++
	}
	for _, n := range patients {
		if n != 4 {
			t.Fatal("a patient's records were parted")
		}
	}
	src, _ := transforms.NewSource(strings.NewReader("{\"patient\":null}\n"), dataset.FormatJSONL)
	if _, p, err := runSource(t, src, "sample", `{"by":"patient","fraction":"1"}`, keys{"a"}); err != nil || len(p.Reports()[0].Quarantined) != 1 {
		t.Errorf("a record without the field: %v", err)
	}
}

func TestDeduplicate(t *testing.T) {
	long := "the quick brown fox jumps over the lazy dog while seven other animals watch from behind the old wooden fence near our barn"
	text := "id,text\n1," + long + "\n2," + strings.ToUpper(long) + "!\n3," + strings.Replace(long, "seven", "eight", 1) + "\n4,something else altogether\n5," +
		"\n6,\n7,東京都に住んでいます\n8,東京都に 住んでいます。\n9,e\u0301te\u0301\n"
	for config, want := range map[string]string{
		`{"fields":["text"]}`: "1 3 4 5 7 9",
		`{"fields":["text"],"near":{"shingle":1,"threshold":0.8}}`: "1 4 5 7 9",
		`{"fields":["text"],"near":{"threshold":1}}`:               "1 3 4 5 7 9",
		`{}`: "1 2 3 4 5 6 7 8 9",
	} {
		out, p, err := run(t, dataset.FormatCSV, "deduplicate", config, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := ids(out); got != want {
			t.Errorf("%s kept %q, want %q", config, got, want)
		}
		f := p.Figures()
		if f["deduplicate.kept"] != int64(len(out)) || f["deduplicate.kept"]+f["deduplicate.exact"]+f["deduplicate.near"] != 9 {
			t.Errorf("%s: figures %v", config, f)
		}
	}
	if _, _, err := run(t, dataset.FormatCSV, "deduplicate", `{"maxRecords":2}`, text); !errors.Is(err, transforms.ErrConfig) || !strings.Contains(err.Error(), "raise maxRecords") {
		t.Errorf("more records than memory: %v", err)
	}
}

// FuzzFilter: whatever the configuration and record, what is kept is what came.
func FuzzFilter(f *testing.F) {
	f.Add(`{"where":[{"field":"a","range":{"min":1}}]}`, `{"a":"2"}`)
	f.Add(`{"language":{"fields":["a"],"in":["en"]}}`, `{"a":"the text is in that language"}`)
	f.Add(`{"consent":{"field":"a[]","scopes":["x"],"separator":""}}`, `{"a":["x"]}`)
	f.Add(`{"length":{"min":1}}`, `{"a":"\u00e9"}`)
	f.Fuzz(func(t *testing.T, config, line string) {
		s, err := choose.NewFilter([]byte(config), transforms.Schema{}, nil)
		if err != nil {
			return
		}
		var r transforms.Record
		if transforms.NewCodec(transforms.Schema{Format: dataset.FormatJSONL}).Parse(&r, "", []byte(line)) != nil {
			return
		}
		v, err := s.Transform(&r, nil)
		if err != nil || v != transforms.Keep && v != transforms.Drop || !bytes.Equal(r.Append(nil), []byte(line)) {
			t.Fatalf("%v, %v, %s", v, err, r.Append(nil))
		}
	})
}

func BenchmarkDeduplicate(b *testing.B) {
	line, _ := json.Marshal(map[string]string{"text": strings.Repeat("the quick brown fox jumps over the lazy dog ", 50)})
	s, err := choose.NewDeduplicate([]byte(`{"near":{"threshold":0.8}}`), transforms.Schema{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	var r transforms.Record
	if err := transforms.NewCodec(transforms.Schema{Format: dataset.FormatJSONL}).Parse(&r, "", line); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := s.Transform(&r, nil); err != nil {
			b.Fatal(err)
		}
	}
}
