// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// Spend is what the enclave did to the records of one dataset, and what that may reveal of one unit. Anybody can recompute
// Epsilon from it alone. What was done of a run that failed is there too; a dataset of which nothing was used has none.
type Spend struct {
	Manifest      envelope.Digest `json:"manifest"`
	Unit          string          `json:"unit"`          // what one person is
	Contributions int64           `json:"contributions"` // of one unit that counted, at most, in each application
	Adjacency     string          `json:"adjacency"`
	Mechanisms    []dp.Mechanism  `json:"mechanisms"` // that ran
	Accountant    string          `json:"accountant"` // with its version
	Delta         int64           `json:"delta"`      // 10⁻¹²
	Epsilon       int64           `json:"epsilon"`    // millionths, rounded up
	Isolation     string          `json:"isolation"`  // runtime class: what the bound rests on besides noise
}

// SpentOn is what was spent on package i, nil if nothing.
func (s *Statement) SpentOn(i int) *Spend {
	for n := range s.Spent {
		if s.Spent[n].Manifest == s.Packages[i].Manifest {
			return &s.Spent[n]
		}
	}
	return nil
}

// validateSpent refuses a spend of a package that is not there or not data, two of one package, and what could not be accounted
// for.
func (s *Statement) validateSpent() error {
	bad := func(i int, f string, a ...any) error {
		return fmt.Errorf("%w: spend %d: %s", ErrInvalid, i, fmt.Sprintf(f, a...))
	}
	if s.Spent == nil || len(s.Spent) > maxPackages {
		return bad(len(s.Spent), "no list, or too many")
	}
	at := 0 // the code is nobody's records
	for i := range s.Spent {
		sp := &s.Spent[i]
		next := slices.IndexFunc(s.Packages, func(p Package) bool { return p.Manifest == sp.Manifest })
		switch c := (dp.Composition{Adjacency: sp.Adjacency, Mechanisms: sp.Mechanisms}); {
		case next <= at:
			return bad(i, "of a package that is not released data, twice, or out of order")
		case sp.Unit != dataset.UnitRecord && sp.Unit != dataset.UnitContributor:
			return bad(i, "unit %q", sp.Unit)
		case sp.Contributions < 1 || sp.Contributions > job.MaxContributions || sp.Unit == dataset.UnitRecord && sp.Contributions != 1:
			return bad(i, "%d contributions of one %s", sp.Contributions, sp.Unit)
		case c.Validate() != nil:
			return bad(i, "%v", c.Validate())
		case sp.Accountant != dp.RDP && (sp.Accountant != dp.PLD || len(sp.Mechanisms) > job.MaxLossDists):
			return bad(i, "%d mechanisms by accountant %q", len(sp.Mechanisms), sp.Accountant)
		case sp.Delta < 1 || sp.Delta >= dp.Pico || sp.Epsilon < 1 || !figures(sp.Epsilon):
			return bad(i, "epsilon or delta out of range")
		case sp.Isolation != s.Runtime:
			return bad(i, "rests on runtime %q, the run was in %q", sp.Isolation, s.Runtime)
		}
		at = next
	}
	return nil
}
