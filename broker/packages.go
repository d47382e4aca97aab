// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const maxReferenceFile = 8 << 20

// pack finds a package in the owner's directory. Manifests never change, so each is read once.
func (b *Broker) pack(manifest envelope.Digest) (*config.Package, error) {
	b.mu.Lock()
	p := b.packages[manifest]
	b.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := b.cfg.Settings.LoadPackage(manifest)
	if err != nil {
		return nil, err
	}
	if !b.speaksFor(p.Manifest) {
		return nil, fmt.Errorf("%w: %s names another broker's key", config.ErrPackage, manifest)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.packages[manifest] = p
	return p, nil
}

// latest is the highest version of a dataset that this broker holds or ever held: where the newest is damaged or gone, the
// one before it does not come back, whose terms may allow what the owner has since forbidden.
func (b *Broker) latest(id dataset.ID) (int64, error) {
	versions, err := b.versions.get()
	return versions[id], err
}

// readVersions reads the folder of packages, and has the ledger remember what it sees for the first time. One that was
// never seen and cannot be read may be of any dataset: that is an error.
func (b *Broker) readVersions() (map[dataset.ID]int64, error) {
	here, unread, err := b.readPackages()
	if err != nil {
		return nil, err
	}
	all, err := b.seePackages(context.Background(), here)
	if err != nil {
		return nil, err
	}
	out, known := map[dataset.ID]int64{}, map[envelope.Digest]bool{}
	for _, p := range all {
		out[p.Dataset] = max(out[p.Dataset], p.Version)
		known[p.Manifest] = true
	}
	for _, d := range unread {
		if !known[d] {
			return nil, fmt.Errorf("%w: %s", ErrPackages, d)
		}
	}
	return out, nil
}

// readPackages lists the owner's packages, whichever broker they name, and those that cannot be read.
func (b *Broker) readPackages() (here []ledger.Package, unread []envelope.Digest, err error) {
	ids, err := b.cfg.Settings.PackageIDs()
	if err != nil {
		return nil, nil, err
	}
	for _, d := range ids {
		p, err := b.pack(d)
		if err != nil {
			b.log.Warn("package is unusable", "manifest", d.String(), "error", err)
			p, err = b.cfg.Settings.LoadPackage(d)
		}
		if err != nil {
			unread = append(unread, d)
			continue
		}
		here = append(here, ledger.Package{Manifest: d, Dataset: p.Manifest.Dataset, Version: p.Manifest.Version})
	}
	return here, unread, nil
}

// seePackages makes the ledger remember packages, and lists all that it remembers.
func (b *Broker) seePackages(ctx context.Context, here []ledger.Package) (all []ledger.Package, err error) {
	read := func(t *ledger.Tx) (err error) {
		all, err = t.Packages()
		return err
	}
	if err := b.ledger.View(ctx, read); err != nil {
		return nil, err
	}
	known := make(map[envelope.Digest]bool, len(all))
	for _, p := range all {
		known[p.Manifest] = true
	}
	here = slices.DeleteFunc(here, func(p ledger.Package) bool { return known[p.Manifest] })
	if len(here) == 0 {
		return all, nil
	}
	err = b.ledger.Update(ctx, func(t *ledger.Tx) error {
		for _, p := range here {
			if err := t.SeePackage(p); err != nil {
				return err
			}
		}
		return read(t)
	})
	return all, err
}

// startPackages remembers the packages that are here at start, and names the datasets of the leases of release 0.1.
func (b *Broker) startPackages(ctx context.Context) error {
	_, err := b.versions.get()
	switch {
	case errors.Is(err, ErrPackages): // releases say so until it is mended
		b.log.Error("packages", "error", err)
	case err != nil:
		return err
	}
	var unnamed []envelope.Digest
	err = b.ledger.View(ctx, func(t *ledger.Tx) (err error) {
		unnamed, err = t.Unnamed()
		return err
	})
	if err != nil || len(unnamed) == 0 {
		return err
	}
	return b.ledger.Update(ctx, func(t *ledger.Tx) error {
		for _, d := range unnamed {
			if err := b.nameLeases(t, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// nameLeases does it for one package. Where its manifest is gone, what the leases were for stays unknown, and any dataset
// that is revoked may be theirs.
func (b *Broker) nameLeases(t *ledger.Tx, manifest envelope.Digest) error {
	p, err := b.cfg.Settings.LoadPackage(manifest)
	if err != nil {
		b.log.Error("leases of release 0.1 on a package that cannot be read", "manifest", manifest.String(), "error", err)
		return nil
	}
	var people *ledger.Population
	if populationOf(p.Manifest) != "" {
		of := population(&p.Manifest.Terms.Privacy)
		people = &of
	}
	return t.NameLeases(ledger.Package{Manifest: manifest, Dataset: p.Manifest.Dataset, Version: p.Manifest.Version}, people)
}

// reference is the owner's verified reference values, and the verifier over them.
type reference struct {
	values   *attestation.Reference
	verifier *attestation.Verifier
}

// appraiser is the verifier over the owner's current reference values. The file may change while the broker runs; an
// older version than any seen is refused, also after a restart.
func (b *Broker) appraiser(ctx context.Context, now int64) (*attestation.Verifier, error) {
	r, err := b.reference.get()
	if err != nil {
		return nil, err
	}
	seen, err := b.seenReference(ctx, r.values.Version)
	if err != nil {
		return nil, err
	}
	if err := r.values.Fresh(now, seen); err != nil {
		return nil, err
	}
	return r.verifier, nil
}

// seenReference is the highest version of reference values that was ever used here, this one included.
func (b *Broker) seenReference(ctx context.Context, version int64) (highest int64, err error) {
	if seen := b.referenceSeen.Load(); seen >= version {
		return seen, nil
	}
	err = b.ledger.Update(ctx, func(t *ledger.Tx) error {
		if highest, err = t.Meta(ledger.MetaReference); err != nil || version <= highest {
			return err
		}
		highest = version
		return t.SetMeta(ledger.MetaReference, version)
	})
	if err == nil {
		b.referenceSeen.Store(highest)
	}
	return highest, err
}

func (b *Broker) readReference() (*reference, error) {
	s := b.cfg.Settings
	st, err := os.Stat(s.Path(s.Reference))
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot be read", ErrReference, s.Reference)
	}
	if st.Size() > maxReferenceFile {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrReference, s.Reference, st.Size())
	}
	signed, err := os.ReadFile(s.Path(s.Reference))
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot be read", ErrReference, s.Reference)
	}
	values, id, err := attestation.VerifyReference(signed, s.ReferenceKey)
	if err != nil {
		return nil, err
	}
	v, err := attestation.NewVerifier(values, b.cfg.Formats...)
	if err != nil {
		return nil, err
	}
	b.log.Debug("reference values", "id", id.String(), "version", values.Version)
	return &reference{values, v}, nil
}
