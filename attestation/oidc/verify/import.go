// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
)

// tokenNames are the members that tools put a token in.
func tokenNames() []string { return []string{"token", "jwt", "attestation_token", "id_token"} }

// Import makes an envelope of a token's file: the compact token, or a JSON object with it.
func Import(raw attestation.Raw) (*attestation.Evidence, error) {
	if len(raw.Certs) > 0 || len(raw.Collateral) > 0 || len(raw.EventLogs) > 0 {
		return nil, fmt.Errorf("%w: a token has no other files: certificates are in it, and published keys (JWKS) belong into the policy's oidc.issuers, where the relying party vouches for them", ErrImport)
	}
	if len(raw.Report) == 0 || len(raw.Report) > maxImport {
		return nil, fmt.Errorf("%w: %d bytes, want 1 to %d", ErrImport, len(raw.Report), maxImport)
	}
	text := strings.TrimSpace(string(raw.Report))
	if strings.HasPrefix(text, "{") {
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrImport, err)
		}
		text = ""
		for _, name := range tokenNames() {
			if json.Unmarshal(members[name], &text) == nil && text != "" {
				break
			}
		}
		if text == "" {
			return nil, fmt.Errorf("%w: JSON without a token: want it as text in one of %q", ErrImport, tokenNames())
		}
	}
	text = strings.Join(strings.Fields(text), "")
	if _, err := parseToken([]byte(text)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	return &attestation.Evidence{Version: 1, Platform: attestation.PlatformOIDC, Evidence: []byte(text)}, nil
}
