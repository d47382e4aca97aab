// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// newTombstone makes a version that only says what was erased.
func newTombstone() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "tombstone PACKAGE", Short: "Sign a version that says whose records are gone", Args: exactArgs(1, "one package"),
		Long: `Tombstone signs a new version of a dataset, without new records: of each contributor whose key "creator revoke --contributor"
destroyed it says that the records are gone, so that nobody fetches or counts them. Terms and everybody else's records stay as they
are. A version that "creator pack --previous" makes says the same beside its new records.`,
		Example: "  glovebox creator tombstone scans --dir alice",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := openOwner(dir, config.Creator)
			if err != nil {
				return err
			}
			p, err := o.tombstone(cmd, args[0])
			if err != nil {
				return err
			}
			say(cmd, "signed; publish it with: glovebox creator publish %s --dir %s", short(p.ID.String()), dir)
			return showPackages(cmd, asJSON, []config.Package{{ID: p.ID, Manifest: p.Manifest}}, nil)
		},
	}
	dirFlag(cmd, &dir, config.Creator)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// tombstone signs the next version of a dataset, without those of its contributors whose keys were destroyed.
func (o *owner) tombstone(cmd *cobra.Command, name string) (*dataset.Packed, error) {
	list, err := config.ListPackages(o.dir)
	if err != nil {
		return nil, err
	}
	old, err := o.among(name, list)
	if err != nil {
		return nil, err
	}
	if err := o.continues(old); err != nil {
		return nil, err
	}
	m := old.Manifest
	c := dataset.PackConfig{Manifest: *m, Erase: true, Erased: o.erased(m)}
	if !slices.ContainsFunc(m.Units, func(u dataset.ErasureUnit) bool { return c.Erased[u.ID] != "" && m.Erased(int(u.First)) == nil }) {
		return nil, Errorf(KindUsage, "destroy a contributor's key first: glovebox creator revoke --contributor NAME --dataset %s", m.Name).
			because("no contributor of %s was erased since version %d", m.Name, m.Version)
	}
	return o.sealSource(cmd.Context(), c, old, nil)
}
