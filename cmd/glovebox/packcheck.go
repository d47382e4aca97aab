// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// releasable refuses to pack what the broker would never release, before it is sold.
func (o *owner) releasable(m *dataset.Manifest, by *contributorFlags) error {
	if m.Terms.Consent && (by.by != "" || by.files) && by.consents == "" {
		return Errorf(KindUsage, "say who agreed to what with --consent FILE, or write consent: none").
			because("the terms require consent, and no contributor of SOURCE gave it: every job would be refused these records")
	}
	list, err := config.ListPackages(o.dir)
	if err != nil {
		return err
	}
	p := &m.Terms.Privacy
	for _, other := range list {
		q := &other.Manifest.Terms.Privacy
		if other.Manifest.Kind == dataset.KindDataset && q.Population == p.Population && meaning(p) != meaning(q) {
			return Errorf(KindUsage, "say the same of it, or name another population").
				because("population %q is %s in %s, and %s in %s, version %d (%s): the broker would release only one of them", p.Population,
					meaning(p), m.Name, meaning(q), other.Manifest.Name, other.Manifest.Version, short(other.ID.String()))
		}
	}
	return nil
}

// meaning is what all packages that name a population must say alike.
func meaning(p *dataset.Privacy) string {
	return fmt.Sprintf("(%s, %s, delta %s)", p.Unit, p.Adjacency, fraction(p.Delta, 12))
}
