// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/broker/ledger/report"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Report tells an owner what her ledger says: what was spent, by whom, for what, and what remains, with forecasts at the
// rate of the last days. It reads beside a running broker. anchor is nil where the ledger's is the head file.
func Report(ctx context.Context, s *config.Config, anchor ledger.Anchor, now, days int64) (*report.Report, error) {
	packages, err := config.ListPackages(s.Layout().Dir)
	if err != nil {
		return nil, err
	}
	m := reporter{
		out:     &report.Report{Time: now, WindowDays: days, Packages: []report.Package{}, Populations: []report.Population{}, Jobs: []report.Job{}, Permits: []report.Permit{}},
		known:   map[envelope.Digest]*dataset.Manifest{},
		entries: map[envelope.Digest][]*ledger.Entry{},
	}
	for _, p := range packages {
		m.known[p.ID] = p.Manifest
	}
	l := s.Layout()
	err = ledger.Read(ctx, ledger.Config{Path: l.Ledger(), Head: l.Head(), Anchor: anchor}, m.read)
	if errors.Is(err, fs.ErrNotExist) { // the broker never ran
		err = m.packages()
	}
	return m.out, err
}

// reporter gathers a report.
type reporter struct {
	out     *report.Report
	known   map[envelope.Digest]*dataset.Manifest
	entries map[envelope.Digest][]*ledger.Entry // by package
}

func (m *reporter) read(t *ledger.Tx) (err error) {
	if m.out.Records, m.out.Head, m.out.Revision, err = t.Head(); err != nil {
		return err
	}
	entries, err := t.Entries()
	if err != nil {
		return err
	}
	for _, e := range entries {
		m.out.Jobs = append(m.out.Jobs, m.job(e))
		m.entries[e.Manifest] = append(m.entries[e.Manifest], e)
	}
	if err := m.commits(t); err != nil {
		return err
	}
	if err := m.packages(); err != nil {
		return err
	}
	permits, err := t.PermitUses()
	if err != nil {
		return err
	}
	for _, p := range permits {
		m.out.Permits = append(m.out.Permits, report.Permit(p))
	}
	populations, err := t.Populations()
	if err != nil {
		return err
	}
	for _, p := range populations {
		account, err := m.population(t, &p)
		if err != nil {
			return err
		}
		m.out.Populations = append(m.out.Populations, *account)
	}
	return nil
}

// commits counts each job's commits, and those without a proof that the release was cosigned. One from before there were
// proofs has none.
func (m *reporter) commits(t *ledger.Tx) error {
	type use struct{ manifest, job envelope.Digest }
	at := make(map[use]*report.Job, len(m.out.Jobs))
	for i := range m.out.Jobs {
		at[use{m.out.Jobs[i].Manifest, m.out.Jobs[i].Job}] = &m.out.Jobs[i]
	}
	return t.EachCommit(func(manifest, job envelope.Digest, signed []byte) {
		j := at[use{manifest, job}]
		if j == nil {
			return
		}
		j.Commits++
		if c, err := envelope.Peek[grant.Commit](signed, envelope.CommitType); err != nil || c.Predicate.Witnessed == nil {
			j.Unwitnessed++
		}
	})
}

// packages reports on what is in the ledger and on what is in the directory.
func (m *reporter) packages() error {
	for id := range m.known {
		if m.entries[id] == nil {
			m.entries[id] = []*ledger.Entry{}
		}
	}
	for id, list := range m.entries {
		p, err := m.pack(id, list)
		if err != nil {
			return err
		}
		m.out.Packages = append(m.out.Packages, *p)
	}
	slices.SortFunc(m.out.Packages, func(a, b report.Package) int { return comparePackages(&a, &b) })
	return nil
}

func comparePackages(a, b *report.Package) int {
	switch {
	case a.Name != b.Name && a.Name < b.Name, a.Name == b.Name && a.Version < b.Version,
		a.Name == b.Name && a.Version == b.Version && a.Manifest.Hex() < b.Manifest.Hex():
		return -1
	}
	return 1
}

func tally(e *ledger.Entry) report.Tally {
	return report.Tally{Reserved: e.Reserved, Charged: e.Charged, Chunks: e.Chunks, Bytes: e.Bytes, Records: e.Records, Unheard: e.Unheard}
}

func (m *reporter) job(e *ledger.Entry) report.Job {
	j := report.Job{
		Manifest: e.Manifest, Job: e.Job, Buyer: e.Buyer, Purpose: e.Purpose, Population: e.Population, Attempts: e.Attempts,
		State: string(e.State), Grant: e.Grant, Used: e.Used, Live: e.Live, First: e.First, Tally: tally(e),
	}
	if !e.Code.IsZero() {
		j.Code = &e.Code
	}
	if p := m.known[e.Manifest]; p != nil {
		j.Name, j.Currency = p.Name, p.Terms.Price.Currency
	}
	return j
}

// pack is one package's account. What is no longer in the directory has no terms, and nothing left.
func (m *reporter) pack(id envelope.Digest, list []*ledger.Entry) (*report.Package, error) {
	p := &report.Package{Manifest: id, Buyers: []report.Buyer{}}
	quota := int64(0)
	if k := m.known[id]; k != nil {
		p.Dataset, p.Name, p.Version, p.Currency = k.Dataset.String(), k.Name, k.Version, k.Terms.Price.Currency
		p.MaxUses, p.NotAfter, quota = k.Terms.MaxUses, k.Terms.NotAfter*1000, k.Terms.Buyers.MaxUses
	}
	buyers, times, recent := map[string]*report.Buyer{}, []int64(nil), int64(0)
	for _, e := range list {
		name := e.Buyer.String()
		if buyers[name] == nil {
			buyers[name] = &report.Buyer{Buyer: e.Buyer, MaxUses: quota}
		}
		b, sum := buyers[name], tally(e)
		if !p.Add(&sum) || !b.Add(&sum) {
			return nil, fmt.Errorf("%w: sums of package %s", ledger.ErrOverflow, id)
		}
		if !e.Used && !e.Live {
			continue
		}
		p.Uses, b.Uses = p.Uses+1, b.Uses+1
		if times = append(times, e.First); e.First >= m.windowStart() {
			recent++
		}
	}
	p.UsesLeft = max(0, p.MaxUses-p.Uses)
	p.Forecast = report.Project(m.out.Time, m.out.WindowDays, recent, p.UsesLeft, times)
	for _, b := range buyers {
		if b.UsesLeft = p.UsesLeft; quota > 0 {
			b.UsesLeft = min(p.UsesLeft, max(0, quota-b.Uses))
		}
		p.Buyers = append(p.Buyers, *b)
	}
	slices.SortFunc(p.Buyers, func(a, b report.Buyer) int { return int(b.Uses - a.Uses) })
	return p, nil
}

func (m *reporter) windowStart() int64 { return m.out.Time - m.out.WindowDays*24*60*60*1000 }

// population is one privacy account.
func (m *reporter) population(t *ledger.Tx, p *ledger.Population) (*report.Population, error) {
	sum, err := t.PopulationSum(p.Name, nil)
	if err != nil {
		return nil, err
	}
	out := &report.Population{
		Name: p.Name, Unit: p.Unit, Adjacency: p.Adjacency, Delta: p.Delta, Releases: sum.Releases, Unbounded: sum.Unbounded,
		Conditional: sum.Conditional(), Cap: p.Cap, Buyers: []report.PopulationBuyer{},
	}
	out.Epsilon, out.Left = guarantee(sum, p.Delta, p.Cap)
	entries, err := t.PrivacyEntries(p.Name)
	if err != nil {
		return nil, err
	}
	out.Forecast = m.privacyForecast(entries, out, p.Delta)
	if out.Spends, err = privateSpends(t, entries); err != nil {
		return nil, err
	}
	buyers, err := t.PopulationBuyers(p.Name)
	if err != nil {
		return nil, err
	}
	for _, k := range buyers {
		s, err := t.PopulationSum(p.Name, &k)
		if err != nil {
			return nil, err
		}
		b := report.PopulationBuyer{Buyer: k, Releases: s.Releases, Unbounded: s.Unbounded, Cap: p.BuyerCap}
		b.Epsilon, b.Left = guarantee(s, p.Delta, p.BuyerCap)
		out.Buyers = append(out.Buyers, b)
	}
	return out, nil
}

// guarantee is ε in millionths, rounded up, and what is left of a cap.
func guarantee(s *privacy.Sum, delta, limit int64) (epsilon *int64, left int64) {
	nano, ok := s.Guarantee(delta)
	if !ok {
		return nil, 0
	}
	const perMillionth = privacy.Nano / 1_000_000
	e := (nano + perMillionth - 1) / perMillionth
	return &e, max(0, limit-e)
}

// privacyForecast compares what holds now with what held when the window opened: ε does not add up.
func (m *reporter) privacyForecast(entries []*ledger.PrivacyEntry, p *report.Population, delta int64) report.Forecast {
	if p.Cap == 0 {
		return report.Forecast{Why: "no forecast: there is no budget"}
	}
	var before privacy.Sum
	var times []int64
	for _, e := range entries {
		if e.Cost.Unbounded || e.Cost == (privacy.Cost{}) {
			continue
		}
		if times = append(times, e.Time); e.Time < m.windowStart() && before.Add(&e.Cost) != nil {
			return report.Forecast{Why: "no forecast: the account cannot be added up"}
		}
	}
	was, _ := guarantee(&before, delta, p.Cap)
	if was == nil || p.Epsilon == nil {
		return report.Forecast{Why: "no forecast: no ε holds at this δ"}
	}
	return report.Project(m.out.Time, m.out.WindowDays, *p.Epsilon-*was, p.Left, times)
}
