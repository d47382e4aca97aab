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

// Publisher takes a signed record to a public log. A record may come twice; it is the same bytes then.
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
	return &HTTPPublisher{strings.TrimRight(base, "/") + appendRecordPath, &http.Client{Timeout: publishWait}}
}

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
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("log answered %s", resp.Status)
	}
	return nil
}

// publish pushes records in order until ctx ends. The log is not on the path of any release: when it is away, records
// wait in the ledger.
func (b *Broker) publish(ctx context.Context) {
	if b.cfg.Publisher == nil {
		return
	}
	failing := false
	for {
		n, err := b.publishSome(ctx)
		if ctx.Err() != nil {
			return
		}
		if (err != nil) != failing {
			failing = err != nil
			b.log.Warn("publishing records", "failing", failing, "error", err)
		}
		wait := tickInterval
		if err != nil {
			wait = publishRetry
		} else if n == publishBatch {
			wait = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// publishSome pushes the next records and remembers how far it came.
func (b *Broker) publishSome(ctx context.Context) (n int, err error) {
	var records []ledger.Record
	err = b.ledger.Update(ctx, func(t *ledger.Tx) error {
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
		if failed = b.cfg.Publisher.Publish(ctx, r.Signed, r.Key); failed != nil {
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
