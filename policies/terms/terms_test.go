// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
)

var testNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const plain = `version: 1
purposes: [research, teaching]
modes: [raw-in-tee]
outputs: {classes: [metrics, model], most: 16MiB}
uses: {jobs: 10, each-buyer: 5, epochs: 20, until: 2027-06-30}
price: {currency: EUR, per-use: 20.00, per-record: 0.0001}
buyers: {any: true}
code: {any: true}
access: open
licence: {commercial: true, derivatives: true, territories: [EU, CH]}
consent: none
privacy: {population: patients}
run: {logs: sealed, lease: 2h, allowance: 32, broker-away: fail, assurance: tee}
`

const marketKey = `{kty: EC, crv: P-256, x: MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4, y: 4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM, kid: m1}`

func compile(t testing.TB, text string) (*Compiled, error) {
	t.Helper()
	return Parse([]byte(text)).Compile(testConfig(t))
}

func testConfig(t testing.TB) Config {
	t.Helper()
	return Config{
		Now: testNow,
		File: func(name string, _ int64) ([]byte, error) {
			switch name {
			case "noise.json":
				return []byte("noise"), nil
			case "drop.json", "kanon.json":
				return []byte(name), nil
			case "broken.json":
				return []byte("broken"), nil
			}
			return nil, fmt.Errorf("no file %s", name)
		},
		Keys:  func(ref string, _ []string) ([]jwk.JWK, error) { return nil, fmt.Errorf("no keys %s", ref) },
		Steps: fakeSteps,
	}
}

func TestCompile(t *testing.T) {
	c, err := compile(t, plain)
	if err != nil {
		t.Fatal(err)
	}
	got := c.Terms
	want := dataset.Terms{
		Modes: []string{"raw-in-tee"}, Purposes: []string{"research", "teaching"}, Outputs: []string{"metrics", "model"}, MaxOutputBytes: 16 << 20,
		MaxEpochs: 20, MaxUses: 10, Logs: "sealed", Allowance: 32, LeaseSeconds: 7200, BrokerAway: "fail",
		Price: dataset.Price{Currency: "EUR", PerRecord: 100, PerUse: 20_000_000}, NotAfter: time.Date(2027, 7, 1, 0, 0, 0, 0, time.UTC).Unix(), MinAssurance: "tee",
		Access: "open",
	}
	if fmt.Sprint(got.Modes, got.Purposes, got.Outputs, got.MaxOutputBytes, got.MaxEpochs, got.MaxUses, got.Logs, got.Allowance, got.LeaseSeconds, got.BrokerAway, got.Price, got.NotAfter, got.MinAssurance, got.Access) !=
		fmt.Sprint(want.Modes, want.Purposes, want.Outputs, want.MaxOutputBytes, want.MaxEpochs, want.MaxUses, want.Logs, want.Allowance, want.LeaseSeconds, want.BrokerAway, want.Price, want.NotAfter, want.MinAssurance, want.Access) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !got.Buyers.Any || got.Buyers.MaxUses != 5 || !got.Code.Any || got.Receipts != nil || got.Consent || got.Privacy.Population != "patients" {
		t.Errorf("%+v", got)
	}
	if l := got.Licence; !l.Commercial || !l.Derivatives || l.ShareAlike || len(l.Territories) != 28 || l.SPDX != "" {
		t.Errorf("%+v", l)
	}
	if len(c.Plans) != 1 || !c.Plans[0].Built || c.Plans[0].Account.Charge != Infinite || c.Plans[0].Account.Population != "patients" {
		t.Errorf("%+v", c.Plans)
	}
}

// TestNorwayIsACountry: YAML 1.1 reads NO as a boolean; terms read what is written.
func TestNorwayIsACountry(t *testing.T) {
	c, err := compile(t, strings.Replace(plain, "[EU, CH]", "[NO]", 1))
	if err != nil || !slices.Equal(c.Terms.Licence.Territories, []string{"NO"}) {
		t.Errorf("%v, %v", c, err)
	}
	c, err = compile(t, strings.Replace(plain, "[EU, CH]", "everywhere", 1))
	if err != nil || !slices.Equal(c.Terms.Licence.Territories, []string{"*"}) {
		t.Errorf("%v, %v", c, err)
	}
}

func TestReceipts(t *testing.T) {
	text := strings.Replace(plain, "access: open", "access: receipt\nreceipts: {issuer: https://m.example, audience: glovebox, payee: alice, minimum: 20, keys: ["+marketKey+"]}", 1)
	text = strings.Replace(text, "buyers: {any: true}", "buyers: {any: true, require: {country: [DE, AT], kind: university}}", 1)
	c, err := compile(t, text)
	if err != nil {
		t.Fatal(err)
	}
	r := c.Terms.Receipts
	if r == nil || r.Issuer != "https://m.example" || r.MinAmount != 20_000_000 || len(r.Keys) != 1 || r.Keys[0].Kid != "m1" || r.Keys[0].Alg != jwk.ES256 {
		t.Errorf("%+v", r)
	}
	if a := c.Terms.Buyers.Require; len(a) != 2 || a[0].Name != "country" || !slices.Equal(a[0].AnyOf, []string{"AT", "DE"}) || a[1].AnyOf[0] != "university" {
		t.Errorf("%+v", a)
	}
	pinned := strings.Replace(text, "minimum: 20,", "minimum: 20, pins: [another],", 1)
	if _, err := compile(t, pinned); err == nil || !strings.Contains(err.Error(), "is not pinned") {
		t.Errorf("a key that is not pinned: %v", err)
	}
	private := strings.Replace(text, "kid: m1", "kid: m1, d: AAAA", 1)
	if _, err := compile(t, private); !errors.Is(err, ErrTerms) {
		t.Errorf("a private key: %v", err)
	}
}

// TestMarketplaceIsAway: what is not the creator's fault can be told from what is.
func TestMarketplaceIsAway(t *testing.T) {
	text := strings.Replace(plain, "access: open", "access: receipt\nreceipts: {issuer: i, audience: a, payee: p, minimum: 20, keys: https://m.example/jwks, pins: [x]}", 1)
	away := errors.New("away")
	var ref string
	var pins []string
	_, err := Parse([]byte(text)).Compile(Config{Now: testNow, Keys: func(r string, p []string) ([]jwk.JWK, error) { ref, pins = r, p; return nil, away }})
	if !errors.Is(err, away) || !errors.Is(err, ErrTerms) || ref != "https://m.example/jwks" || !slices.Equal(pins, []string{"x"}) {
		t.Errorf("%v, %q, %q", err, ref, pins)
	}
}

// change is an edit of the plain terms and what the error must say.
type change struct{ old, new, want string }

func refuse(t *testing.T, changes map[string]change) {
	t.Helper()
	for name, c := range changes {
		if strings.Count(plain, c.old) != 1 {
			t.Fatalf("%s: the plain terms do not have %q once", name, c.old)
		}
		got, err := compile(t, strings.Replace(plain, c.old, c.new, 1))
		if !errors.Is(err, ErrTerms) || got != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %q", name, err, c.want)
		}
	}
}

// TestContradictions: each names both clauses with their lines.
func TestContradictions(t *testing.T) {
	refuse(t, map[string]change{
		"purpose allowed and prohibited":  {"territories: [EU, CH]", "territories: [EU, CH], prohibited: [teaching]", `purposes: [research, teaching] (line 2) and licence.prohibited: [teaching] (line 10) contradict each other: purpose "teaching"`},
		"epsilon in the raw":              {"population: patients", "population: patients, epsilon: 1", "privacy.epsilon: 1 (line 12) and modes: [raw-in-tee] (line 3)"},
		"receipt without issuer":          {"access: open", "access: receipt\nreceipts: {audience: a, payee: p, minimum: 20, keys: [" + marketKey + "]}", "access: receipt (line 9) and receipts.issuer (not said)"},
		"receipt without anything":        {"access: open", "access: receipt", "receipts.keys (not said)"},
		"receipts without access":         {"access: open", "access: open\nreceipts: {issuer: i}", "access: open (line 9) and receipts (line 10)"},
		"minimum below price":             {"access: open", "access: receipt\nreceipts: {issuer: i, audience: a, payee: p, minimum: 19.999999, keys: [" + marketKey + "]}", "price.per-use: 20.00 (line 6) and receipts.minimum: 19.999999 (line 10)"},
		"expired":                         {"until: 2027-06-30", "until: 2026-11-20", "2026-11-20 is over"},
		"consent without contributors":    {"consent: none", "consent: required", "consent: required (line 11) and privacy.unit (not said)"},
		"any buyer, and only one":         {"buyers: {any: true}", "buyers: {any: true, keys: [did:key:zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv]}", "buyers.any: true (line 7) and buyers.keys"},
		"attributes without receipt":      {"buyers: {any: true}", "buyers: {any: true, require: {country: DE}}", "access: open (line 9) and buyers.require"},
		"one buyer above all":             {"each-buyer: 5", "each-buyer: 11", "uses.jobs: 10 (line 5) and uses.each-buyer: 11 (line 5)"},
		"royalty, no commerce":            {"commercial: true, derivatives: true", "commercial: false, royalty: 2 %, derivatives: true", "licence.royalty: 2 % (line 10) and licence.commercial: false (line 10)"},
		"alike without derivatives":       {"commercial: true, derivatives: true", "commercial: true, derivatives: false, share-alike: true", "licence.share-alike: true (line 10) and licence.derivatives: false (line 10)"},
		"commerce under NC":               {"commercial: true, derivatives: true", "spdx: CC-BY-NC-4.0, commercial: true", "licence.commercial: true (line 10) and licence.spdx: CC-BY-NC-4.0 (line 10)"},
		"no attribution under BY":         {"commercial: true, derivatives: true", "spdx: CC-BY-4.0, attribution: false", "licence.attribution: false (line 10) and licence.spdx: CC-BY-4.0 (line 10)"},
		"tables under C-UDA":              {"commercial: true, derivatives: true", "spdx: C-UDA-1.0, training-only: false", "licence.training-only: false (line 10) and licence.spdx: C-UDA-1.0"},
		"delta of nothing":                {"population: patients", "population: patients, delta: 0.1", "privacy.delta: 0.1 (line 12) and privacy.epsilon (not said)"},
		"buyer's epsilon of nothing":      {"population: patients", "population: patients, each-buyer: 1", "privacy.each-buyer: 1 (line 12) and privacy.epsilon (not said)"},
		"buyer's epsilon above all":       {"population: patients", "population: patients, epsilon: 1, each-buyer: 2", "privacy.epsilon: 1 (line 12) and privacy.each-buyer: 2 (line 12)"},
		"code of nobody":                  {"code: {any: true}", "code: {any: false}", "code: admits no code"},
		"buyers none":                     {"buyers: {any: true}\n", "", "buyers: admits no buyer"},
		"simulated without test":          {"assurance: tee", "assurance: simulated", `"simulated" is not known (want tpm or tee)`},
		"territories of nobody":           {"territories: [EU, CH]", "attribution: true", "licence.territories: is missing"},
		"a listed licence and no country": {"commercial: true, derivatives: true, territories: [EU, CH]", "spdx: CC-BY-4.0, territories: [UK]", `ISO 3166-1 says "GB"`},
	})
	for _, want := range []string{"outputs.classes: [metrics, table] (line 4) and licence.training-only: true (line 10)"} {
		text := strings.Replace(strings.Replace(plain, "[metrics, model]", "[metrics, table]", 1), "commercial: true,", "commercial: true, training-only: true,", 1)
		if _, err := compile(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestBadNumbers: amounts are exact or refused.
func TestBadNumbers(t *testing.T) {
	all := map[string]change{}
	for text, want := range map[string]string{
		"NaN": "not a finite number", ".nan": "not a finite number", ".inf": "not a finite number", "-.inf": "not a finite number", "Infinity": "not a finite number",
		"∞": "not a finite number", "-1": "is negative", "-0": "is negative", "1e3": "not a number", "0x10": "not a number", "1_000": "not a number",
		"0.0000001": "more than 6 decimals", "0": "too little", "9007199254.740992": "too large", "99999999999999999": "not a number", "1,5": "not a number", "1.": "",
	} {
		if want != "" {
			all["epsilon of "+text] = change{"population: patients", `population: patients, epsilon: "` + text + `"`, want}
		}
	}
	for text, want := range map[string]string{"0.0000000000001": "more than 12 decimals", "1": "too much", "NaN": "not a finite number", "-1": "is negative"} {
		all["delta of "+text] = change{"population: patients", `population: patients, epsilon: 1, delta: "` + text + `"`, want}
	}
	for text, want := range map[string]string{"0": "not a size", "1.5MiB": "not a size", "1TiB": "not a size", "9007199254740993": "too large", "9999999999999999G": "too large", "5GiB": "too much"} {
		all["output of "+text] = change{"most: 16MiB", "most: " + text, want}
	}
	for text, want := range map[string]string{"0": "too little", "-1": "is negative", "1.5": "not a number", "9007199254740992": "is more than", "010": "not a number"} {
		all["jobs of "+text] = change{"jobs: 10", "jobs: " + text, want}
	}
	for text, want := range map[string]string{"0s": "not a length of time", "1w": "not a length of time", "8d": "too much", "9999999999d": "too much"} {
		all["lease of "+text] = change{"lease: 2h", "lease: " + text, want}
	}
	for text, want := range map[string]string{"2.5": "not a percentage", "101 %": "more than the whole", "-1 %": "not a percentage", "0.00001 %": "not a percentage", "NaN %": "not a percentage"} {
		all["royalty of "+text] = change{"territories: [EU, CH]", "territories: [EU, CH], royalty: " + text, want}
	}
	for text, want := range map[string]string{"tomorrow": "neither a day", "2027-02-30": "neither a day", "2027-06-30T12:00:00": "neither a day", "9999-99-99": "neither a day"} {
		all["until "+text] = change{"until: 2027-06-30", "until: " + text, want}
	}
	refuse(t, all)
}

// TestBadYAML: only the plain part of YAML is read, and every key is known.
func TestBadYAML(t *testing.T) {
	refuse(t, map[string]change{
		"unknown key":           {"access: open", "acess: open", "acess: is not a key of terms (did you mean access?)"},
		"unknown key below":     {"jobs: 10", "job: 10", "uses.job: is not a key of terms (did you mean jobs?)"},
		"key in another place":  {"access: open", "access: open\nepochs: 3", "it is called uses.epochs"},
		"key twice":             {"access: open", "access: open\naccess: permit", "is there twice; first at line 9"},
		"key twice, below":      {"jobs: 10", "jobs: 10, jobs: 11", "uses.jobs: is there twice"},
		"missing":               {"access: open\n", "", "access: is missing"},
		"missing below":         {"epochs: 20, ", "", "uses.epochs: is missing"},
		"anchor":                {"[research, teaching]", "&a [research, teaching]", "anchors and aliases"},
		"alias":                 {"purposes: [research, teaching]", "purposes: [&a research, *a]", "anchors and aliases"},
		"merge":                 {"access: open", "access: open\n<<: {jobs: 3}", "a key must be a plain word"},
		"tag":                   {"jobs: 10", "jobs: !!int 10", "tags are not read"},
		"binary":                {"population: patients", "population: !!binary cGF0aWVudHM=", "tags are not read"},
		"null":                  {"access: open", "access:", "has no value"},
		"tilde":                 {"access: open", "access: ~", "has no value"},
		"two documents":         {"run: {", "---\nrun: {", "a second document"},
		"a section for a value": {"access: open", "access: {open: true}", "access: is a section"},
		"a list for a value":    {"access: open", "access: [open]", "access: is a list"},
		"a value for a section": {"uses: {jobs: 10, each-buyer: 5, epochs: 20, until: 2027-06-30}", "uses: 10", "uses: has keys below it"},
		"a list in a list":      {"[research, teaching]", "[[research], teaching]", "purposes: holds a list"},
		"an empty list":         {"[research, teaching]", "[]", "purposes: is an empty list"},
		"a value twice":         {"[research, teaching]", "[research, research]", `"research" is there twice`},
		"not true or false":     {"code: {any: true}", "code: {any: yes}", `"yes" is neither true nor false`},
		"another version":       {"version: 1", "version: 2", `"2" is not known`},
		"broken":                {"access: open", "access: [open", "not YAML"},
		"a mode nobody knows":   {"modes: [raw-in-tee]", "modes: [raw]", "modes.raw: is not a privacy mode"},
		"a parameter of raw":    {"modes: [raw-in-tee]", "modes: {raw-in-tee: {k: 5}}", "modes.raw-in-tee.k: is not a parameter"},
		"no mode":               {"modes: [raw-in-tee]", "modes: {}", "modes: names none"},
	})
	for name, text := range map[string]string{
		"empty": "", "a list": "[1]", "a word": "terms", "not UTF-8": "version: \xff", "too long": strings.Repeat("#", MaxFile+1), "only a comment": "# x",
		"deep":             "version: " + strings.Repeat("[", 100) + strings.Repeat("]", 100),
		"a billion laughs": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]",
	} {
		if c, err := compile(t, text); !errors.Is(err, ErrTerms) || c != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDeepYAML: nesting is bounded before anything looks at it.
func TestDeepYAML(t *testing.T) {
	if _, p := parseYAML([]byte("a: " + strings.Repeat("{b: ", maxDepth+1) + "c" + strings.Repeat("}", maxDepth+1))); len(p.List) != 1 || !strings.Contains(p.Error(), "nested deeper") {
		t.Errorf("%v", p)
	}
}

// TestAllErrorsAtOnce: one run finds everything.
func TestAllErrorsAtOnce(t *testing.T) {
	text := strings.NewReplacer("jobs: 10", "jobs: many", "access: open", "access: closed", "per-use: 20.00", "per-use: NaN", "[EU, CH]", "[UK]").Replace(plain)
	_, err := compile(t, text)
	p, ok := errors.AsType[*Problems](err)
	if !ok || len(p.List) < 4 {
		t.Fatalf("%v", err)
	}
	for i, x := range p.List {
		if x.Line == 0 || x.Message == "" || i > 0 && x.Line < p.List[i-1].Line {
			t.Errorf("problem %d: %+v", i, x)
		}
	}
}

// TestModes: all ten of the design parse with their parameters, only what is built passes, and the others say so.
func TestModes(t *testing.T) {
	params := map[string]string{
		"raw-in-tee": "{}", "redacted": "{detect: [PERSON, EMAIL_ADDRESS]}", "pseudonymised": "{fields: [patient]}", "k-anonymous": "{k: 5, fields: [age, town], suppress: 0.05}",
		"local-dp": "{steps: noise.json}", "dp-training": "{epsilon: 0.5, delta: 0.000001}", "dp-release": "{epsilon: 0.5, delta: 0.000001}",
		"sample-aggregate": "{epsilon: 0.5, delta: 0.000001, shards: 100}", "aggregate-only": "{hosts: 3}", "synthetic-only": "{epsilon: 0.5, delta: 0.000001, records: 1000}",
	}
	if len(Modes()) != 10 || len(params) != 10 {
		t.Fatalf("%d modes, the design has 10", len(Modes()))
	}
	for _, m := range Modes() {
		text := strings.Replace(plain, "modes: [raw-in-tee]", "modes: {"+m.Name+": "+params[m.Name]+"}", 1)
		text = strings.Replace(text, "classes: [metrics, model]", "classes: [metrics]", 1)
		if !m.sealed {
			text = strings.Replace(text, "logs: sealed", "logs: off", 1)
		}
		if m.charge != Infinite {
			text = strings.Replace(text, "population: patients", "population: patients, adjacency: replace-one, epsilon: 2, delta: 0.000001", 1)
		}
		c, err := compile(t, text)
		if m.Built {
			if err != nil || c.Plans[0].Mode != m.Name || dataset.Private(m.Name) != (c.Terms.PrivacyFor(m.Name) != nil) || m.rests != (len(c.Terms.StepsFor(m.Name)) > 0) {
				t.Errorf("%s: %v", m.Name, err)
			}
			for _, x := range m.Params {
				fewer := strings.Replace(text, x.Name+":", "x-"+x.Name+":", 1)
				if _, err := compile(t, fewer); !x.file && !x.free && (err == nil || !strings.Contains(err.Error(), "modes."+m.Name+"."+x.Name+": is missing")) {
					t.Errorf("%s without %s: %v", m.Name, x.Name, err)
				}
			}
			continue
		}
		p, ok := errors.AsType[*Problems](err)
		if !ok || c != nil || !errors.Is(err, ErrMode) || len(p.List) != 1 || !strings.Contains(err.Error(), "does not enforce") || !strings.Contains(err.Error(), "raw-in-tee") {
			t.Errorf("%s: %v", m.Name, err)
		}
		for _, x := range m.Params { // a parameter that is left out is missed
			fewer := strings.Replace(text, x.Name+":", "x-"+x.Name+":", 1)
			if _, err := compile(t, fewer); err == nil || !strings.Contains(err.Error(), "modes."+m.Name+"."+x.Name+": is missing") {
				t.Errorf("%s without %s: %v", m.Name, x.Name, err)
			}
		}
	}
	if built := slices.Sorted(slices.Values(BuiltModes())); !slices.Equal(built, dataset.Modes()) {
		t.Errorf("built: %v", built)
	}
}

// fakeSteps pins a step for each mode, as a creator's program would.
func fakeSteps(p *Plan, file []byte) ([]dataset.Step, error) {
	if string(file) == "broken" {
		return nil, errors.New("step 1: no such step")
	}
	name := map[string]string{
		dataset.ModeRedacted: dataset.StepRedact, dataset.ModePseudonymised: dataset.StepTokenise, dataset.ModeKAnonymous: dataset.StepKAnon, dataset.ModeLocalDP: "k-rr",
	}[p.Mode]
	if dataset.Private(p.Mode) {
		name = strings.TrimSuffix(string(file), ".json")
	}
	s := dataset.Step{Name: name, Digest: envelope.Sum([]byte(name)), Config: json.RawMessage(`{}`)}
	if dataset.Noisy(p.Mode) {
		s.Epsilon = 500_000
	}
	return []dataset.Step{s}, nil
}

// TestStepsOfModes: a steps file stands in place of a mode's parameters, and what it spends is what a job costs.
func TestStepsOfModes(t *testing.T) {
	in := func(modes string) string {
		return strings.NewReplacer("modes: [raw-in-tee]", "modes: "+modes, "logs: sealed", "logs: off",
			"population: patients", "population: patients, adjacency: replace-one, epsilon: 2, delta: 0").Replace(plain)
	}
	c, err := compile(t, in("{local-dp: {steps: noise.json}}"))
	if err != nil {
		t.Fatal(err)
	}
	if p := c.Plans[0]; p.Account.Epsilon != 500_000 || p.Obligations.EpsilonCap != 500_000 || !slices.Equal(p.Obligations.Steps, []string{"k-rr"}) {
		t.Errorf("%+v", p)
	}
	for want, text := range map[string]string{
		"is for the steps file to say":                in("{redacted: {detect: [PERSON], steps: noise.json}}"),
		"modes.redacted.detect: is missing":           strings.Replace(plain, "[raw-in-tee]", "[redacted]", 1),
		"step 1: no such step":                        strings.Replace(plain, "[raw-in-tee]", "{redacted: {steps: broken.json}}", 1),
		"no file none.json":                           strings.Replace(plain, "[raw-in-tee]", "{redacted: {steps: none.json}}", 1),
		"hides what they say, not how many there are": strings.Replace(in("{local-dp: {steps: noise.json}}"), ", adjacency: replace-one", "", 1),
		"one job would spend more than all jobs may":  strings.Replace(in("{local-dp: {steps: noise.json}}"), "epsilon: 2", "epsilon: 0.4", 1),
	} {
		if _, err := compile(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %q", err, want)
		}
	}
	if _, err := Parse([]byte(strings.Replace(plain, "[raw-in-tee]", "{redacted: {detect: [PERSON]}}", 1))).Compile(Config{Now: testNow}); err == nil || !strings.Contains(err.Error(), "cannot be pinned here") {
		t.Errorf("%v", err)
	}
}

// TestModeOfFlags: flags name modes as a file does, and do not add to those of a file.
func TestModeOfFlags(t *testing.T) {
	d := Parse([]byte(strings.Replace(plain, "modes: [raw-in-tee]\n", "", 1)))
	d.SetMode(dataset.ModeRaw, "--mode", nil)
	d.SetMode(dataset.ModeRedacted, "--mode", map[string][]string{"detect": {"PERSON"}})
	c, err := d.Compile(testConfig(t))
	if err != nil || !slices.Equal(c.Terms.Modes, []string{dataset.ModeRaw, dataset.ModeRedacted}) || len(c.Terms.Steps) != 1 {
		t.Fatal(err)
	}
	d = Parse([]byte(plain))
	d.SetMode(dataset.ModeRedacted, "--mode", map[string][]string{"detect": {"PERSON"}})
	if _, err := d.Compile(testConfig(t)); err == nil || !strings.Contains(err.Error(), "is said at") {
		t.Errorf("%v", err)
	}
}

// TestPlans: what a mode needs is computed before it can be enforced.
func TestPlans(t *testing.T) {
	d := Parse([]byte(strings.NewReplacer("modes: [raw-in-tee]", "modes: {dp-training: {epsilon: 0.5, delta: 0.000001}}",
		"population: patients", "population: patients, epsilon: 2, delta: 0.000001", "logs: sealed", "logs: off").Replace(plain)))
	c := &compiler{Document: d, cfg: Config{Now: testNow}}
	c.read()
	c.modes()
	want := Plan{
		Mode: "dp-training", Built: true, Numbers: map[string]int64{"contributions": 1, "delta": 1_000_000, "epsilon": 500_000}, Words: map[string][]string{"runtimes": {"wasm-train/1"}},
		Obligations: PlanObligations{Steps: []string{}, Classes: []string{"metrics", "model"}, Logs: "off", Counters: "fixed", EpsilonCap: 500_000},
		Account:     PlanAccount{Population: "patients", Charge: Approximate, Epsilon: 500_000, Delta: 1_000_000},
	}
	if len(c.out.Plans) != 1 || fmt.Sprintf("%+v", c.out.Plans[0]) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", c.out.Plans, want)
	}
	if len(c.problems.List) != 0 {
		t.Errorf("%v", c.problems.List)
	}
}

// TestTermsOfPrivateModes: what one job may spend is what the file says, and what it does not say is the least.
func TestTermsOfPrivateModes(t *testing.T) {
	in := func(unit, modes string) string {
		return strings.NewReplacer("modes: [raw-in-tee]", "modes: "+modes, "logs: sealed", "logs: off", "classes: [metrics, model]", "classes: [metrics]",
			"population: patients", "population: patients, unit: "+unit+", epsilon: 2, delta: 0.000001").Replace(plain)
	}
	c, err := compile(t, in("contributor", `{sample-aggregate: {epsilon: 1, delta: 0.000001, shards: 40, contributions: 8},
  dp-training: {epsilon: 2, delta: 0.0000005, contributions: 3, runtimes: [wasm-train/1, wasm-train-sum/1]},
  dp-release: {epsilon: 0.25, delta: 0.000000000001, contributions: 1000000, runtimes: dp-query/1}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []dataset.ModePrivacy{
		{Mode: dataset.ModeRelease, Epsilon: 250_000, Delta: 1, Contributions: 1_000_000, Runtimes: []string{"dp-query/1"}},
		{Mode: dataset.ModeTraining, Epsilon: 2_000_000, Delta: 500_000, Contributions: 3, Runtimes: []string{"wasm-train-sum/1", "wasm-train/1"}},
		{Mode: dataset.ModeAggregate, Epsilon: 1_000_000, Delta: 1_000_000, Contributions: 8, Runtimes: []string{"wasm-fuel/1"}, Shards: 40},
	}
	if fmt.Sprint(c.Terms.Private) != fmt.Sprint(want) {
		t.Errorf("%+v", c.Terms.Private)
	}
	c, err = compile(t, in("record", "{dp-training: {epsilon: 2, delta: 0.0000005}}"))
	if err != nil || fmt.Sprint(c.Terms.Private) != fmt.Sprint([]dataset.ModePrivacy{{Mode: dataset.ModeTraining, Epsilon: 2_000_000, Delta: 500_000, Contributions: 1, Runtimes: []string{"wasm-train/1"}}}) {
		t.Errorf("%+v, %v", c, err)
	}
	for words, text := range map[string]string{
		"write contributions, how many of hers count":       in("contributor", "{dp-training: {epsilon: 2, delta: 0.0000005}}"),
		"the unit is a record, of which there is one":       in("record", "{dp-training: {epsilon: 2, delta: 0.0000005, contributions: 1}}"),
		`"wasm-fuel/1" is not a runtime of the mode`:        in("record", "{dp-training: {epsilon: 2, delta: 0.0000005, runtimes: [wasm-fuel/1]}}"),
		"modes.dp-training.clip: is not a parameter":        in("record", "{dp-training: {epsilon: 2, delta: 0.0000005, clip: 1}}"),
		`"1000001" is too much`:                             in("contributor", "{dp-training: {epsilon: 2, delta: 0.0000005, contributions: 1000001}}"),
		`modes.dp-training.epsilon: "0" is too little`:      in("record", "{dp-training: {epsilon: 0, delta: 0.0000005}}"),
		`modes.dp-training.delta: "0" is too little`:        in("record", "{dp-training: {epsilon: 1, delta: 0}}"),
		`modes.dp-training.epsilon: "NaN" is not a finite`:  in("record", "{dp-training: {epsilon: NaN, delta: 0.0000005}}"),
		`modes.dp-training.epsilon: ".inf" is not a finite`: in("record", "{dp-training: {epsilon: .inf, delta: 0.0000005}}"),
		"modes.dp-training.delta: is missing":               in("record", "{dp-training: {epsilon: 1}}"),
		"modes.sample-aggregate.shards: is missing":         in("record", "{sample-aggregate: {epsilon: 1, delta: 0.0000005}}"),
		"want 2 to 65536":                                   in("record", "{sample-aggregate: {epsilon: 1, delta: 0.0000005, shards: 1}}"),
		"one job would spend more than one buyer may":       strings.Replace(in("record", "{dp-training: {epsilon: 2, delta: 0.0000005}}"), "epsilon: 2, delta: 0.000001", "epsilon: 2, delta: 0.000001, each-buyer: 1", 1),
		"only steps that look at one record at a time":      in("record", "{dp-training: {epsilon: 2, delta: 0.0000005, steps: kanon.json}}"),
	} {
		if _, err := compile(t, text); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v\nwant %q", err, words)
		}
	}
	c, err = compile(t, in("record", "{dp-training: {epsilon: 2, delta: 0.0000005, steps: drop.json}}"))
	if err != nil || len(c.Terms.StepsFor(dataset.ModeTraining)) != 1 || c.Terms.EpsilonFor(dataset.ModeTraining) != 0 {
		t.Errorf("steps before the enclave's noise: %v", err)
	}
}

// TestModesThatContradict: what a mode cannot keep is not promised beside it.
func TestModesThatContradict(t *testing.T) {
	dp := "modes: {dp-training: {epsilon: 3, delta: 0.1}}"
	for want, text := range map[string]string{
		"the mode spends epsilon, and no account bounds it": strings.Replace(plain, "modes: [raw-in-tee]", dp, 1),
		"one job would spend more than all jobs may":        strings.NewReplacer("modes: [raw-in-tee]", dp, "population: patients", "population: patients, epsilon: 2, delta: 0.1").Replace(plain),
		"the job's delta is above the account's":            strings.NewReplacer("modes: [raw-in-tee]", dp, "population: patients", "population: patients, epsilon: 5, delta: 0.01").Replace(plain),
		"the code's words would tell about records":         strings.Replace(plain, "modes: [raw-in-tee]", dp, 1),
		"outputs of class model do not leave in the mode":   strings.Replace(plain, "modes: [raw-in-tee]", "modes: {dp-release: {epsilon: 3, delta: 0.1}}", 1),
	} {
		if _, err := compile(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %q", err, want)
		}
	}
}

// TestFlagsGoTheSameWay: flags fill a document as a file does, and neither may repeat the other.
func TestFlagsGoTheSameWay(t *testing.T) {
	d := Parse([]byte(strings.Replace(plain, "test", "test", 1)))
	d.Default("uses.jobs", "--uses", "99")
	d.Set("test", "--test", "true")
	c, err := d.Compile(Config{Now: testNow})
	if err != nil || c.Terms.MaxUses != 10 || !c.Test {
		t.Fatalf("%+v, %v", c, err)
	}
	d.Set("uses.jobs", "--uses", "99")
	if _, err = d.Compile(Config{Now: testNow}); err == nil || !strings.Contains(err.Error(), "uses.jobs: is said at line 5 and by --uses (say it once)") {
		t.Errorf("%v", err)
	}
	d = New()
	d.Set("purposes", "--purpose", "Any Thing")
	if _, err = d.Compile(Config{Now: testNow}); err == nil || !strings.Contains(err.Error(), `--purpose: "Any Thing" is not a purpose`) {
		t.Errorf("%v", err)
	}
}

// TestPageIsTrue: the page's example is the template, it compiles, and every key and mode is explained.
func TestPageIsTrue(t *testing.T) {
	b, err := os.ReadFile("../../docs/terms.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	_, rest, ok := strings.Cut(page, "```yaml\n")
	example, _, end := strings.Cut(rest, "```\n")
	if !ok || !end || example != template {
		t.Error("the example in docs/terms.md is not policies/terms/template.yaml")
	}
	c, err := compile(t, Template(testNow))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Notes) != 0 || c.Terms.NotAfter != time.Date(2027, 11, 22, 0, 0, 0, 0, time.UTC).Unix() {
		t.Errorf("%v, %d", c.Notes, c.Terms.NotAfter)
	}
	for _, k := range Schema() {
		if !strings.Contains(page, "| `"+k.Path+"` | "+k.Form) {
			t.Errorf("docs/terms.md does not explain %s: %s", k.Path, k.Form)
		}
	}
	for _, m := range Modes() {
		if !strings.Contains(page, "| `"+m.Name+"` | "+m.Says) {
			t.Errorf("docs/terms.md does not explain mode %s", m.Name)
		}
	}
	for _, id := range SPDXIdentifiers() {
		if !strings.Contains(page, id) {
			t.Errorf("docs/terms.md does not name licence %s", id)
		}
	}
	if n := strings.Count(template, "\n"); n > 80 {
		t.Errorf("the template has %d lines, more than a page", n)
	}
}

// TestLimitsAreNamed: who goes beyond a limit is told it.
func TestLimitsAreNamed(t *testing.T) {
	for change, want := range map[[2]string]string{
		{"epochs: 20", "epochs: 20000"}: `uses.epochs: "20000" is too much (at most 10000)`,
		{"epochs: 20", "epochs: 0"}:     `uses.epochs: "0" is too little (at least 1)`,
		{"lease: 2h", "lease: 8d"}:      `run.lease: "8d" is too much (at most 604800s)`,
		{"most: 16MiB", "most: 5GiB"}:   `outputs.most: "5GiB" is too much (at most 4294967296)`,
	} {
		if _, err := compile(t, strings.Replace(plain, change[0], change[1], 1)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// FuzzTerms: whatever bytes come, terms compile to something valid or to problems, and never to both.
func FuzzTerms(f *testing.F) {
	seeds := []string{plain, Template(testNow), "version: 1", "a: &a [b, *a]", "modes: {dp-training: {epsilon: NaN}}", "buyers: {require: {country: [DE]}}"}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b).Compile(Config{Now: testNow})
		if (c == nil) == (err == nil) {
			t.Fatalf("%v, %v", c, err)
		}
		if err != nil {
			if !errors.Is(err, ErrTerms) || err.Error() == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		if err := c.Terms.Validate(c.Test); err != nil {
			t.Fatal(err)
		}
		if len(c.Words()) < 8 {
			t.Fatalf("%q", c.Words())
		}
	})
}
