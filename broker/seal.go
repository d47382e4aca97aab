// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"crypto/hpke"
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
	var out *ledger.Lease
	err = b.update(ctx, func(t *ledger.Tx, now int64) error {
		var err error
		if out, err = t.Lease(l.Grant); err != nil {
			return err
		}
		if len(out.Sealed) != 0 {
			return nil
		}
		if err := mayGoOn(t, out, now); err != nil {
			return err
		}
		out.Sealed = sealed
		return t.SetLease(out)
	})
	return out, err
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
		sealed, err := s.Seal(ctx, keyholder.SealRequest{
			Item: keyholder.Item{Context: context, Wrapped: wrapped}, Nonce: q.nonce, Evidence: q.evidence,
			Binding: q.d, Grant: l.Grant, HPKEKey: binding.HPKEKey,
		})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		return sealed, nil
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

// Seal encrypts a data key to an attested enclave: HPKE base mode (RFC 9180), MLKEM768-X25519, HKDF-SHA256, AES-256-GCM,
// info = d, aad = the grant's digest. The result is the encapsulated key followed by the ciphertext.
func Seal(hpkeKey []byte, d, grantID envelope.Digest, key []byte) ([]byte, error) {
	pk, err := hpke.MLKEM768X25519().NewPublicKey(hpkeKey)
	if err != nil {
		return nil, fmt.Errorf("%w: HPKE key: %v", ErrBinding, err)
	}
	enc, s, err := hpke.NewSender(pk, hpke.HKDFSHA256(), hpke.AES256GCM(), d[:])
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	ct, err := s.Seal(grantID[:], key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return append(enc, ct...), nil
}
