// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// private are terms that allow one mode with noise of the enclave's.
func private(t *testing.T, mode string, steps ...Step) Terms {
	t.Helper()
	terms := withMode(t, mode, steps...)
	terms.Privacy.Epsilon, terms.Privacy.BuyerEpsilon, terms.Privacy.Delta = 8_000_000, 4_000_000, 10_000_000
	p := ModePrivacy{Mode: mode, Epsilon: 2_000_000, Delta: 1_000_000, Contributions: 1, Runtimes: RuntimesFor(mode)[:1]}
	if mode == ModeAggregate {
		p.Shards = 100
	}
	terms.Private = []ModePrivacy{p}
	return terms
}

func privateModes() []string { return []string{ModeRelease, ModeTraining, ModeAggregate} }

func TestPrivateModes(t *testing.T) {
	for _, mode := range Modes() {
		if want := slices.Contains(privateModes(), mode); Private(mode) != want || (len(RuntimesFor(mode)) > 0) != want {
			t.Errorf("%s", mode)
		}
	}
	for _, mode := range privateModes() {
		terms := private(t, mode)
		if err := terms.Validate(true); err != nil || !Accounted(mode) || !Silent(mode) || Noisy(mode) {
			t.Errorf("%s: %v", mode, err)
		}
	}
	words := []string{job.RuntimeTrain, job.RuntimeTrainSum, job.RuntimeQuery, job.RuntimeWASM}
	if got := slices.Concat(RuntimesFor(ModeTraining), RuntimesFor(ModeRelease), RuntimesFor(ModeAggregate)); !slices.Equal(got, words) {
		t.Errorf("runtimes %q, jobs say %q", got, words)
	}
}

// TestAccountDelta: an account that holds at a delta of one in its persons is not packed, whichever mode it counts; who erases is not
// held to it, and no other mode has an account.
func TestAccountDelta(t *testing.T) {
	const four = "a,b\n1,x\n2,x\n3,y\n4,y\n"
	pack := func(change func(*Terms), contributors bool) error {
		f := newFixture(t)
		cfg := f.config(FormatCSV, four)
		cfg.Manifest.Terms = private(t, ModeTraining)
		if contributors {
			cfg = f.byContributor(newPeople(), FormatCSV, four, "b")
			cfg.Manifest.Terms = private(t, ModeTraining)
			cfg.Manifest.Terms.Privacy.Unit = UnitContributor
		}
		change(&cfg.Manifest.Terms)
		_, err := Pack(t.Context(), cfg)
		return err
	}
	delta := func(d int64) func(*Terms) { return func(m *Terms) { m.Privacy.Delta = d } }
	for name, c := range map[string]struct {
		change       func(*Terms)
		contributors bool
		refused      bool
	}{
		"below one in four":                 {delta(249_999_999_999), false, false},
		"one in four":                       {delta(250_000_000_000), false, true},
		"all":                               {delta(990_000_000_000), false, true},
		"one in four records, of two":       {delta(250_000_000_000), true, false},
		"one in two contributors":           {delta(500_000_000_000), true, true},
		"noise in each record, one in four": {func(m *Terms) { *m = withMode(t, ModeLocalDP, noise("k-rr")); m.Privacy.Delta = 250_000_000_000 }, false, true},
		"no account":                        {func(m *Terms) { *m = withMode(t, ModeRaw); m.Privacy.Delta = 990_000_000_000 }, false, false},
	} {
		if err := pack(c.change, c.contributors); errors.Is(err, ErrDelta) != c.refused || err != nil && !c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPrivateTermsAreWhole: what one job may spend is said of each mode, and within the account.
func TestPrivateTermsAreWhole(t *testing.T) {
	for name, change := range map[string]func(*Terms){
		"nothing said":    func(m *Terms) { m.Private = nil },
		"an empty list":   func(m *Terms) { m.Private = []ModePrivacy{} },
		"said twice":      func(m *Terms) { m.Private = append(m.Private, m.Private[0]) },
		"of another mode": func(m *Terms) { m.Private[0].Mode = ModeRelease },
		"of a mode beside": func(m *Terms) {
			m.Private = append([]ModePrivacy{{Mode: ModeRelease, Epsilon: 1, Delta: 1, Contributions: 1, Runtimes: RuntimesFor(ModeRelease)}}, m.Private...)
		},
		"of no such mode":     func(m *Terms) { m.Modes, m.Private[0].Mode = []string{ModeRaw}, ModeRaw },
		"no epsilon":          func(m *Terms) { m.Private[0].Epsilon = 0 },
		"negative epsilon":    func(m *Terms) { m.Private[0].Epsilon = -1 },
		"above the account":   func(m *Terms) { m.Private[0].Epsilon = m.Privacy.Epsilon + 1 },
		"no account":          func(m *Terms) { m.Privacy.Epsilon, m.Privacy.BuyerEpsilon = 0, 0 },
		"no delta":            func(m *Terms) { m.Private[0].Delta = 0 },
		"delta above":         func(m *Terms) { m.Private[0].Delta = m.Privacy.Delta + 1 },
		"delta of account 0":  func(m *Terms) { m.Privacy.Delta = 0 },
		"contributions 0":     func(m *Terms) { m.Private[0].Contributions = 0 },
		"many of one record":  func(m *Terms) { m.Private[0].Contributions = 2 },
		"no runtime":          func(m *Terms) { m.Private[0].Runtimes = nil },
		"another runtime":     func(m *Terms) { m.Private[0].Runtimes = []string{job.RuntimeWASM} },
		"runtime of queries":  func(m *Terms) { m.Private[0].Runtimes = []string{job.RuntimeQuery} },
		"runtime twice":       func(m *Terms) { m.Private[0].Runtimes = []string{job.RuntimeTrain, job.RuntimeTrain} },
		"runtimes not sorted": func(m *Terms) { m.Private[0].Runtimes = []string{job.RuntimeTrain, job.RuntimeTrainSum} },
		"shards of training":  func(m *Terms) { m.Private[0].Shards = 10 },
	} {
		bad := private(t, ModeTraining)
		change(&bad)
		if err := bad.Validate(true); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, shards := range []int64{-1, 0, 1, MaxShards + 1} {
		bad := private(t, ModeAggregate)
		if bad.Private[0].Shards = shards; !errors.Is(bad.Validate(true), ErrManifest) {
			t.Errorf("%d shards", shards)
		}
	}
}

// TestContributionsOfContributors: with a contributor as the unit the owner says how many records of hers count, a million of
// them too, and no record is without one.
func TestContributionsOfContributors(t *testing.T) {
	terms := private(t, ModeTraining)
	terms.Privacy.Unit = UnitContributor
	for n, ok := range map[int64]bool{0: false, 1: true, 7: true, MaxContributions: true, MaxContributions + 1: false} {
		terms.Private[0].Contributions = n
		if err := terms.Validate(true); (err == nil) != ok {
			t.Errorf("%d: %v", n, err)
		}
	}
	m := newFixture(t).config(FormatCSV, "a\n1\n").Manifest
	m.Terms, m.Records = terms, 1
	if err := m.validateUnits(); !errors.Is(err, ErrManifest) {
		t.Errorf("a record of nobody: %v", err)
	}
	m.Terms.Privacy.Unit = UnitRecord
	if err := m.validateUnits(); err != nil {
		t.Errorf("records are the unit: %v", err)
	}
}

// TestAttackStepsThatLookAround: before noise that hides one unit no step may make one record change others, nor end the run.
func TestAttackStepsThatLookAround(t *testing.T) {
	for _, mode := range privateModes() {
		for _, name := range []string{StepKAnon, "deduplicate", "sample", StepScan, "k-rr", "discrete-laplace"} {
			terms := private(t, mode, pinned(StepRedact, `{}`), pinned(name, `{}`))
			if err := terms.Validate(true); !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), "one record at a time") {
				t.Errorf("%s: %s: %v", mode, name, err)
			}
		}
		terms := private(t, mode, module(ShapeMap))
		if err := terms.Validate(true); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: a module: %v", mode, err)
		}
		terms = private(t, mode, noise("drop"))
		if err := terms.Validate(true); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: noise in a step: %v", mode, err)
		}
		var all []Step
		for _, name := range singly {
			all = append(all, pinned(name, `{}`))
		}
		terms = private(t, mode, all...)
		if err := terms.Validate(true); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestCodeHasNoBudget: code is nobody's records.
func TestCodeHasNoBudget(t *testing.T) {
	m := newFixture(t).config(FormatFiles, "a").Manifest
	m.Kind, m.Terms.Modes = KindCode, Modes()
	if err := m.Terms.validateModes(KindCode); err != nil {
		t.Error(err)
	}
	m.Terms.Private = private(t, ModeTraining).Private
	if err := m.Terms.validateModes(KindCode); !errors.Is(err, ErrManifest) {
		t.Error(err)
	}
}

// TestOneRecordEndsTheRun: of JSON nobody knows before records are read whether any has a field. In these modes none may have to.
func TestOneRecordEndsTheRun(t *testing.T) {
	for config, name := range map[string]string{
		`{"fields":[{"field":"hiv"}]}`:                               "hiv",
		`{"fields":[{"field":"a","optional":true},{"field":"hiv"}]}`: "hiv",
		`{"fields":["hiv"]}`:                                         "hiv",
		`{"fields":[{"field":"hiv","optional":true}]}`:               "",
		`{"fields":["hiv"],"optional":true}`:                         "",
		`{"fields":["*"]}`:                                           "",
		`{"detect":["all"]}`:                                         "",
	} {
		for _, mode := range append(privateModes(), ModeRedacted) {
			for _, f := range []Format{FormatJSONL, FormatCSV} {
				m := &Manifest{Format: f}
				m.Terms.Modes = []string{mode}
				m.Terms.Steps = []ModeSteps{{Mode: mode, Steps: []Step{{Name: StepRedact, Config: []byte(config)}}}}
				err := m.unfailing()
				if want := name != "" && f == FormatJSONL && Private(mode); want != (err != nil) || want && !strings.Contains(err.Error(), `"optional": true`) {
					t.Errorf("%s in %s of %s: %v", config, mode, f, err)
				}
			}
		}
	}
}

// TestDatasetsOnTheSamePeople: one person in two of one owner's datasets would count twice.
func TestDatasetsOnTheSamePeople(t *testing.T) {
	owner, err := envelope.GenerateSigner(envelope.RoleOwner)
	if err != nil {
		t.Fatal(err)
	}
	a, b := &Manifest{Owner: owner.Public()}, &Manifest{Owner: owner.Public()}
	a.Terms.Privacy.Population, b.Terms.Privacy.Population = "patients", "patients"
	if !SamePeople(a, b, UnitRecord) || !SamePeople(a, b, UnitContributor) {
		t.Error("one population")
	}
	b.Terms.Privacy.Population = "nurses"
	if SamePeople(a, b, UnitRecord) || !SamePeople(a, b, UnitContributor) {
		t.Error("two populations")
	}
}
