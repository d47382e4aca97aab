// SPDX-License-Identifier: Apache-2.0

package endorsements

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Keys fetches the keys of a token issuer by its discovery document. They are trust anchors: the relying party puts them
// into its own policy, and nobody else's envelope. So they come from the issuer now, over TLS: never from the cache, which
// nobody vouches for, and [ErrConfig] refuses to do without a network.
func (f *Fetcher) Keys(ctx context.Context, issuer string) (json.RawMessage, *Result, error) {
	if f.cfg.Offline {
		return nil, nil, fmt.Errorf("%w: keys are trust anchors, which come from their issuer and not from a cache", ErrConfig)
	}
	if err := f.allowed(issuer); err != nil {
		return nil, nil, err
	}
	out := &Result{Fetched: []Fetched{}, Notes: []string{}}
	var jwks string
	discovery := request{
		name: "discovery", url: strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration",
		read: func(a *answer, now time.Time) (*statement, error) {
			var d struct {
				Issuer string `json:"issuer"`
				Keys   string `json:"jwks_uri"`
			}
			if err := json.Unmarshal(a.Body, &d); err != nil {
				return nil, errors.New("not JSON")
			}
			if d.Issuer != issuer {
				return nil, fmt.Errorf("the document of %q", d.Issuer)
			}
			jwks = d.Keys
			return &statement{expires: now.Add(unsignedAge)}, f.allowed(d.Keys)
		},
	}
	if _, _, err := f.ask(ctx, &discovery, out); err != nil {
		return nil, out, fmt.Errorf("discovery: %w", err)
	}
	var keys json.RawMessage
	r := request{name: "jwks", url: jwks, read: func(a *answer, now time.Time) (*statement, error) {
		var set struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if err := json.Unmarshal(a.Body, &set); err != nil || len(set.Keys) == 0 {
			return nil, errors.New("not a set of keys")
		}
		keys = append(json.RawMessage(nil), a.Body...)
		return &statement{expires: now.Add(unsignedAge)}, nil
	}}
	if _, _, err := f.ask(ctx, &r, out); err != nil {
		return nil, out, fmt.Errorf("jwks: %w", err)
	}
	return keys, out, nil
}
