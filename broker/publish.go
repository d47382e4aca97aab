// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// ErrRefused means that a log will not take a record, as opposed to being away.
var ErrRefused = errors.New("broker: the log refuses the record")

// Publisher takes a signed record to a public log. A record may come twice; it is the same bytes then. An error that
// wraps [ErrRefused] is about this one record.
type Publisher interface {
	Publish(ctx context.Context, signed []byte, key envelope.PublicKey) error
}

const appendRecordPath = "/glovebox.v1.LogService/AppendRecord"

// HTTPPublisher posts records to a host's log, as Connect JSON.
type HTTPPublisher struct {
	url    string
	client *http.Client
}

// NewHTTPPublisher posts to the host at base, an http or https URL.
func NewHTTPPublisher(base string) *HTTPPublisher {
	return &HTTPPublisher{connectURL(base, appendRecordPath), &http.Client{Timeout: publishWait}}
}

func connectURL(base, path string) string { return strings.TrimRight(base, "/") + path }

// Publish implements [Publisher].
func (p *HTTPPublisher) Publish(ctx context.Context, signed []byte, key envelope.PublicKey) error {
	body, err := json.Marshal(struct {
		Record []byte `json:"record"`
		Broker string `json:"broker"`
	}{signed, key.String()})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Connect-Protocol-Version", "1")
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxPublishAck)); err != nil {
		return err
	}
	switch c := resp.StatusCode; {
	case c == http.StatusOK:
		return nil
	case c >= 400 && c < 500 && c != http.StatusRequestTimeout && c != http.StatusTooManyRequests:
		return fmt.Errorf("%w: it answered %s", ErrRefused, resp.Status)
	default:
		return fmt.Errorf("log answered %s", resp.Status)
	}
}

// publish pushes records in order until ctx ends. The log is not on the path of any release: when it is away, records
// wait in the ledger. A record that it refuses again and again is passed over, so that it does not hold up the others, unless a commit waits for it.
func (b *Broker) publish(ctx context.Context) {
	if b.cfg.Publisher == nil {
		return
	}
	refusals := 0
	for {
		n, err := b.publishSome(ctx, refusals >= maxRefusals)
		if ctx.Err() != nil {
			return
		}
		if n > 0 {
			refusals = 0
		}
		wait := tickInterval
		switch {
		case errors.Is(err, ErrRefused):
			refusals, wait = refusals+1, publishRetry
			b.log.Warn("record not published", "error", err)
		case err != nil:
			wait = publishRetry
			b.log.Warn("log is away", "error", err)
		case n > 0:
			wait = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// publishSome pushes the next records and remembers how far it came. Statements by others stay here: the log takes what
// brokers sign.
func (b *Broker) publishSome(ctx context.Context, skipRefused bool) (n int, err error) {
	var records []ledger.Record
	err = b.ledger.View(ctx, func(t *ledger.Tx) error {
		done, err := t.Meta(ledger.MetaPublished)
		if err != nil {
			return err
		}
		records, err = t.Records(done, publishBatch)
		return err
	})
	if err != nil || len(records) == 0 {
		return 0, err
	}
	var failed error
	for _, r := range records {
		if r.Sequence > 0 {
			failed = b.cfg.Publisher.Publish(ctx, r.Signed, r.Key)
		}
		if errors.Is(failed, ErrRefused) && skipRefused {
			if held, err := b.awaitsLog(ctx, &r); err != nil || held {
				failed = errors.Join(failed, err)
				break
			}
			b.log.Error("record passed over", "record", r.Digest.String(), "error", failed)
			failed, skipRefused = nil, false
		}
		if failed != nil {
			break
		}
		n++
	}
	if n == 0 {
		return 0, failed
	}
	return n, errors.Join(failed, b.ledger.Update(ctx, func(t *ledger.Tx) error {
		return t.SetMeta(ledger.MetaPublished, records[n-1].N)
	}))
}

// awaitsLog reports whether a record is a grant that must be in the log before its lease can commit, and still may be. Passed
// over, that run could never end, although the log is well again.
func (b *Broker) awaitsLog(ctx context.Context, r *ledger.Record) (held bool, err error) {
	if b.public == nil {
		return false, nil
	}
	err = b.ledger.View(ctx, func(t *ledger.Tx) error {
		l, err := t.Lease(r.Digest)
		if errors.Is(err, ledger.ErrNotFound) { // not a grant
			return nil
		}
		held = err == nil && l.State == ledger.Live
		return err
	})
	return held, err
}
