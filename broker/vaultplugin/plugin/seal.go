// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// nonce is a challenge that was given out. Evidence uses it up; the same evidence may come again, as a retry does.
type nonce struct {
	Manifest envelope.Digest  `json:"manifest"`
	Job      envelope.Digest  `json:"job"`
	Expires  int64            `json:"expires"` // Unix seconds
	Binding  *envelope.Digest `json:"binding"`
}

func (b *backend) challenge(ctx context.Context, r *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := nonce{Expires: b.now().Add(nonceLife).Unix()}
	var err error
	if n.Manifest, err = digestOf(d, "manifest"); err != nil {
		return nil, err
	}
	if n.Job, err = digestOf(d, "job"); err != nil {
		return nil, err
	}
	if _, err := b.settings(ctx, r.Storage); err != nil {
		return nil, err
	}
	if err := b.countNonce(ctx, r.Storage); err != nil {
		return nil, err
	}
	id := envelope.NewNonce()
	if err := put(ctx, r.Storage, storedNonces+id.String(), &n); err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"nonce": id.String(), "expires": n.Expires}}, nil
}

// countNonce makes room in the count for one more, before it is stored, or refuses. What it counts too much, tidy mends.
func (b *backend) countNonce(ctx context.Context, st logical.Storage) error {
	if b.nonces < 0 {
		list, err := st.List(ctx, storedNonces)
		if err != nil {
			return err
		}
		b.nonces = len(list)
	}
	if b.nonces >= maxNonces {
		return errBusy
	}
	b.nonces++
	return nil
}

// tidy drops challenges that were never answered, and counts those that stay. Vault calls it once a minute.
func (b *backend) tidy(ctx context.Context, r *logical.Request) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	list, err := r.Storage.List(ctx, storedNonces)
	if err != nil {
		return err
	}
	b.nonces = len(list)
	for _, id := range list {
		var n nonce
		ok, err := get(ctx, r.Storage, storedNonces+id, &n)
		if err != nil {
			return err
		}
		if ok && b.now().Unix() > n.Expires+int64(nonceLife.Seconds()) {
			if err := r.Storage.Delete(ctx, storedNonces+id); err != nil {
				return err
			}
			b.nonces--
		}
	}
	return nil
}

// seal checks evidence, uses the nonce up, opens the wrapped keys and seals them, in this order: whatever is refused is
// refused before any key is touched.
func (b *backend) seal(ctx context.Context, r *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items, units, err := itemsOf(d)
	if err != nil {
		return nil, err
	}
	grant, err := digestOf(d, "grant")
	if err != nil {
		return nil, err
	}
	claims, err := b.appraise(ctx, r, d)
	if err != nil {
		return nil, err
	}
	keys, err := b.open(ctx, r.Storage, items)
	defer keyholder.Wipe(keys)
	if err != nil {
		return nil, err
	}
	plain, err := plaintext(keys, units)
	defer clear(plain)
	if err != nil {
		return nil, err
	}
	binding := claims.Binding()
	sealed, err := keyholder.SealTo(binding.HPKEKey, claims.Bound(), grant, plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errEvidence, err)
	}
	return &logical.Response{Data: map[string]any{"sealed": base64.StdEncoding.EncodeToString(sealed)}}, nil
}

// item is one wrapped key: the package's comes first, then those of its units, each with its unit's identity.
type item struct {
	keyholder.Item
	Unit *envelope.Digest `json:"unit"`
}

func itemsOf(d *framework.FieldData) (items []keyholder.Item, units []envelope.Digest, err error) {
	raw, err := json.Marshal(d.Get("items"))
	if err != nil {
		return nil, nil, bad("items: %v", err)
	}
	var list []item
	if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 || len(list) > maxItems {
		return nil, nil, bad("items: want 1 to %d of {context, wrapped, unit}", maxItems)
	}
	for i, it := range list {
		if err := keyholder.CheckUnwrap(it.Context, it.Wrapped); err != nil {
			return nil, nil, bad("items: %d: %v", i, err)
		}
		if (i > 0) != (it.Unit != nil) {
			return nil, nil, bad("items: the first is the package's key, each other one a unit's")
		}
		if i > 0 {
			units = append(units, *it.Unit)
		}
		items = append(items, it.Item)
	}
	if byContributor, _ := d.Get("by_contributor").(bool); byContributor && units == nil {
		units = []envelope.Digest{}
	} else if !byContributor && units != nil {
		return nil, nil, bad("items: units of a package that is not packed by contributor")
	}
	return items, units, nil
}

// plaintext is what an enclave expects: the package's key, and those of the units; nil units are a package without any.
func plaintext(keys [][]byte, units []envelope.Digest) ([]byte, error) {
	var all dataset.Keys
	defer all.Wipe()
	for i, k := range keys {
		key, err := dataset.KeyFromBytes(k)
		if err != nil {
			return nil, errUnwrap
		}
		if i == 0 {
			all.Package = key
		} else {
			all.Units = append(all.Units, dataset.UnitKey{ID: units[i-1], Key: key})
		}
	}
	return all.Append(make([]byte, 0, dataset.KeysSize(units != nil, len(units))), units != nil), nil
}

// appraise authenticates, binds and appraises the evidence, and uses the nonce up. It returns what the evidence is bound
// to: the key to seal to comes from there and from nowhere else.
func (b *backend) appraise(ctx context.Context, r *logical.Request, d *framework.FieldData) (*attestation.Claims, error) {
	evidence, err := bytesOf(d, "evidence", maxEvidence)
	if err != nil {
		return nil, err
	}
	manifest, err := digestOf(d, "manifest")
	if err != nil {
		return nil, err
	}
	job, err := digestOf(d, "job")
	if err != nil {
		return nil, err
	}
	s, err := b.settings(ctx, r.Storage)
	if err != nil {
		return nil, err
	}
	now := b.now().Unix()
	v, err := b.verifier(s, now)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errEvidence, err)
	}
	claims, err := v.Verify(ctx, evidence, now)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errEvidence, err)
	}
	if !claims.Valid() {
		return nil, errEvidence
	}
	return claims, b.consume(ctx, r.Storage, s, claims, manifest, job)
}

// consume finds the broker's part of the binding and spends its nonce on it.
func (b *backend) consume(ctx context.Context, st logical.Storage, s *settings, c *attestation.Claims, manifest, job envelope.Digest) error {
	bound := c.Binding()
	if bound.Job != job {
		return fmt.Errorf("%w: it is bound to another job", errEvidence)
	}
	for _, o := range bound.Owners {
		if o.Manifest != manifest {
			continue
		}
		if !o.Audience.Equal(s.Broker) {
			return fmt.Errorf("%w: it is bound for another broker", errEvidence)
		}
		return b.spend(ctx, st, o.Nonce, manifest, job, c.Bound())
	}
	return fmt.Errorf("%w: it is not bound to the package", errEvidence)
}

func (b *backend) spend(ctx context.Context, st logical.Storage, id envelope.Nonce, manifest, job, d envelope.Digest) error {
	var n nonce
	ok, err := get(ctx, st, storedNonces+id.String(), &n)
	switch {
	case err != nil:
		return err
	case !ok || n.Manifest != manifest || n.Job != job || b.now().Unix() >= n.Expires:
		return errNonce
	case n.Binding != nil && *n.Binding != d:
		return errNonce
	case n.Binding != nil:
		return nil
	}
	n.Binding = &d
	return put(ctx, st, storedNonces+id.String(), &n)
}

func (b *backend) open(ctx context.Context, st logical.Storage, items []keyholder.Item) ([][]byte, error) {
	ring, err := b.keys(ctx, st)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for i, it := range items {
		k, err := ring.unwrap(it.Context, it.Wrapped)
		if err != nil {
			return out, fmt.Errorf("item %d: %w", i, err)
		}
		out = append(out, k)
	}
	return out, nil
}
