// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms/dp"
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

// warnPrivate says of modes with noise of the enclave's what the data is too small for.
func warnPrivate(cmd *cobra.Command, m *dataset.Manifest) {
	units := m.PrivacyUnits()
	for i := range m.Terms.Private {
		p := &m.Terms.Private[i]
		switch most := (dp.Pico - 1) / max(m.Records, 1); {
		case units < 2:
			say(cmd, "warning: %s: the data is of one %s, who cannot be hidden among others: no job is accepted", p.Mode, m.Terms.Privacy.Unit)
		case p.Delta > most:
			say(cmd, "warning: %s: a delta of %s is not below one in %d records: jobs have to ask for less", p.Mode, fraction(p.Delta, 12), m.Records)
		}
	}
}
