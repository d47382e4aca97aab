// SPDX-License-Identifier: Apache-2.0

// Package release answers declarative queries over records with differential privacy: counts, sums, means, variances,
// quantiles, histograms, and linear and logistic regression. Nobody's code runs.
//
// Trust domain: the enclave process at run time, buyers and auditors when they ask what a file of queries comes to; pure.
// Its one job: what [Queries.Mechanisms] says before any record is seen is all that [Run] does to the records: every value
// that a [Run] gives is made of noised integers and of what the file says, and of nothing else. docs/privacy.md has the
// format and the proofs.
package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// Errors of this package. None has text of a record in it.
var (
	// ErrQueries is a file of queries that is wrong; the text says where and what would be right.
	ErrQueries = errors.New("release: invalid queries")
	// ErrRun is a run that cannot take a record: a unit that is no unit, or more records than it has room for.
	ErrRun = errors.New("release: out of bounds")
)

// FileName is the file of a code package that holds the queries, in place of a module.
const FileName = "queries.json"

// Version of the format of queries and of results.
const Version = 1

// Units of privacy: what one person is.
const (
	UnitRecord      = dataset.UnitRecord
	UnitContributor = dataset.UnitContributor
)

// Bounds.
const (
	MaxFile          = 1 << 20 // bytes of a file of queries
	MaxQueries       = 256
	MaxConditions    = 32 // of one query
	MaxValues        = 10_000
	MaxText          = 256 // bytes of a name of a field, and of a key
	MaxFeatures      = 32
	MaxContributions = 1 << 20
	MaxUnits         = 1 << 31
	// MaxRows bounds the records of a logistic regression, which are held in memory, and over which floats are summed.
	MaxRows = 1 << 24
)

// Queries is a file of queries that was checked. It is read-only.
type Queries struct{ list []query }

// query is one kind of query.
type query interface {
	base() *common
	// check is called once, after decoding.
	check() error
	// parts are the mechanisms, in the order in which they are applied.
	parts(s *setting) ([]part, error)
	// start makes a counter that will apply the parts.
	start(s *setting, parts []part) counter
	// fields are the names that records must have.
	fields() []string
	// values are texts of the file that a result has, one for each of its values.
	values() []string
}

// counter takes records in, and gives what it says of them once.
type counter interface {
	add(unit int, r *transforms.Record)
	result(src *sampler.Source, out *Result) error
}

// setting is what holds for all queries of a run.
type setting struct {
	unit          string
	replace       bool
	contributions int64
}

// sides is how many times what a unit can add may come to, when it changes: once if it comes or goes, twice if it becomes
// another.
func (s *setting) sides() int64 {
	if s.replace {
		return 2
	}
	return 1
}

func newSetting(unit, adjacency string, contributions int64) (*setting, error) {
	switch {
	case unit != UnitRecord && unit != UnitContributor:
		return nil, fmt.Errorf("%w: unit %q, want %q or %q", ErrQueries, unit, UnitRecord, UnitContributor)
	case adjacency != dp.AddOrRemove && adjacency != dp.ReplaceOne:
		return nil, fmt.Errorf("%w: adjacency %q, want %q or %q", ErrQueries, adjacency, dp.AddOrRemove, dp.ReplaceOne)
	case contributions < 1 || contributions > MaxContributions:
		return nil, fmt.Errorf("%w: %d contributions, want 1 to %d", ErrQueries, contributions, MaxContributions)
	case unit == UnitRecord && contributions != 1:
		return nil, fmt.Errorf("%w: %d contributions of a unit that is one record", ErrQueries, contributions)
	}
	return &setting{unit, adjacency == dp.ReplaceOne, contributions}, nil
}

// kinds are the queries that there are, by their kind.
var kinds = map[string]func() query{
	"count":     func() query { return &countQuery{} },
	"sum":       func() query { return &sumQuery{} },
	"mean":      func() query { return &meanQuery{} },
	"variance":  func() query { return &varianceQuery{} },
	"quantiles": func() query { return &quantilesQuery{} },
	"histogram": func() query { return &histogramQuery{} },
	"linear":    func() query { return &linearQuery{} },
	"logistic":  func() query { return &logisticQuery{} },
}

// Kinds are the kinds of queries, sorted.
func Kinds() []string {
	var out []string
	for k := range kinds {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

var nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Parse reads a file of queries, strictly. Its errors wrap [ErrQueries] and say which query and member is wrong.
func Parse(b []byte) (*Queries, error) {
	var f struct {
		Version int               `json:"version"`
		Queries []json.RawMessage `json:"queries"`
	}
	if err := transforms.DecodeWords(b, MaxFile, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrQueries, err)
	}
	if f.Version != Version {
		return nil, fmt.Errorf("%w: version: %d, want %d", ErrQueries, f.Version, Version)
	}
	if len(f.Queries) == 0 || len(f.Queries) > MaxQueries {
		return nil, fmt.Errorf("%w: queries: %d of them, want 1 to %d", ErrQueries, len(f.Queries), MaxQueries)
	}
	q, seen := &Queries{}, map[string]bool{}
	for i, raw := range f.Queries {
		one, err := parseQuery(raw)
		if err == nil && seen[one.base().Name] {
			err = errors.New("name: another query has it too")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: queries[%d]: %w", ErrQueries, i, err)
		}
		seen[one.base().Name] = true
		q.list = append(q.list, one)
	}
	return q, nil
}

func parseQuery(raw json.RawMessage) (query, error) {
	var head struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, fmt.Errorf("want an object {\"name\": …, \"kind\": …}, one of the kinds %s", strings.Join(Kinds(), ", "))
	}
	make, ok := kinds[head.Kind]
	if !ok {
		return nil, fmt.Errorf("kind: %q, want one of %s", head.Kind, strings.Join(Kinds(), ", "))
	}
	q := make()
	if err := transforms.DecodeWords(raw, MaxFile, q); err != nil {
		return nil, err
	}
	if err := q.base().check(); err != nil {
		return nil, err
	}
	return q, q.check()
}

// Mechanisms is what the queries do to the records, in order: it depends on nothing but the file and its arguments, and
// adds up to what is spent. Its errors wrap [ErrQueries].
func (q *Queries) Mechanisms(unit, adjacency string, contributions int64) ([]dp.Mechanism, error) {
	s, err := newSetting(unit, adjacency, contributions)
	if err != nil {
		return nil, err
	}
	var out []dp.Mechanism
	for _, one := range q.list {
		parts, err := one.parts(s)
		if err != nil {
			return nil, fmt.Errorf("%w: query %q: %w", ErrQueries, one.base().Name, err)
		}
		for _, p := range parts {
			out = append(out, p.Mechanism)
		}
	}
	if len(out) > dp.MaxMechanisms {
		return nil, fmt.Errorf("%w: %d mechanisms, at most %d: ask fewer queries at once", ErrQueries, len(out), dp.MaxMechanisms)
	}
	for i := range out {
		if err := out[i].Validate(); err != nil {
			return nil, fmt.Errorf("%w: mechanism %d: %w", ErrQueries, i, err)
		}
	}
	return out, nil
}

// ResultBytes is what a result takes at most.
func (q *Queries) ResultBytes() int64 {
	const head, one, value = 256, 1536, 192 // with three noises and an interval; a group, quantile or coefficient
	n := int64(head)
	for _, c := range q.list {
		n += one
		for _, text := range c.values() {
			n += value + 6*int64(len(text)) // as JSON may have to write it
		}
	}
	return n
}

// Bind refuses queries of columns that records of a schema do not have. Of JSON nobody knows before the records are read:
// a name that no record has is missing in all of them.
func (q *Queries) Bind(in transforms.Schema) error {
	if in.Columns == nil {
		return nil
	}
	for _, one := range q.list {
		for _, f := range one.fields() {
			if !slices.Contains(in.Columns, f) {
				return fmt.Errorf("%w: query %q: there is no column %q", ErrQueries, one.base().Name, f)
			}
		}
	}
	return nil
}

// Run is one pass over records. It is for one goroutine.
type Run struct {
	q        *Queries
	s        *setting
	counters []counter
	parts    [][]part // of each counter
	drawn    *sampler.Source
	taken    []int32 // records of each unit that count
	rows     int64
	over     bool
}

// NewRun begins to answer queries. Its errors are those of [Queries.Mechanisms].
func NewRun(q *Queries, unit, adjacency string, contributions int64) (*Run, error) {
	if _, err := q.Mechanisms(unit, adjacency, contributions); err != nil {
		return nil, err
	}
	s, err := newSetting(unit, adjacency, contributions)
	if err != nil {
		return nil, err
	}
	r := &Run{q: q, s: s}
	for _, one := range q.list {
		parts, err := one.parts(s)
		if err != nil {
			return nil, fmt.Errorf("%w: query %q: %w", ErrQueries, one.base().Name, err)
		}
		r.counters, r.parts = append(r.counters, one.start(s, parts)), append(r.parts, parts)
	}
	return r, nil
}

// DrawAhead draws all noise of which the file says how much there is, so that how long the result takes does not tell of it. Left
// for [Run.Result], from the same source, are quantiles and histograms of keys that are not declared. Call it once, before
// there are records to wait for.
func (r *Run) DrawAhead(src *sampler.Source) error {
	if r.over || r.drawn != nil || src == nil {
		return fmt.Errorf("%w: noise is drawn once, from a source", ErrRun)
	}
	for _, parts := range r.parts {
		for i := range parts {
			if parts[i].draws == 0 {
				continue
			}
			if err := parts[i].Ahead(src, parts[i].draws); err != nil {
				return err
			}
		}
	}
	r.drawn = src
	return nil
}

// Wipe forgets noise that was drawn ahead and not used, as of a run that failed.
func (r *Run) Wipe() {
	for _, parts := range r.parts {
		for i := range parts {
			parts[i].Wipe()
		}
	}
}

// Add takes a record of a unit in. Records of a unit beyond its contributions count nowhere, whatever they are: which of
// them come first is the order of the dataset. Nothing of the record is kept but integers, and keys of histograms.
func (r *Run) Add(unit int, rec *transforms.Record) error {
	if r.over || unit < 0 || unit >= MaxUnits {
		return fmt.Errorf("%w: unit %d", ErrRun, unit)
	}
	for unit >= len(r.taken) {
		r.taken = append(r.taken, make([]int32, unit+1-len(r.taken))...)
	}
	if int64(r.taken[unit]) >= r.s.contributions {
		return nil
	}
	if r.rows >= MaxUnits { // sums of bounded integers have room for as many
		return fmt.Errorf("%w: more than %d records", ErrRun, int64(MaxUnits))
	}
	r.rows++
	r.taken[unit]++
	for i, c := range r.counters {
		if r.q.list[i].base().matches(rec) {
			c.add(unit, rec)
		}
	}
	return nil
}

// Result adds the noise that was drawn ahead and gives the answers as JSON (see [Results]). It can be had once: a second one
// would have other noise.
func (r *Run) Result() ([]byte, error) {
	if r.over {
		return nil, fmt.Errorf("%w: the result was given already", ErrRun)
	}
	if r.drawn == nil {
		return nil, fmt.Errorf("%w: no noise was drawn", ErrRun)
	}
	r.over = true
	out := Results{Version: Version, Unit: r.s.unit, Adjacency: dp.AddOrRemove, Contributions: r.s.contributions}
	if r.s.replace {
		out.Adjacency = dp.ReplaceOne
	}
	for i, c := range r.counters {
		one := Result{Name: r.q.list[i].base().Name, Kind: r.q.list[i].base().Kind}
		if err := c.result(r.drawn, &one); err != nil {
			return nil, err
		}
		out.Results = append(out.Results, one)
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRun, err)
	}
	return append(b, '\n'), nil
}
