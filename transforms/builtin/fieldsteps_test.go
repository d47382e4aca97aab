// SPDX-License-Identifier: Apache-2.0

package builtin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
	"github.com/glovebox-dev/glovebox/transforms/steptest"
)

// people are made records, the same in CSV and in JSON.
func people(f dataset.Format) string {
	r := rand.New(rand.NewChaCha8([32]byte{1}))
	var b strings.Builder
	if f == dataset.FormatCSV {
		b.WriteString("id,name,card,zip,age,joined,ill\n")
	}
	for i := range 60 {
		id, card, zip, age := i/2, 4111111100000000+r.Int64N(99999999), 10000+r.IntN(3)*1000, 20+r.IntN(60)
		date, ill := fmt.Sprintf("2024-%02d-%02d", 1+r.IntN(12), 1+r.IntN(28)), []string{"flu", "cold", "none"}[r.IntN(3)]
		if f == dataset.FormatCSV {
			fmt.Fprintf(&b, "%d,\"Name, %d\",%d,%d,%d,%s,%s\n", id, i, card, zip, age, date, ill)
		} else {
			fmt.Fprintf(&b, `{"id":%d,"name":{"last":"Name %d"},"card":"%d","zip":"%d","age":%d,"joined":"%s","ill":"%s"}`+"\n", id, i, card, zip, age, date, ill)
		}
	}
	return b.String()
}

func through(t *testing.T, f dataset.Format, steps ...dataset.Step) (out string, figures map[string]int64) {
	t.Helper()
	src, err := transforms.NewSource(strings.NewReader(people(f)), f)
	if err != nil {
		t.Fatal(err)
	}
	env := steptest.Env()
	env.Approximate = true
	p, err := transforms.New(context.Background(), steps, src.Schema(), builtin.New, env)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	var b bytes.Buffer
	w := transforms.NewWriter(&b, p.Out())
	if err := p.Run(context.Background(), src, w.Write); err != nil {
		t.Fatal(err)
	}
	return b.String(), p.Figures()
}

func pin(t *testing.T, name, config string) dataset.Step {
	t.Helper()
	s, err := builtin.Pin(name, json.RawMessage(config))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// fieldSteps are the steps on fields with a configuration, what they spend, and the digest of what they make of people in CSV and in
// JSON. A digest that changes is a method that changed: its version must change too.
var fieldSteps = []struct {
	name, config string
	epsilon      int64
	golden       string
}{
	{"drop", `{"fields":[{"field":"name"}]}`, 0, "af38c0e702ef8268"},
	{"keep", `{"fields":[{"field":"id"},{"field":"ill"}]}`, 0, "66a817bb0bafb3fc"},
	{"rename", `{"fields":[{"field":"ill","to":"illness"}]}`, 0, "11fe5c098da0b8fe"},
	{"generalise", `{"fields":[{"field":"zip","prefix":3},{"field":"age","width":20},{"field":"joined","date":{"keep":"quarter"}}]}`, 0, "eeb92e527340ff9a"},
	{"code", `{"fields":[{"field":"age","bottom":30,"top":65,"topLabel":"old"}]}`, 0, "b7f93eaed922440a"},
	{"suppress", `{"fields":[{"field":"name"},{"field":"ill","except":["none"]}]}`, 0, "fdeb44e009634fe6"},
	{"fpe", `{"fields":[{"field":"card"}]}`, 0, "bdd9a92864716b0f"},
	{"tokenise", `{"fields":[{"field":"id"},{"field":"ill","ignoreCase":true}],"scope":"grant"}`, 0, "e49acd4a4d17b54c"},
	{"kanon", `{"quasi":[{"field":"zip"}],"k":20,"sensitive":[{"field":"ill","l":3}],"unit":{"field":"id"},"maxSuppressed":0.6}`, 0, "3f5a5c5da9cc0b2f"},
	{"k-rr", `{"fields":[{"field":"ill","categories":["flu","cold","none"],"default":"none","epsilon":1.5}]}`, 1_500_000, "4520cd633e77a763"},
	{"discrete-laplace", `{"fields":[{"field":"age","lower":0,"upper":120,"resolution":0.5,"default":40,"epsilon":2,"clamp":true}]}`, 2_000_000, "205f2c00c518f29d"},
	{"discrete-gaussian", `{"fields":[{"field":"age","lower":0,"upper":120,"default":40,"epsilon":0.5,"delta":0.000001}]}`, 500_000, "aa34c67891a770f4"},
}

func TestFieldSteps(t *testing.T) {
	for _, c := range fieldSteps {
		s := pin(t, c.name, c.config)
		if s.Epsilon != c.epsilon {
			t.Errorf("%s is pinned with %d millionths, want %d", c.name, s.Epsilon, c.epsilon)
		}
		var out []byte
		for _, f := range []dataset.Format{dataset.FormatCSV, dataset.FormatJSONL} {
			got, _ := through(t, f, s)
			if got == people(f) {
				t.Errorf("%s changes nothing", c.name)
			}
			out = append(out, got...)
		}
		if got := envelope.Sum(out).Hex()[:16]; got != c.golden {
			t.Errorf("%s: %s, recorded is %s: give it another version", c.name, got, c.golden)
		}
		s.Epsilon++
		if _, err := builtin.New(&s, transforms.Schema{}, steptest.Env()); !errors.Is(err, transforms.ErrConfig) {
			t.Errorf("%s with another epsilon: %v", c.name, err)
		}
	}
}

// TestFieldStepsTogether: one step sees what the step before it made, columns and names too.
func TestFieldStepsTogether(t *testing.T) {
	steps := []dataset.Step{
		pin(t, "drop", `{"fields":[{"field":"name"},{"field":"card"}]}`),
		pin(t, "rename", `{"fields":[{"field":"zip","to":"area"}]}`),
		pin(t, "generalise", `{"fields":[{"field":"area","prefix":2,"pad":"*"},{"field":"age","width":40},{"field":"joined","date":{"keep":"year"}}]}`),
		pin(t, "kanon", `{"quasi":[{"field":"area"},{"field":"age"},{"field":"joined"}],"k":3,"unit":{"field":"id"},"maxSuppressed":0.5}`),
		pin(t, "tokenise", `{"fields":[{"field":"id"}]}`),
		pin(t, "k-rr", `{"fields":[{"field":"ill","categories":["flu","cold","none"],"default":"none","epsilon":1}]}`),
	}
	for _, f := range []dataset.Format{dataset.FormatCSV, dataset.FormatJSONL} {
		out, figures := through(t, f, steps...)
		if figures["k"] < 3 || strings.Contains(out, "Name") || strings.Contains(out, "4111") || strings.Contains(out, "zip") || !strings.Contains(out, "1") {
			t.Errorf("%v\n%s", figures, out)
		}
		if f == dataset.FormatCSV && !strings.HasPrefix(out, "id,area,age,joined,ill\n") {
			t.Errorf("header of %.60s", out)
		}
	}
}

// TestDocumentedConfigurations pins every step that the documents show.
func TestDocumentedConfigurations(t *testing.T) {
	for file, want := range map[string]int{"tabular.md": 10, "local-dp.md": 4} {
		b, err := os.ReadFile("../../docs/transforms/" + file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(b), "```json\n")[1:]
		n := 0
		for _, block := range blocks {
			text, _, _ := strings.Cut(block, "```")
			var steps []struct {
				Step   string          `json:"step"`
				Config json.RawMessage `json:"config"`
			}
			if err := json.Unmarshal([]byte(text), &steps); err != nil {
				t.Fatalf("%s: %v\n%s", file, err, text)
			}
			for _, s := range steps {
				pin(t, s.Step, string(s.Config))
				n++
			}
		}
		if n != want {
			t.Errorf("%s shows %d steps, want %d", file, n, want)
		}
	}
}
