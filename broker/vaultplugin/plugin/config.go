// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// settings are whose broker this engine serves, and which enclaves the owner accepts.
type settings struct {
	Broker        envelope.PublicKey  `json:"broker"` // the audience in evidence, and who vouches for attestation keys
	ReferenceKey  envelope.PublicKey  `json:"referenceKey"`
	Reference     []byte              `json:"reference"` // signed reference values
	Version       int64               `json:"version"`   // the highest version of them that was ever here
	SimulatedRoot *envelope.PublicKey `json:"simulatedRoot,omitempty"`
}

// writeConfig takes new settings. Reference values only go forward.
func (b *backend) writeConfig(ctx context.Context, r *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s settings
	for name, to := range map[string]*envelope.PublicKey{"broker": &s.Broker, "reference_key": &s.ReferenceKey} {
		text, _ := d.Get(name).(string)
		k, err := envelope.ParsePublicKey(text)
		if err != nil {
			return nil, bad("%s: want a did:key", name)
		}
		*to = k
	}
	if err := envelope.Distinct(s.Broker, s.ReferenceKey); err != nil {
		return nil, bad("%v", err)
	}
	var err error
	if s.Reference, err = bytesOf(d, "reference", maxReference); err != nil {
		return nil, err
	}
	if text, _ := d.Get("simulated_root").(string); text != "" {
		k, err := envelope.ParsePublicKey(text)
		if err != nil {
			return nil, bad("simulated_root: want a did:key")
		}
		s.SimulatedRoot = &k
	}
	ref, _, err := attestation.VerifyReference(s.Reference, s.ReferenceKey)
	if err != nil {
		return nil, bad("reference: %v", err)
	}
	old, err := b.settings(ctx, r.Storage)
	switch {
	case err == nil:
		s.Version = old.Version
	case !errors.Is(err, errConfig): // not read is not none: older values must not come back
		return nil, err
	}
	if err := ref.Fresh(b.now().Unix(), s.Version); err != nil {
		return nil, bad("reference: %v", err)
	}
	s.Version = ref.Version
	if _, err := b.verifier(&s, b.now().Unix()); err != nil {
		return nil, bad("%v", err)
	}
	return nil, put(ctx, r.Storage, storedConfig, &s)
}

func (b *backend) readConfig(ctx context.Context, r *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	s, err := b.settings(ctx, r.Storage)
	if err != nil {
		return nil, err
	}
	k, err := b.keys(ctx, r.Storage)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"broker": s.Broker.String(), "reference_key": s.ReferenceKey.String(), "reference_version": s.Version, "oldest": k.Oldest, "latest": k.Latest,
	}}, nil
}

func (b *backend) settings(ctx context.Context, st logical.Storage) (*settings, error) {
	var s settings
	ok, err := get(ctx, st, storedConfig, &s)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errConfig
	}
	if s.Broker.IsZero() || s.ReferenceKey.IsZero() {
		return nil, errors.New("the configuration in storage is damaged")
	}
	return &s, nil
}

// verifier checks the reference values anew each time: they expire.
func (b *backend) verifier(s *settings, now int64) (*attestation.Verifier, error) {
	ref, _, err := attestation.VerifyReference(s.Reference, s.ReferenceKey)
	if err != nil {
		return nil, err
	}
	if err := ref.Fresh(now, s.Version); err != nil {
		return nil, err
	}
	formats := b.testOnlyFormats
	if formats == nil {
		formats = verifiers.New([]envelope.PublicKey{s.Broker}, s.SimulatedRoot)
	}
	return attestation.NewVerifier(ref, formats...)
}
