// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/policies/input"
)

// eligible is what can be granted of a package for a purpose, now in Unix milliseconds: all leaves but those of
// contributors whose key is shredded or was never here, whom the owner revoked, or, where the terms ask for consent, who do
// not agree.
func (b *Broker) eligible(t *ledger.Tx, p *config.Package, purpose string, now int64) (input.Granted, error) {
	m := p.Manifest
	if m.Units == nil {
		return input.Grantable(m, purpose, now/1000, nil), nil
	}
	here, err := b.cfg.Settings.UnitKeys(m.Dataset)
	if err != nil {
		return input.Granted{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	prefix := strings.TrimSuffix(ledger.UnitName(m.Dataset, envelope.Digest{}), envelope.Digest{}.String())
	revoked, err := t.Withdrawals(ledger.WithdrawnUnit, prefix)
	if err != nil {
		return input.Granted{}, err
	}
	gone := make(map[string]bool, len(revoked))
	for _, w := range revoked {
		gone[w.Name] = true
	}
	return input.Grantable(m, purpose, now/1000, func(unit envelope.Digest) bool {
		return !here[unit] || gone[ledger.UnitName(m.Dataset, unit)]
	}), nil
}

// recordsIn is how many records ranges hold; none if they are not of whole segments and contributors.
func recordsIn(m *dataset.Manifest, ranges grant.Ranges) int64 {
	sel, err := m.Select(ranges.Spans())
	if err != nil {
		return 0
	}
	return sel.Records
}

// unitsIn is how many units of privacy are in what ranges hold of whole segments and contributors.
func unitsIn(m *dataset.Manifest, ranges grant.Ranges) int64 {
	sel, err := m.Select(m.Whole(ranges.Spans()))
	if err != nil {
		return 0
	}
	return sel.PrivacyUnits(m)
}

// narrow holds what the rules allow to whole segments and whole contributors, since a receipt may cover parts of them, and
// to the end of the first consent.
func narrow(m *dataset.Manifest, purpose string, o *grant.Obligations, now int64) error {
	o.Leaves = grant.RangesOf(m.Whole(o.Leaves.Spans()))
	sel, err := m.Select(o.Leaves.Spans())
	if err != nil {
		return fmt.Errorf("%w: what was bought holds no whole segment: %w", ErrRequest, err)
	}
	until, err := sel.Consented(m, purpose, now/1000)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrRequest, err)
	case until > 0:
		o.Expires = min(o.Expires, until*1000)
	}
	return nil
}

// sealUnits seals the keys of a package by contributor: those of exactly the contributors that the lease was granted.
func (b *Broker) sealUnits(ctx context.Context, q *request, l *ledger.Lease) ([]byte, error) {
	m := q.pack.Manifest
	sel, err := m.Select(l.Obligations.Leaves.Spans())
	if err != nil {
		return nil, err
	}
	ids := sel.IDs(m)
	items := make([]keyholder.Item, 0, 1+len(ids))
	wrapped, err := b.cfg.Settings.WrappedKey(q.pack.ID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	items = append(items, keyholder.Item{Context: keyholder.Context(q.pack.ID), Wrapped: wrapped})
	for _, id := range ids {
		if wrapped, err = b.cfg.Settings.UnitKey(m.Dataset, id); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		items = append(items, keyholder.Item{Context: keyholder.UnitContext(m.Dataset, id), Wrapped: wrapped})
	}
	if s, ok := b.keys.(keyholder.Sealer); ok {
		return sealInside(ctx, s, q, l, withUnits(items, ids))
	}
	raw, err := keyholder.UnwrapAll(ctx, b.keys, items)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	defer keyholder.Wipe(raw)
	var keys dataset.Keys
	defer func() { keys.Wipe() }()
	if keys.Package, err = dataset.KeyFromBytes(raw[0]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	for i, id := range ids {
		k, err := dataset.KeyFromBytes(raw[1+i])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		keys.Units = append(keys.Units, dataset.UnitKey{ID: id, Key: k})
	}
	plain := keys.Append(make([]byte, 0, dataset.KeysSize(true, len(ids))), true)
	defer clear(plain)
	return Seal(q.claims.Binding().HPKEKey, q.d, l.Grant, plain)
}

// withUnits names the contributor of each wrapped key but the first.
func withUnits(items []keyholder.Item, ids []envelope.Digest) []keyholder.SealItem {
	out := []keyholder.SealItem{{Item: items[0]}}
	for i := range ids {
		out = append(out, keyholder.SealItem{Item: items[1+i], Unit: &ids[i]})
	}
	return out
}
