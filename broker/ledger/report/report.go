// SPDX-License-Identifier: Apache-2.0

// Package report is what an owner is told about her ledger: glovebox-broker makes it, and the command line shows it.
//
// Trust domain: the owner's side; pure. Its one job: the words and units of the report, and the forecast. Money is in
// millionths of the currency's unit, ε in millionths rounded up, δ in 10⁻¹², times in Unix milliseconds.
package report

import (
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// Report is the whole of it.
type Report struct {
	Time        int64            `json:"time"`
	Records     int64            `json:"records"`
	Head        *envelope.Digest `json:"head"`
	Revision    int64            `json:"revision"`
	WindowDays  int64            `json:"windowDays"` // of the forecasts
	Packages    []Package        `json:"packages"`
	Populations []Population     `json:"populations"`
	Jobs        []Job            `json:"jobs"`
	Permits     []Permit         `json:"permits"` // those that were used
}

// Permit is how often a permit was used.
type Permit struct {
	ID   envelope.Digest `json:"id"`
	Used int64           `json:"used"` // jobs; one that came to nothing gave its use back
}

// Tally is what was used, by one job or by many.
type Tally struct {
	Reserved int64 `json:"reserved"` // held for live leases
	Charged  int64 `json:"charged"`  // owed
	Chunks   int64 `json:"chunks"`   // leaves delivered, repeats included, by usage statements
	Bytes    int64 `json:"bytes"`
	Records  int64 `json:"records"`
	Unheard  int64 `json:"unheard"` // leaves that leases without a usage statement may have been delivered, at most
}

// Add adds o; false when a sum is out of range.
func (t *Tally) Add(o *Tally) bool {
	ok := true
	for _, p := range []struct {
		to   *int64
		from int64
	}{
		{&t.Reserved, o.Reserved}, {&t.Charged, o.Charged}, {&t.Chunks, o.Chunks}, {&t.Bytes, o.Bytes}, {&t.Records, o.Records}, {&t.Unheard, o.Unheard},
	} {
		sum := *p.to + p.from
		ok = ok && p.from >= 0 && sum >= *p.to
		*p.to = sum
	}
	return ok
}

// Package is one package's account.
type Package struct {
	Manifest envelope.Digest `json:"manifest"`
	Dataset  string          `json:"dataset"`
	Name     string          `json:"name"` // "" when the package is no longer in the directory
	Version  int64           `json:"version"`
	Currency string          `json:"currency"`
	Uses     int64           `json:"uses"`
	MaxUses  int64           `json:"maxUses"`
	UsesLeft int64           `json:"usesLeft"`
	NotAfter int64           `json:"notAfter"`
	Forecast Forecast        `json:"forecast"` // of UsesLeft
	Tally
	Buyers []Buyer `json:"buyers"`
}

// Buyer is one buyer's share of a package.
type Buyer struct {
	Buyer    envelope.PublicKey `json:"buyer"`
	Uses     int64              `json:"uses"`
	MaxUses  int64              `json:"maxUses"` // 0: no quota of her own
	UsesLeft int64              `json:"usesLeft"`
	Tally
}

// Population is one privacy account.
type Population struct {
	Name        string            `json:"name"`
	Unit        string            `json:"unit"`
	Adjacency   string            `json:"adjacency"`
	Delta       int64             `json:"delta"`
	Releases    int64             `json:"releases"`
	Unbounded   int64             `json:"unbounded"`   // without differential privacy: ε = ∞
	Conditional bool              `json:"conditional"` // what follows holds only for what those did not reveal
	Epsilon     *int64            `json:"epsilon"`     // of all other releases together; null when no ε holds at δ
	Cap         int64             `json:"cap"`
	Left        int64             `json:"left"`
	Forecast    Forecast          `json:"forecast"` // of Left
	Buyers      []PopulationBuyer `json:"buyers"`
	Spends      []Spend           `json:"spends"` // in modes with noise of the enclave's, oldest first
}

// Spend is what one lease cost a privacy account where the enclave adds the noise: what it said that it did, or else all that the
// job declares. ε is that of the lease alone.
type Spend struct {
	Grant         envelope.Digest    `json:"grant"`
	Manifest      envelope.Digest    `json:"manifest"`
	Job           envelope.Digest    `json:"job"`
	Buyer         envelope.PublicKey `json:"buyer"`
	Time          int64              `json:"time"`  // of the grant
	State         string             `json:"state"` // "reserved", "spent": as the enclave stated, or "kept": it was not heard of
	Mode          string             `json:"mode"`
	Unit          string             `json:"unit"`
	Contributions int64              `json:"contributions"` // of one unit that counted, at most
	Adjacency     string             `json:"adjacency"`
	Mechanisms    []dp.Mechanism     `json:"mechanisms"` // empty: nothing was done
	Accountant    string             `json:"accountant"`
	Delta         int64              `json:"delta"`
	Epsilon       int64              `json:"epsilon"`   // at Delta, by Accountant
	Isolation     string             `json:"isolation"` // runtime class that it rests on
}

// PopulationBuyer is one buyer's share of a privacy account.
type PopulationBuyer struct {
	Buyer     envelope.PublicKey `json:"buyer"`
	Releases  int64              `json:"releases"`
	Unbounded int64              `json:"unbounded"`
	Epsilon   *int64             `json:"epsilon"`
	Cap       int64              `json:"cap"`
	Left      int64              `json:"left"`
}

// Job is what one job used of one package.
type Job struct {
	Manifest    envelope.Digest    `json:"manifest"`
	Name        string             `json:"name"`
	Job         envelope.Digest    `json:"job"`
	Buyer       envelope.PublicKey `json:"buyer"`
	Code        *envelope.Digest   `json:"code"`
	Purpose     string             `json:"purpose"`
	Population  string             `json:"population"`
	Attempts    int64              `json:"attempts"`
	State       string             `json:"state"` // of the last attempt
	Grant       envelope.Digest    `json:"grant"` // of the last attempt: what a revocation of one lease names
	Used        bool               `json:"used"`  // counts as a use for good
	Live        bool               `json:"live"`  // counts as a use while its lease lives
	Currency    string             `json:"currency"`
	First       int64              `json:"first"`       // when its first attempt was granted
	Commits     int64              `json:"commits"`     // signed, over all attempts
	Unwitnessed int64              `json:"unwitnessed"` // of Commits: they do not prove that witnesses saw the release before
	Tally
}

// Forecast says until when something lasts if it goes on being spent as in the last days.
type Forecast struct {
	Known bool   `json:"known"`
	Until int64  `json:"until"` // 0 unless Known, and where it lasts longer than a forecast can say
	Why   string `json:"why"`   // why there is none, or what it rests on
}

const (
	day       = 24 * 60 * 60 * 1000
	minEvents = 3
	farFuture = 100 * 365 * day // beyond it a date would be a joke
)

// Project forecasts how long left lasts: spent went, in events at the given times, between now minus days and now. With
// fewer than three events, or less than a day between the first of them and now, there is no forecast.
func Project(now, days, spent, left int64, times []int64) Forecast {
	start := now - days*day
	times = slices.DeleteFunc(slices.Clone(times), func(t int64) bool { return t < start || t > now })
	switch {
	case left <= 0:
		return Forecast{Known: true, Until: now, Why: "nothing is left"}
	case len(times) < minEvents:
		return Forecast{Why: "no forecast: fewer than three releases in these days"}
	}
	span := now - slices.Min(times)
	if span < day {
		return Forecast{Why: "no forecast: less than a day of releases"}
	}
	if spent <= 0 {
		return Forecast{Why: "no forecast: nothing was spent in these days"}
	}
	lasts := float64(span) * float64(left) / float64(spent)
	if lasts > farFuture {
		return Forecast{Known: true, Why: "longer than a hundred years"}
	}
	return Forecast{Known: true, Until: now + int64(lasts), Why: "at the rate of these days"}
}
