// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/policies/input"
)

// passes is how often a package is read: code once, data once an epoch.
func passes(m *dataset.Manifest, j *job.Job) int64 {
	if m.Kind == dataset.KindCode {
		return 1
	}
	return int64(j.Epochs)
}

// maxCost is the most that so many records of one package can cost one job.
func maxCost(m *dataset.Manifest, j *job.Job, granted int64) (int64, error) {
	records, ok := times(granted, passes(m, j))
	if !ok {
		return 0, fmt.Errorf("%w: %d records in %d epochs", ErrAmount, granted, j.Epochs)
	}
	return price(m.Terms.Price, records)
}

// price is PerUse + records × PerRecord, or an error; never a wrapped or rounded number.
func price(p dataset.Price, records int64) (int64, error) {
	v, ok := times(records, p.PerRecord)
	if !ok || p.PerUse < 0 || v > job.MaxAmount-p.PerUse {
		return 0, fmt.Errorf("%w: %d records at %d", ErrAmount, records, p.PerRecord)
	}
	return v + p.PerUse, nil
}

// times multiplies within 0…job.MaxAmount.
func times(a, b int64) (int64, bool) {
	if a < 0 || b < 0 || (b != 0 && a > job.MaxAmount/b) {
		return 0, false
	}
	return a * b, true
}

// populationOf is the privacy account that a package's releases are debited to; "" for code.
func populationOf(m *dataset.Manifest) string {
	if m.Kind == dataset.KindCode {
		return ""
	}
	return m.Terms.Privacy.Population
}

// privacyCost is what one lease costs: pure epsilon where noise is put into each record, before the code starts and once for
// all epochs, and what the job declares where the enclave adds the noise. The other modes have no bound: whoever sees results of
// one may know everything.
func privacyCost(o *grant.Obligations, s *spending) (privacy.Cost, error) {
	switch {
	case dataset.Private(o.Mode):
		return privateCost(o, s)
	case !dataset.Enforced(o.Mode):
		return privacy.Cost{}, fmt.Errorf("%w: mode %q has no privacy cost in this release", ErrAmount, o.Mode)
	case !dataset.Noisy(o.Mode):
		return privacy.Cost{Unbounded: true}, nil
	case o.Privacy < 1 || o.Privacy > privacy.MaxLoss/nanoPerMicro:
		return privacy.Cost{}, fmt.Errorf("%w: epsilon of %d millionths", ErrAmount, o.Privacy)
	}
	return privacy.Cost{Pure: o.Privacy * nanoPerMicro}, nil
}

const nanoPerMicro = privacy.Nano / 1_000_000

// epsilons are what a job would cost the account that the terms name, and what all and this buyer would have cost it then.
// What is no number any more is more than every budget.
func epsilons(t *ledger.Tx, q *request, a *input.Account) error {
	m, j := q.pack.Manifest, &q.job.Predicate
	spends := m.Terms.EpsilonFor(j.Mode)
	cost := &privacy.Cost{Pure: min(spends, privacy.MaxLoss/nanoPerMicro) * nanoPerMicro}
	if dataset.Private(j.Mode) && j.Privacy != nil {
		spends, cost = j.Privacy.Epsilon, &q.spends.cost // which is no cost without a bound
	}
	if populationOf(m) == "" || !dataset.Accounted(j.Mode) || spends < 1 {
		return nil
	}
	a.Epsilon = spends
	for _, account := range []struct {
		buyer *envelope.PublicKey
		after *int64
	}{{nil, &a.EpsilonAfter}, {&j.Buyer, &a.BuyerEpsilonAfter}} {
		sum, err := t.PopulationSum(populationOf(m), account.buyer)
		if err != nil {
			return err
		}
		*account.after = after(sum, cost, spends, m.Terms.Privacy.Delta)
	}
	if may := m.Terms.PrivacyFor(j.Mode); may != nil {
		return attempts(t, q, may.Delta, a)
	}
	return nil
}

// attempts is what all attempts of a job come to together with the one that is asked for. Whoever runs a job again sees independent
// noise on the same records, so that what one job may spend is what all its attempts may. They compose as the account does, at the
// delta that the terms have for one job. The first costs what the job states, by the job's own accountant, which may be a tighter one.
func attempts(t *ledger.Tx, q *request, delta int64, a *input.Account) error {
	sum, err := t.JobSum(populationOf(q.pack.Manifest), q.job.ID)
	if err != nil {
		return err
	}
	if a.JobEpsilonAfter = a.Epsilon; sum.Releases > 0 {
		a.JobEpsilonAfter = after(sum, &q.spends.cost, a.Epsilon, delta)
	}
	return nil
}

// after is the guarantee of a sum once a job's epsilon is added to it. It is not below the job's own: with a generous delta the
// sum of little may be nothing.
func after(sum *privacy.Sum, cost *privacy.Cost, spends, delta int64) int64 {
	if spends > privacy.MaxLoss/nanoPerMicro || sum.Add(cost) != nil {
		return job.MaxAmount
	}
	epsilon, _ := guarantee(sum, delta, 0)
	if epsilon == nil {
		return job.MaxAmount
	}
	return max(*epsilon, spends)
}

// population is the account that the terms name.
func population(p *dataset.Privacy) ledger.Population {
	return ledger.Population{
		Name: p.Population, Unit: p.Unit, Adjacency: p.Adjacency, Delta: p.Delta, Cap: p.Epsilon, BuyerCap: p.BuyerEpsilon,
	}
}

// declare makes sure that the population is the one that other packages speak of.
func declare(t *ledger.Tx, m *dataset.Manifest) error {
	if populationOf(m) == "" {
		return nil
	}
	p := population(&m.Terms.Privacy)
	return t.DeclarePopulation(&p)
}

// clash is why a release would be denied for its population, if it would.
func clash(t *ledger.Tx, m *dataset.Manifest) ([]grant.Reason, error) {
	if populationOf(m) == "" {
		return nil, nil
	}
	p := population(&m.Terms.Privacy)
	_, err := t.ComparePopulation(&p)
	if errors.Is(err, ledger.ErrPopulation) {
		return []grant.Reason{otherPopulation(err)}, nil
	}
	return nil, err
}

func otherPopulation(err error) grant.Reason {
	return grant.Reason{
		Rule: "population", Message: err.Error(),
		Satisfy: "ask the owner for a version whose terms say of the population what her other packages say",
	}
}

// reservePrivacy debits the population with what the lease may cost at most.
func reservePrivacy(t *ledger.Tx, l *ledger.Lease, q *request) error {
	if l.Population == "" {
		return nil
	}
	p := &q.pack.Manifest.Terms.Privacy
	cost, err := privacyCost(&l.Obligations, &q.spends)
	if err != nil {
		return err
	}
	_, err = t.ReservePrivacy(&ledger.Reservation{
		Population: population(p), Grant: l.Grant, Manifest: l.Manifest, Job: l.Job, Buyer: l.Buyer, Cost: cost, Time: l.Issued,
	})
	return err
}

// conditional reports whether access without differential privacy came before on a population.
func conditional(t *ledger.Tx, population string) (bool, error) {
	if population == "" {
		return false, nil
	}
	sum, err := t.PopulationSum(population, nil)
	if err != nil {
		return false, err
	}
	return sum.Conditional(), nil
}

// end is how a lease ended.
type end struct {
	left      bool // the key may have left: it was sealed
	completed bool
	spent     *privacy.Cost // what the enclave's noise cost, as the usage statement says what ran; nil where there is none of either
}

// closeAccounts settles what a lease that ends held. Money is a's. A use that came to nothing goes back to the receipt or
// permit it was taken from. Privacy stays spent from the moment that the key may have left, whatever was read: who has
// the key and the ciphertext needs nobody's help any more. Where the enclave adds the noise, what it says that it did is what
// is spent, in a run that failed too: its word is what every release rests on.
func closeAccounts(t *ledger.Tx, l *ledger.Lease, a ledger.Account, e end) error {
	if err := t.SetAccount(l.Manifest, l.Job, a); err != nil {
		return err
	}
	if !a.Used {
		if err := returnUses(t, l); err != nil {
			return err
		}
	}
	if l.Population == "" {
		return nil
	}
	var err error
	switch {
	case !e.left:
		err = t.CommitPrivacy(l.Grant, &privacy.Cost{})
	case e.spent != nil:
		err = t.CommitPrivacy(l.Grant, e.spent)
	case e.completed:
		var cost privacy.Cost
		if cost, err = privacyCost(&l.Obligations, nil); err == nil {
			err = t.CommitPrivacy(l.Grant, &cost)
		}
	default:
		err = t.KeepPrivacy(l.Grant)
	}
	if errors.Is(err, ledger.ErrNotFound) {
		return fmt.Errorf("%w: lease %s has no privacy reserved", ledger.ErrCorrupt, l.Grant)
	}
	return err
}

// returnUses gives back what a lease stands on. One sale may be over several packages of this broker, and is one use of a
// job however many of them stand on it: it is given back only when none of the others uses it, or may yet.
func returnUses(t *ledger.Tx, l *ledger.Lease) error {
	give := func(kind ledger.Kind, id *envelope.Digest) error {
		if id == nil {
			return nil
		}
		if shared, err := t.Shared(kind, *id, l.Job, l.Manifest); err != nil || shared {
			return err
		}
		return t.Return(kind, *id, l.Job)
	}
	return errors.Join(give(ledger.Receipt, l.Receipt), give(ledger.Permit, l.Permit))
}
