// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"os"

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

// latest is the highest version of a dataset that this broker holds.
func (b *Broker) latest(id dataset.ID) (int64, error) {
	versions, err := b.versions.get()
	return versions[id], err
}

func (b *Broker) readVersions() (map[dataset.ID]int64, error) {
	ids, err := b.cfg.Settings.PackageIDs()
	if err != nil {
		return nil, err
	}
	out := map[dataset.ID]int64{}
	for _, d := range ids {
		p, err := b.pack(d)
		if err != nil {
			b.log.Warn("package is unusable", "manifest", d.String(), "error", err)
			continue
		}
		out[p.Manifest.Dataset] = max(out[p.Manifest.Dataset], p.Manifest.Version)
	}
	return out, nil
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
