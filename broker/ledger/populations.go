// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"

	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const microPerNano = privacy.Nano / 1_000_000

// Population is a privacy account that the terms of packages name: whose data, and what a guarantee means. All packages
// that name it must say the same of it, save for the caps, which are each package's own.
type Population struct {
	Name      string
	Unit      string // what one change is: a person, a record
	Adjacency string // what a change does: add-remove, replace
	Delta     int64  // 10⁻¹²
	Cap       int64  // ε for all buyers together, millionths
	BuyerCap  int64  // ε for each buyer, millionths
}

func (p *Population) validate() error {
	switch {
	case p.Name == "" || p.Unit == "" || p.Adjacency == "":
		return fmt.Errorf("%w: a population needs name, unit and adjacency", ErrPopulation)
	case p.Delta < 0 || p.Delta >= privacy.MaxDelta:
		return fmt.Errorf("%w: δ of %d·10⁻¹²", ErrPopulation, p.Delta)
	case p.Cap < 0 || p.BuyerCap < 0 || p.Cap > privacy.MaxLoss/microPerNano || p.BuyerCap > privacy.MaxLoss/microPerNano:
		return fmt.Errorf("%w: caps of %d and %d millionths of ε", ErrPopulation, p.Cap, p.BuyerCap)
	}
	return nil
}

// Reservation is the privacy that one lease may cost at most.
type Reservation struct {
	Population Population
	Grant      envelope.Digest // the lease: each attempt is debited anew, since its outputs may have escaped
	Manifest   envelope.Digest
	Job        envelope.Digest
	Buyer      envelope.PublicKey
	Cost       privacy.Cost
	Time       int64 // Unix milliseconds
}

// The states of a reservation. All three count.
const (
	privacyReserved = "reserved"
	PrivacySpent    = "spent" // what the commit stated
	privacyKept     = "kept"  // the lease ended unheard: all of it
)

// DeclarePopulation records a population, or compares it with what was recorded: [ErrPopulation] if adjacency, unit or δ
// differ. [Tx.ReservePrivacy] does it too.
func (t *Tx) DeclarePopulation(p *Population) error {
	was, err := t.ComparePopulation(p)
	if err != nil {
		return err
	}
	if was == nil {
		_, err = t.exec(`INSERT INTO populations VALUES (?,?,?,?,?,?)`, p.Name, p.Unit, p.Adjacency, p.Delta, p.Cap, p.BuyerCap)
		return err
	}
	if was.Cap == p.Cap && was.BuyerCap == p.BuyerCap {
		return nil
	}
	_, err = t.exec(`UPDATE populations SET cap = ?, buyer_cap = ? WHERE name = ?`, p.Cap, p.BuyerCap, p.Name)
	return err
}

// ComparePopulation is [Tx.DeclarePopulation] without the record: what was recorded under the name, nil if nothing.
func (t *Tx) ComparePopulation(p *Population) (*Population, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	was, err := t.population(p.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case was.Unit != p.Unit || was.Adjacency != p.Adjacency || was.Delta != p.Delta:
		return nil, fmt.Errorf("%w: population %q has unit %q, adjacency %q and δ %d·10⁻¹², not %q, %q and %d", ErrPopulation,
			p.Name, was.Unit, was.Adjacency, was.Delta, p.Unit, p.Adjacency, p.Delta)
	}
	return &was, nil
}

func (t *Tx) population(name string) (p Population, err error) {
	return p, t.row(`SELECT name, unit, adjacency, delta, cap, buyer_cap FROM populations WHERE name = ?`, []any{name},
		[]any{&p.Name, &p.Unit, &p.Adjacency, &p.Delta, &p.Cap, &p.BuyerCap})
}

// ReservePrivacy debits a population and a buyer before anything is released, or says why not: [ErrBudget] over a cap,
// [ErrPopulation], [ErrOverflow]. Access without differential privacy has no cap and always counts. conditional says that
// there was such access before: the guarantee of this release holds only for what it did not reveal. A grant reserves
// once: again is an error.
func (t *Tx) ReservePrivacy(r *Reservation) (conditional bool, err error) {
	if err := r.Cost.Validate(); err != nil {
		return false, fmt.Errorf("%w: %w", ErrOverflow, err)
	}
	if r.Grant.IsZero() || r.Manifest.IsZero() || r.Job.IsZero() || r.Buyer.IsZero() {
		return false, fmt.Errorf("%w: reservation without grant, package, job or buyer", ErrCorrupt)
	}
	if err := t.DeclarePopulation(&r.Population); err != nil {
		return false, err
	}
	buyer := t.q.keys.text(r.Buyer)
	for _, account := range []struct {
		buyer string
		cap   int64
	}{{"", r.Population.Cap}, {buyer, r.Population.BuyerCap}} {
		sum, err := t.sum(r.Population.Name, account.buyer)
		if err != nil {
			return false, err
		}
		if account.buyer == "" {
			conditional = sum.Conditional()
		}
		if err := debit(sum, &r.Cost, r.Population.Delta, account.cap); err != nil {
			return false, fmt.Errorf("population %q: %w", r.Population.Name, err)
		}
		if err := t.setSum(r.Population.Name, account.buyer, sum); err != nil {
			return false, err
		}
	}
	cost, err := json.Marshal(&r.Cost)
	if err != nil {
		return false, err
	}
	_, err = t.exec(`INSERT INTO privacy VALUES (?,?,?,?,?,?,?,?)`, r.Grant[:], r.Population.Name, buyer, r.Manifest[:], r.Job[:],
		privacyReserved, cost, r.Time)
	return conditional && !r.Cost.Unbounded, err
}

// debit adds a cost to a sum and holds the sum against its cap, in millionths.
func debit(sum *privacy.Sum, c *privacy.Cost, delta, cap int64) error {
	if err := sum.Add(c); err != nil {
		return fmt.Errorf("%w: %w", ErrOverflow, err)
	}
	if c.Unbounded {
		return nil
	}
	if e, ok := sum.Guarantee(delta); !ok || e > cap*microPerNano {
		return fmt.Errorf("%w: ε would be %s at δ %d·10⁻¹², the cap is %s", ErrBudget, showLoss(e, ok), delta, showLoss(cap*microPerNano, true))
	}
	return nil
}

func showLoss(nano int64, ok bool) string {
	if !ok {
		return "∞"
	}
	return fmt.Sprintf("%d.%09d", nano/privacy.Nano, nano%privacy.Nano)
}

// CommitPrivacy replaces a lease's reservation by what it cost, which must be within it part by part. A cost of nothing
// is the zero Cost: nothing was released.
func (t *Tx) CommitPrivacy(grantID envelope.Digest, actual *privacy.Cost) error {
	r, err := t.reservation(grantID)
	if err != nil {
		return err
	}
	nothing := *actual == privacy.Cost{}
	if err := actual.Validate(); err != nil && !nothing {
		return fmt.Errorf("%w: %w", ErrOverflow, err)
	}
	if !actual.Within(&r.cost) {
		return fmt.Errorf("%w: the lease cost more privacy than was reserved", ErrBudget)
	}
	for _, buyer := range []string{"", r.buyer} {
		sum, err := t.sum(r.population, buyer)
		if err != nil {
			return err
		}
		if err := sum.Remove(&r.cost); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if !nothing {
			if err := sum.Add(actual); err != nil {
				return fmt.Errorf("%w: %w", ErrCorrupt, err)
			}
		}
		if err := t.setSum(r.population, buyer, sum); err != nil {
			return err
		}
	}
	cost, err := json.Marshal(actual)
	if err != nil {
		return err
	}
	_, err = t.exec(`UPDATE privacy SET state = ?, cost = ? WHERE grant_id = ?`, PrivacySpent, cost, grantID[:])
	return err
}

// KeepPrivacy ends a lease whose outputs may have escaped: all that was reserved stays spent. [ErrNotFound] if the lease
// has no reservation.
func (t *Tx) KeepPrivacy(grantID envelope.Digest) error {
	if _, err := t.reservation(grantID); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE privacy SET state = ? WHERE grant_id = ?`, privacyKept, grantID[:])
	return err
}

type reservation struct {
	population, buyer string
	cost              privacy.Cost
}

func (t *Tx) reservation(grantID envelope.Digest) (*reservation, error) {
	var r reservation
	var cost []byte
	err := t.row(`SELECT population, buyer, cost FROM privacy WHERE grant_id = ? AND state = ?`, []any{grantID[:], privacyReserved},
		[]any{&r.population, &r.buyer, &cost})
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(cost, &r.cost); err != nil {
		return nil, fmt.Errorf("%w: cost: %w", ErrCorrupt, err)
	}
	return &r, nil
}

// PopulationSum is what a population's releases add up to; with a buyer, only hers.
func (t *Tx) PopulationSum(name string, buyer *envelope.PublicKey) (*privacy.Sum, error) {
	if buyer == nil {
		return t.sum(name, "")
	}
	return t.sum(name, buyer.String())
}

// JobSum is what the attempts of one job add up to on a population: what was spent where that is known, else what is reserved or
// kept. Attempts that came to nothing are no releases.
func (t *Tx) JobSum(population string, job envelope.Digest) (*privacy.Sum, error) {
	var sum privacy.Sum
	err := t.rows(`SELECT p.cost FROM leases l JOIN privacy p ON p.grant_id = l.grant_id WHERE l.job = ? AND p.population = ?`,
		[]any{job[:], population}, func(scan func(...any) error) error {
			var b []byte
			if err := scan(&b); err != nil {
				return err
			}
			var cost privacy.Cost
			if err := json.Unmarshal(b, &cost); err != nil {
				return fmt.Errorf("%w: cost: %w", ErrCorrupt, err)
			}
			if cost == (privacy.Cost{}) {
				return nil
			}
			if err := sum.Add(&cost); err != nil {
				return fmt.Errorf("%w: %w", ErrOverflow, err)
			}
			return nil
		})
	if err != nil {
		return nil, err
	}
	return &sum, nil
}

func (t *Tx) sum(population, buyer string) (*privacy.Sum, error) {
	var b []byte
	err := t.row(`SELECT sum FROM sums WHERE population = ? AND buyer = ?`, []any{population, buyer}, []any{&b})
	if errors.Is(err, ErrNotFound) {
		return &privacy.Sum{}, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeSum(b)
}

func (t *Tx) setSum(population, buyer string, s *privacy.Sum) error {
	_, err := t.exec(`INSERT INTO sums VALUES (?,?,?) ON CONFLICT DO UPDATE SET sum = excluded.sum`, population, buyer, encodeSum(s))
	return err
}

const sumSize = 8 * (5 + 2*privacy.Orders)

// encodeSum writes a sum as big-endian numbers.
func encodeSum(s *privacy.Sum) []byte {
	b := make([]byte, 0, sumSize)
	for _, v := range []int64{s.Releases, s.Unbounded, s.Pure, s.Epsilon, s.Delta} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	for _, vec := range []*privacy.Vector{&s.Renyi, &s.PureRenyi} {
		for _, v := range vec {
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		}
	}
	return b
}

func decodeSum(b []byte) (*privacy.Sum, error) {
	if len(b) != sumSize {
		return nil, fmt.Errorf("%w: privacy sum of %d bytes", ErrCorrupt, len(b))
	}
	var s privacy.Sum
	ok := true
	next := func() int64 {
		v := binary.BigEndian.Uint64(b)
		b = b[8:]
		ok = ok && bits.Len64(v) <= 53
		return int64(v)
	}
	s.Releases, s.Unbounded, s.Pure, s.Epsilon, s.Delta = next(), next(), next(), next(), next()
	for _, vec := range []*privacy.Vector{&s.Renyi, &s.PureRenyi} {
		for i := range vec {
			vec[i] = next()
		}
	}
	if !ok {
		return nil, fmt.Errorf("%w: privacy sum out of range", ErrCorrupt)
	}
	return &s, nil
}
