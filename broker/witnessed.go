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
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Prover finds the proof that a record is in the log, against the newest checkpoint that witnesses cosigned. It is not
// believed: what it returns is verified.
type Prover interface {
	Prove(ctx context.Context, statement envelope.Digest) (tlog.Proof, error)
}

// public is the log that this broker's grants must be in before it commits.
type public struct {
	log       *tlog.Log
	witnesses *tlog.Witnesses
	prover    Prover
	asking    slots // bounds questions under way: a log that does not answer must not keep heartbeats waiting
}

// openLog reads the owner's demands on the log; nil if she has none.
func openLog(s *config.Config, p Prover) (*public, error) {
	if s.Log == nil {
		return nil, nil
	}
	log, w, err := s.Log.Open()
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, fmt.Errorf("%w: log, and nobody to ask for a proof", config.ErrConfig)
	}
	return &public{log, w, p, make(slots, maxProving)}, nil
}

// witnessed is the proof that a lease's grant is in the log, under a checkpoint that enough witnesses cosigned; nil where
// the owner asks for none, or where there is nothing more to commit. Whoever withholds it, the host or a witness, delays the
// end of the run and no more: nothing has changed here, the result is sealed, and the lease ends as it would anyway.
func (b *Broker) witnessed(ctx context.Context, id envelope.Digest, s *settling) (*tlog.Proof, error) {
	if b.public == nil {
		return nil, nil
	}
	var l *ledger.Lease
	err := b.ledger.View(ctx, func(t *ledger.Tx) (err error) { // what will be refused need not wait
		if l, err = t.Lease(id); err != nil || l.Usage != nil {
			return err
		}
		s.l, s.now = l, millis(b.clock.read())
		_, _, err = b.examine(t, s)
		return err
	})
	if err != nil || l.Usage != nil {
		return nil, err
	}
	leave, ok := enter(ctx, b.public.asking)
	if !ok {
		return nil, fmt.Errorf("%w: the log is being asked for others", ErrBusy)
	}
	defer leave()
	p, err := b.public.prove(ctx, l, b.signer.Public(), b.clock.read())
	if err != nil { // the owner's log says more than strangers need
		b.log.Warn("not committed: the grant is not proven to be in the log", "grant", l.Grant.String(), "error", err)
		return nil, fmt.Errorf("%w: grant %s, which %d of %d witnesses must have cosigned", ErrUnlogged, l.Grant, b.public.witnesses.Threshold(), len(b.public.witnesses.Keys()))
	}
	return p, nil
}

// witnessSkew is how far a witness's clock may be from this one: no farther than an auditor lets it be, who would refuse the run.
const witnessSkew = 5 * time.Minute

// prove asks for a proof and verifies it: the entry must be that of this grant as this broker signed it.
func (p *public) prove(ctx context.Context, l *ledger.Lease, key envelope.PublicKey, now time.Time) (*tlog.Proof, error) {
	body, err := tlog.Body(l.SignedGrant, key)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, proofWait)
	defer cancel()
	proof, err := p.prover.Prove(ctx, l.Grant)
	if err != nil {
		return nil, err
	}
	if err := proof.Validate(); err != nil {
		return nil, err
	}
	if _, _, err := p.witnesses.VerifyInclusion(p.log, body, proof); err != nil {
		return nil, err
	}
	// What else the host put under the checkpoint is not this broker's to sign.
	first, last := time.UnixMilli(l.Issued).Add(-witnessSkew), now.Add(witnessSkew)
	if proof.Checkpoint, err = p.witnesses.Trim(p.log, proof.Checkpoint, first.Unix()+1, last.Unix()); err != nil {
		return nil, err
	}
	return &proof, nil
}

const inclusionPath = "/glovebox.v1.LogService/Inclusion"

// HTTPProver asks a host's log for proofs, as Connect JSON.
type HTTPProver struct {
	url    string
	client *http.Client
}

// NewHTTPProver asks the host at base, an http or https URL.
func NewHTTPProver(base string) *HTTPProver {
	return &HTTPProver{connectURL(base, inclusionPath), &http.Client{Timeout: proofWait, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

// inclusion is InclusionResponse in protobuf-JSON. What is left out is zero there.
type inclusion struct {
	Index      int64    `json:"index,string"`
	Size       int64    `json:"size,string"`
	Hashes     [][]byte `json:"hashes"`
	Checkpoint []byte   `json:"checkpoint"`
}

// Prove implements [Prover].
func (p *HTTPProver) Prove(ctx context.Context, statement envelope.Digest) (tlog.Proof, error) {
	question, err := json.Marshal(struct {
		Statement string `json:"statement"`
		Cosigned  bool   `json:"cosigned"`
	}{statement.String(), true})
	if err != nil {
		return tlog.Proof{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(question))
	if err != nil {
		return tlog.Proof{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Connect-Protocol-Version", "1")
	resp, err := p.client.Do(req)
	if err != nil {
		return tlog.Proof{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxProof+1))
	switch {
	case err != nil:
		return tlog.Proof{}, err
	case resp.StatusCode != http.StatusOK:
		return tlog.Proof{}, fmt.Errorf("log answered %s", resp.Status)
	case len(b) > maxProof:
		return tlog.Proof{}, fmt.Errorf("%w: proof of more than %d bytes", envelope.ErrTooLarge, maxProof)
	}
	return parseInclusion(b)
}

// parseInclusion reads an answer. That members of others' making are passed over is safe: the proof is verified.
func parseInclusion(b []byte) (tlog.Proof, error) {
	var in inclusion
	if err := json.Unmarshal(b, &in); err != nil {
		return tlog.Proof{}, fmt.Errorf("log's proof: %w", err)
	}
	out := tlog.Proof{Index: in.Index, Size: in.Size, Hashes: []envelope.Digest{}, Checkpoint: string(in.Checkpoint)}
	for _, h := range in.Hashes {
		if len(h) != len(envelope.Digest{}) {
			return tlog.Proof{}, errors.New("log's proof: a hash of the wrong length")
		}
		out.Hashes = append(out.Hashes, envelope.Digest(h))
	}
	return out, nil
}
