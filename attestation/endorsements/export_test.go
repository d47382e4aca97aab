// SPDX-License-Identifier: Apache-2.0

package endorsements

import (
	"context"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Timing replaces what waits and what the time is.
func (c *Config) Timing(timeout, backoff time.Duration, now func() time.Time, sleep func(context.Context, time.Duration) error) {
	c.timeout, c.backoff, c.now, c.sleep = timeout, backoff, now, sleep
}

// Plain lets a test speak to a server without TLS.
func (c *Config) Plain() { c.plain = true }

// Asks are the addresses that one part would be asked for.
func (f *Fetcher) Asks(p attestation.Nested) (urls, notes []string, err error) {
	n, err := f.needs(&p)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range n.requests {
		urls = append(urls, r.url)
	}
	return urls, n.notes, nil
}

// KeepUntil is keepUntil.
func KeepUntil(signed time.Time, control string, now time.Time) time.Time {
	return keepUntil(signed, control, now)
}

// Merge is merge.
func Merge(have, add []attestation.Endorsement) []attestation.Endorsement { return merge(have, add) }

// Put writes an entry as a fetch would.
func (c *Cache) Put(url string, body []byte) error {
	return c.put(&Entry{
		Version: 1, Name: "test", URL: url, Key: url, Fetched: 1, Expires: 1 << 40, Digest: envelope.Sum(body), Header: map[string]string{}, Body: body,
	})
}

// Sweep is sweep.
func (c *Cache) Sweep(now time.Time) { c.sweep(now) }
