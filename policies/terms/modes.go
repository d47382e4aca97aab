// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// Mode is a privacy mode: how data is protected from the code that computes on it.
type Mode struct {
	Name   string
	Says   string
	Built  bool // this release enforces it; the others are refused
	Params []Param

	rests bool // on steps, which a steps file may name instead of the parameters

	classes []string // of output that the mode can let out
	sealed  bool     // the code's own words may leave, sealed
	charge  string   // what a job costs the privacy account: Infinite, Pure, Approximate
	steps   []string // what must be done before the code sees anything
}

// Param is a parameter of a mode.
type Param struct {
	Name string
	Form string
	Says string
	list bool
	file bool                        // beside the terms
	free bool                        // may be left out
	read func(string) (int64, error) // of a number, in integer units; nil: a word or list
	most int64
}

// What a job in a mode costs the privacy account of its population.
const (
	Infinite    = "infinite"    // no guarantee: later ones are conditional
	Pure        = "pure"        // epsilon
	Approximate = "approximate" // epsilon at delta
)

// Plan is what a mode needs in order to be enforced.
type Plan struct {
	Mode        string              `json:"mode"`
	Built       bool                `json:"built"`
	Numbers     map[string]int64    `json:"numbers"` // data of the rules: parameters in integer units
	Words       map[string][]string `json:"words"`   // ... and its words
	Obligations PlanObligations     `json:"obligations"`
	Account     PlanAccount         `json:"account"`
}

// PlanObligations is what the enclave must do.
type PlanObligations struct {
	Steps      []string `json:"steps"`    // before the code sees anything, in order
	Classes    []string `json:"classes"`  // of output
	Logs       string   `json:"logs"`     // at most
	Counters   string   `json:"counters"` // "exact", or "fixed": what steps count is stated as 0
	EpsilonCap int64    `json:"epsilonCap"`
}

// PlanAccount is what the ledger debits for one job.
type PlanAccount struct {
	Population string `json:"population"`
	Charge     string `json:"charge"`
	Epsilon    int64  `json:"epsilon"` // millionths
	Delta      int64  `json:"delta"`   // 10⁻¹²
}

// Modes are all privacy modes. Those that are not built parse, so that a creator learns what they will need, and are
// refused.
func Modes() []Mode {
	epsilon := Param{Name: "epsilon", Form: "a number, six decimals", Says: "that one job may spend, all its attempts together", read: micros, most: dataset.MaxAmount}
	delta := Param{Name: "delta", Form: "a number, twelve decimals", Says: "at which epsilon holds", read: picos, most: 999_999_999_999}
	fields := Param{Name: "fields", Form: "names of columns", Says: "that it applies to", list: true}
	steps := Param{Name: stepsParam, Form: "a file beside this one", Says: "with the steps, instead of what else is said here", file: true}
	count := func(name, says string) Param {
		return Param{Name: name, Form: "a count", Says: says, read: parseInteger, most: dataset.MaxAmount}
	}
	contributions := count("contributions", "of one contributor that count, at most; exactly where the unit is the contributor")
	contributions.most, contributions.free = dataset.MaxContributions, true
	shards := count("shards", "that the data is cut into, at least")
	shards.most = dataset.MaxShards
	before := steps
	before.Says, before.free = "with steps that look at one record at a time, before all else", true
	all := []string{"metrics", "model", "table"}
	list := []Mode{
		{Name: dataset.ModeRaw, Says: "code sees the records as they are, inside the enclave only", classes: all, sealed: true, charge: Infinite},
		{
			Name: dataset.ModeRedacted, Says: "names, addresses and the like are replaced before code sees the records", classes: all, sealed: true, charge: Infinite, rests: true,
			Params: []Param{{Name: "detect", Form: "kinds of personal data", Says: "that are replaced", list: true}, steps},
		},
		{
			Name: dataset.ModePseudonymised, Says: "identifiers become keyed tokens, the same within one job", classes: all, sealed: true, charge: Infinite, rests: true,
			Params: []Param{fields, steps},
		},
		{
			Name: dataset.ModeKAnonymous, Says: "every record looks like k - 1 others in the fields that could tell who it is", classes: all, charge: Infinite, rests: true,
			Params: []Param{count("k", "records that must look alike"), fields, {Name: "suppress", Form: "a fraction", Says: "of records that may be left out", read: micros, most: 1_000_000}, steps},
		},
		{
			Name: dataset.ModeLocalDP, Says: "noise is put into each record before code sees it", classes: all, charge: Pure, rests: true,
			Params: []Param{steps},
		},
		{
			Name: dataset.ModeTraining, Says: "the enclave clips and sums gradients and adds noise; code sees one record at a time", classes: []string{"metrics", "model"}, charge: Approximate,
			Params: []Param{epsilon, delta, contributions, runtimes(dataset.ModeTraining), before},
		},
		{
			Name: dataset.ModeRelease, Says: "only noisy sums and counts leave; there is no code", classes: []string{"metrics", "table"}, charge: Approximate,
			Params: []Param{epsilon, delta, contributions, runtimes(dataset.ModeRelease), before},
		},
		{
			Name: dataset.ModeAggregate, Says: "any code runs on disjoint shards, and a noisy aggregate leaves", classes: []string{"metrics", "model"}, charge: Approximate,
			Params: []Param{epsilon, delta, shards, contributions, runtimes(dataset.ModeAggregate), before},
		},
		{
			Name: "aggregate-only", Says: "only a sum over several hosts leaves, no part of it", classes: []string{"metrics", "model"}, charge: Infinite,
			Params: []Param{count("hosts", "least that take part")},
		},
		{
			Name: "synthetic-only", Says: "code sees records that were made up after a noisy model of the data", classes: all, charge: Approximate,
			Params: []Param{epsilon, delta, count("records", "that are made up")}, steps: []string{"synthesise"},
		},
	}
	for i := range list {
		list[i].Built = dataset.Enforced(list[i].Name)
	}
	return list
}

// stepsParam is the parameter that stands in place of a mode's others, in modes that rest on steps.
const stepsParam = "steps"

// runtimes are those that a mode may run in. The one that asks least of the worker is meant where none is named.
func runtimes(mode string) Param {
	known := dataset.RuntimesFor(mode)
	return Param{
		Name: runtimesParam, Form: "of " + strings.Join(known, ", ") + "; " + known[0] + " if left out",
		Says: "that epsilon may rest on besides noise", list: true, free: true,
	}
}

const runtimesParam = "runtimes"

func modeByName(name string) (Mode, bool) {
	for _, m := range Modes() {
		if m.Name == name {
			return m, true
		}
	}
	return Mode{}, false
}

// BuiltModes are the names of those that this release enforces.
func BuiltModes() []string {
	var out []string
	for _, m := range Modes() {
		if m.Built {
			out = append(out, m.Name)
		}
	}
	return out
}

func modeNames() []string {
	var out []string
	for _, m := range Modes() {
		out = append(out, m.Name)
	}
	return out
}

// modes reads the list of names, or the section of names with parameters.
func (c *compiler) modes() {
	v := c.get("modes")
	if v == nil || v.kind == "" {
		return
	}
	if v.kind != isSection {
		for _, name := range c.set("modes", func(string) error { return nil }) {
			c.mode(name, section(v.at))
		}
		return
	}
	if len(v.keys) == 0 {
		c.problem(v.at, "modes", "names none", "write raw-in-tee: {}")
	}
	for _, name := range v.keys {
		c.mode(name, v.fields[name])
	}
	slices.Sort(c.out.Terms.Modes)
}

func (c *compiler) mode(name string, v *value) {
	path := "modes." + name
	m, ok := modeByName(name)
	switch {
	case v.kind == "":
		return
	case !ok:
		c.problem(v.at, path, "is not a privacy mode", c.suggest(name, modeNames()))
		return
	case v.kind != isSection:
		c.problem(v.at, path, "has parameters below it", "write "+name+": {}")
		return
	}
	p := Plan{
		Mode: name, Built: m.Built, Numbers: map[string]int64{}, Words: map[string][]string{},
		Obligations: PlanObligations{Steps: append([]string{}, m.steps...), Classes: intersection(m.classes, c.out.Terms.Outputs), Logs: dataset.LogsOff, Counters: "fixed"},
		Account:     PlanAccount{Population: c.out.Terms.Privacy.Population, Charge: m.charge},
	}
	if m.sealed {
		p.Obligations.Logs, p.Obligations.Counters = c.out.Terms.Logs, "exact"
	}
	wrong := len(c.problems.List)
	c.params(m, v, &p)
	if (m.rests || v.fields[stepsParam] != nil) && len(c.problems.List) == wrong {
		c.pin(m, v, &p)
	}
	if dataset.Private(name) {
		c.private(v, &p)
	}
	p.Account.Epsilon, p.Account.Delta, p.Obligations.EpsilonCap = p.Numbers["epsilon"], p.Numbers["delta"], p.Numbers["epsilon"]
	c.out.Plans, c.out.Terms.Modes = append(c.out.Plans, p), append(c.out.Terms.Modes, name)
	c.fits(m, p, v)
	if !m.Built {
		c.problems.add(Problem{
			Line: v.at.Line, Column: v.at.Column, Path: path, err: ErrMode, Message: "this release does not enforce the mode, so it cannot be promised",
			Hint: "what is enforced: " + strings.Join(BuiltModes(), ", "),
		})
	}
}

func (c *compiler) suggest(name string, known []string) string {
	if n := near(name, known); len(n) > 0 {
		return "did you mean " + strings.Join(n, " or ") + "?"
	}
	return "known: " + strings.Join(known, ", ")
}

// params reads a mode's parameters; all are required.
func (c *compiler) params(m Mode, v *value, p *Plan) {
	for _, k := range v.keys {
		if !slices.ContainsFunc(m.Params, func(x Param) bool { return x.Name == k }) {
			var names []string
			for _, x := range m.Params {
				names = append(names, x.Name)
			}
			c.problem(v.fields[k].at, "modes."+m.Name+"."+k, "is not a parameter of the mode", "known: "+strings.Join(append(names, "none else"), ", "))
		}
	}
	instead := m.rests && v.fields[stepsParam] != nil
	for _, x := range m.Params {
		path := "modes." + m.Name + "." + x.Name
		switch f := v.fields[x.Name]; {
		case x.file && (instead || len(m.Params) > 1): // read by pin; or the others say it
		case x.free && f == nil:
		case f != nil && instead:
			c.problem(f.at, path, "is for the steps file to say", "leave it out, or leave "+stepsParam+" out")
		case f == nil && instead:
		case f == nil:
			c.problem(v.at, path, "is missing: "+x.Says, "write "+x.Form)
		case x.list:
			p.Words[x.Name] = c.setOf(f, path, func(string) error { return nil })
		case f.kind != isText:
			c.problem(f.at, path, fmt.Sprintf("is %s", f.kind), "want "+x.Form)
		default:
			p.Numbers[x.Name] = c.number(path, x.read, 1, x.most, 0)
		}
	}
}

// pin makes the steps that a mode rests on, and what they spend.
func (c *compiler) pin(m Mode, v *value, p *Plan) {
	path, at := "modes."+m.Name, v.at
	var file []byte
	if f := v.fields[stepsParam]; f != nil {
		path, at = path+"."+stepsParam, f.at
		var err error
		if file, err = c.beside(f); err != nil {
			c.problem(at, path, err.Error(), "name a file that lies beside the terms")
			return
		}
	}
	if c.cfg.Steps == nil {
		c.problem(at, path, "rests on steps, which cannot be pinned here", "")
		return
	}
	steps, err := c.cfg.Steps(p, file)
	if err != nil {
		c.problems.add(Problem{Line: at.Line, Column: at.Column, Path: path, Message: err.Error(), err: err, Hint: "docs/transforms.md says what steps are and how they are configured"})
		return
	}
	p.Obligations.Steps = p.Obligations.Steps[:0]
	for _, s := range steps {
		p.Obligations.Steps = append(p.Obligations.Steps, s.Name)
		if m.rests { // elsewhere the enclave spends it, and no step may
			p.Numbers["epsilon"] += s.Epsilon
		}
	}
	if p.Numbers["epsilon"] == 0 {
		delete(p.Numbers, "epsilon")
	}
	t := &c.out.Terms
	t.Steps = append(t.Steps, dataset.ModeSteps{Mode: m.Name, Steps: steps})
	slices.SortFunc(t.Steps, func(a, b dataset.ModeSteps) int { return strings.Compare(a.Mode, b.Mode) })
	if m.charge == Pure && t.Privacy.Adjacency != dataset.ReplaceOne {
		c.contradict("privacy.adjacency", path, "noise in records hides what they say, not how many there are: write adjacency: replace-one")
	}
	if m.charge == Pure && t.Privacy.Unit != dataset.UnitRecord {
		c.contradict("privacy.unit", path, "epsilon is of a record, and a contributor may have any number of them")
	}
}

// beside reads the file that a value names.
func (c *compiler) beside(f *value) ([]byte, error) {
	switch {
	case f.kind != isText:
		return nil, fmt.Errorf("is %s", f.kind)
	case c.cfg.File == nil:
		return nil, errors.New("files cannot be read here")
	}
	b, err := c.cfg.File(f.text, maxSteps)
	if err == nil && b == nil {
		b = []byte{}
	}
	return b, err
}

// private takes what one job may spend where the enclave adds the noise.
func (c *compiler) private(v *value, p *Plan) {
	t, path := &c.out.Terms, "modes."+p.Mode
	if n := p.Words[runtimesParam]; v.fields[runtimesParam] == nil {
		p.Words[runtimesParam] = dataset.RuntimesFor(p.Mode)[:1]
	} else {
		for _, r := range n {
			if !slices.Contains(dataset.RuntimesFor(p.Mode), r) {
				c.problem(v.fields[runtimesParam].at, path+"."+runtimesParam, fmt.Sprintf("%q is not a runtime of the mode", r),
					"want of "+strings.Join(dataset.RuntimesFor(p.Mode), ", "))
			}
		}
	}
	counted := v.fields["contributions"] != nil
	switch contributor := t.Privacy.Unit == dataset.UnitContributor; {
	case contributor && !counted:
		c.contradict("privacy.unit", path, "a contributor may have any number of records: write contributions, how many of hers count")
	case !contributor && counted:
		c.contradict("privacy.unit", path+".contributions", "the unit is a record, of which there is one: write unit: contributor, or leave contributions out")
	case !contributor:
		p.Numbers["contributions"] = 1
	}
	t.Private = append(t.Private, dataset.ModePrivacy{
		Mode: p.Mode, Epsilon: p.Numbers["epsilon"], Delta: p.Numbers["delta"], Contributions: p.Numbers["contributions"],
		Runtimes: p.Words[runtimesParam], Shards: p.Numbers["shards"],
	})
	slices.SortFunc(t.Private, func(a, b dataset.ModePrivacy) int { return strings.Compare(a.Mode, b.Mode) })
}

// fits compares a mode with what the terms promise otherwise.
func (c *compiler) fits(m Mode, p Plan, v *value) {
	t := &c.out.Terms
	path := "modes." + m.Name
	if c.get(path) == nil {
		path = "modes"
	}
	for _, class := range t.Outputs {
		if !slices.Contains(m.classes, class) {
			c.contradict("outputs.classes", path, fmt.Sprintf("outputs of class %s do not leave in the mode", class))
		}
	}
	if t.Logs == dataset.LogsSealed && !m.sealed {
		c.contradict("run.logs", path, "the code's words would tell about records")
	}
	switch {
	case m.charge == Infinite && t.Privacy.Epsilon > 0:
		c.contradict("privacy.epsilon", path, "the mode gives no guarantee that an epsilon could bound")
	case m.charge != Infinite && t.Privacy.Epsilon == 0:
		c.contradict(path, "privacy.epsilon", "the mode spends epsilon, and no account bounds it")
	case m.charge != Infinite && p.Account.Epsilon > t.Privacy.Epsilon:
		c.contradict("privacy.epsilon", path+".epsilon", "one job would spend more than all jobs may")
	case m.charge != Infinite && t.Privacy.BuyerEpsilon > 0 && p.Account.Epsilon > t.Privacy.BuyerEpsilon:
		c.contradict("privacy.each-buyer", path+".epsilon", "one job would spend more than one buyer may")
	case m.charge == Approximate && p.Account.Delta > t.Privacy.Delta:
		c.contradict("privacy.delta", path+".delta", "the job's delta is above the account's")
	}
}

func intersection(a, b []string) []string {
	out := []string{}
	for _, s := range a {
		if slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}
