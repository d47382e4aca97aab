// SPDX-License-Identifier: Apache-2.0

// Package oidc collects evidence in Google Confidential Space: attestation tokens of its launcher.
//
// Trust domain: enclave. Its one job: ask for a token whose one nonce is a binding digest. The launcher speaks HTTP, which the
// enclave does not, so the question goes through package relay. It has met no hardware here; tests put a launcher as Google
// documents it behind a relay. The verifier is in package verify, which the enclave does not import. docs/spec/evidence.md is
// the format.
package oidc

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/relay"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of the collector.
var (
	ErrConfig = errors.New("oidc: bad configuration")
	ErrToken  = errors.New("oidc: no token")
)

// maxToken bounds a token, in bytes, as verifiers do.
const maxToken = 32 << 10

// Config says where tokens come from and for whom they are.
type Config struct {
	RelaySocket string          // of glovebox operator relay --kind confidential-space-token
	Audience    string          // that the owners' policies name; one token serves all owners of a job
	TokenType   relay.TokenType // PKI leads to a pinned root, OIDC to keys that each policy must have
}

// Collector asks for tokens. Safe for concurrent use.
type Collector struct{ cfg Config }

var _ attestation.Collector = (*Collector)(nil)

// Open checks the configuration. Whether the relay answers shows when it is asked: it may start later.
func Open(cfg Config) (*Collector, error) {
	if cfg.RelaySocket == "" {
		return nil, fmt.Errorf("%w: no socket of a relay", ErrConfig)
	}
	c := &Collector{cfg}
	q := c.request(envelope.Digest{1})
	if err := q.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return c, nil
}

// Platform implements [attestation.Collector].
func (c *Collector) Platform() attestation.Platform { return attestation.PlatformOIDC }

func (c *Collector) request(d envelope.Digest) relay.TokenRequest {
	return relay.TokenRequest{Audience: c.cfg.Audience, Type: c.cfg.TokenType, Nonces: []string{d.Hex()}}
}

// Collect asks for a token over d. What the relay answers is passed on unjudged: it is signed, or refused where it is
// verified. Claims is left for the caller, who knows what d is the digest of.
func (c *Collector) Collect(ctx context.Context, d envelope.Digest) (attestation.Evidence, error) {
	if d.IsZero() {
		return attestation.Evidence{}, fmt.Errorf("%w: nothing to bind evidence to", attestation.ErrBinding)
	}
	body, err := envelope.Canonical(c.request(d))
	if err != nil {
		return attestation.Evidence{}, err
	}
	token, err := relay.Ask(ctx, c.cfg.RelaySocket, relay.KindConfidentialSpaceToken, body)
	if err != nil {
		return attestation.Evidence{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	if len(token) > maxToken || bytes.Count(token, []byte(".")) != 2 {
		return attestation.Evidence{}, fmt.Errorf("%w: the relay answered %d bytes that are none", ErrToken, len(token))
	}
	return attestation.Evidence{
		Version: 1, Platform: attestation.PlatformOIDC, Evidence: token,
		Endorsements: []attestation.Endorsement{}, EventLogs: []attestation.EventLog{}, Nested: []attestation.Nested{},
	}, nil
}
