// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"crypto/hpke"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// lease is the identity of one attempt at one job: fresh keys, never written anywhere, wiped at its end.
type lease struct {
	id     envelope.Nonce
	signer *envelope.Signer
	hpke   hpke.PrivateKey
	d      envelope.Digest // set once the binding is complete
}

func newLease() (*lease, error) {
	signer, err := envelope.GenerateSigner(envelope.RoleEnclave)
	if err != nil {
		return nil, err
	}
	k, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, err
	}
	return &lease{id: envelope.NewNonce(), signer: signer, hpke: k}, nil
}

// wipe overwrites what this process can reach of the keys. The HPKE key's inner copies belong to the standard library and
// go with the process's memory; a lease key opens only what was sealed to its one binding (docs/limitations.md).
func (l *lease) wipe() {
	l.signer.Wipe()
	l.hpke = nil
}

// openKeys opens what a broker sealed to this lease: HPKE (RFC 9180) base mode, MLKEM768-X25519, HKDF-SHA256, AES-256-GCM;
// info is d and aad the grant's digest, so that keys sealed for another binding or grant do not open. They must be those of
// exactly the units that the grant selects.
func (l *lease) openKeys(sealed []byte, grantID envelope.Digest, m *dataset.Manifest, sel *dataset.Selection) (dataset.Keys, error) {
	byContributor, units := m.Units != nil, sel.IDs(m)
	if want := encapsulatedSize + dataset.KeysSize(byContributor, len(units)) + tagSize; len(sealed) != want {
		return dataset.Keys{}, fmt.Errorf("%w: sealed keys of %d bytes, want %d", ErrGrant, len(sealed), want)
	}
	r, err := hpke.NewRecipient(sealed[:encapsulatedSize], l.hpke, hpke.HKDFSHA256(), hpke.AES256GCM(), l.d[:])
	if err != nil {
		return dataset.Keys{}, fmt.Errorf("%w: sealed key does not decapsulate", ErrGrant)
	}
	raw, err := r.Open(grantID[:], sealed[encapsulatedSize:])
	if err != nil {
		return dataset.Keys{}, fmt.Errorf("%w: sealed key is not for this lease and grant", ErrGrant)
	}
	defer clear(raw)
	keys, err := dataset.ParseKeys(raw, byContributor, units)
	if err != nil {
		return dataset.Keys{}, fmt.Errorf("%w: %w", ErrGrant, err)
	}
	return keys, nil
}
