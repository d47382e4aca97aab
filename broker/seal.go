// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// unwrapAndSeal does the last two steps, once the grant is on record. The sealed bytes are kept before they are sent: a
// retry gets the same ones. When the keyholder is away the lease stays as it is, without a key: the same request goes on
// from here, and if none comes the lease is lost and its use goes back.
func (b *Broker) unwrapAndSeal(ctx context.Context, q *request, l *ledger.Lease) (*ledger.Lease, error) {
	sealed, err := b.sealed(ctx, q, l)
	if err != nil {
		return nil, err
	}
	out := *l
	err = b.update(ctx, func(t *ledger.Tx, now int64) (err error) {
		if out.State, out.Sealed, err = t.Sealed(l.Grant); err != nil {
			return err
		}
		if err := mayGoOn(t, &out, now); err != nil || len(out.Sealed) != 0 {
			return err
		}
		out.Sealed = sealed
		_, err = t.SetSealed(l.Grant, sealed)
		return err
	})
	return &out, err
}

// sealed is the data key for the attested enclave. A keyholder that can seals it itself, and shows it to nobody.
func (b *Broker) sealed(ctx context.Context, q *request, l *ledger.Lease) ([]byte, error) {
	if q.pack.Manifest.Units != nil {
		return b.sealUnits(ctx, q, l)
	}
	wrapped, err := b.cfg.Settings.WrappedKey(q.pack.ID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	context, binding := keyholder.Context(q.pack.ID), q.claims.Binding()
	if s, ok := b.keys.(keyholder.Sealer); ok {
		return sealInside(ctx, s, q, l, []keyholder.SealItem{{Item: keyholder.Item{Context: context, Wrapped: wrapped}}})
	}
	key, err := b.keys.Unwrap(ctx, context, wrapped)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	defer clear(key)
	if len(key) != dataKeySize {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrKey, len(key))
	}
	return Seal(binding.HPKEKey, q.d, l.Grant, key)
}

// sealInside has the keyholder seal: no key is ever here.
func sealInside(ctx context.Context, s keyholder.Sealer, q *request, l *ledger.Lease, items []keyholder.SealItem) ([]byte, error) {
	sealed, err := s.Seal(ctx, keyholder.SealRequest{
		Items: items, ByContributor: q.pack.Manifest.Units != nil, Manifest: q.pack.ID, Job: q.job.ID, Evidence: q.evidence, Grant: l.Grant,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return sealed, nil
}

// Seal encrypts data keys to an attested enclave, as [keyholder.SealTo] does.
func Seal(hpkeKey []byte, d, grantID envelope.Digest, key []byte) ([]byte, error) {
	sealed, err := keyholder.SealTo(hpkeKey, d, grantID, key)
	if errors.Is(err, keyholder.ErrInput) {
		err = fmt.Errorf("%w: %w", ErrBinding, err)
	}
	return sealed, err
}
