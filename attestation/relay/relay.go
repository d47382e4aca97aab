// SPDX-License-Identifier: Apache-2.0

// Package relay asks a helper outside the enclave for evidence that can be had over HTTP only: Azure's metadata service
// makes quotes of TD reports, Confidential Space's launcher hands out tokens. The enclave has no HTTP.
//
// Trust domain: enclave. Its one job: one bounded question and one bounded answer over a Unix socket, before a deadline.
// The helper is trusted with nothing: what it answers is signed by somebody else over what the enclave gave, so it
// authenticates itself, and verifiers judge it. A helper can only withhold. But whoever reaches a token service's socket can
// have tokens of this machine with a nonce of its own, so the socket is the enclave's user's alone. Package server is the
// other end.
package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors. An answer that is none is [ErrRelay]; [ErrRefused] carries the helper's own words.
var (
	ErrConfig  = errors.New("relay: bad request")
	ErrRelay   = errors.New("relay: no answer")
	ErrRefused = errors.New("relay: the service refused")
)

// Kind says which service is asked.
type Kind string

// The kinds.
const (
	KindAzureTDQuote           Kind = "azure-tdquote"            // body: a TD report; answer: a TD quote
	KindConfidentialSpaceToken Kind = "confidential-space-token" // body: a [TokenRequest]; answer: a compact token
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{KindAzureTDQuote, KindConfidentialSpaceToken} }

// Request is one question.
type Request struct {
	Kind Kind   `json:"kind"`
	Body []byte `json:"body"`
}

// Answer is what comes back: a body, or an error for people.
type Answer struct {
	Body  []byte `json:"body"`
	Error string `json:"error"`
}

// TokenRequest asks Confidential Space's launcher for a token.
type TokenRequest struct {
	Audience string    `json:"audience"`
	Type     TokenType `json:"token_type"`
	Nonces   []string  `json:"nonces"`
}

// TokenType says how a token is signed.
type TokenType string

// The token types of Confidential Space that Glovebox reads.
const (
	TokenOIDC TokenType = "OIDC" // with keys that Google publishes
	TokenPKI  TokenType = "PKI"  // with certificates up to a fixed root
)

// Validate refuses what the launcher would, and a request without a nonce: its token would be bound to nothing.
func (r *TokenRequest) Validate() error {
	if r.Audience == "" || len(r.Audience) > maxAudience || (r.Type != TokenOIDC && r.Type != TokenPKI) {
		return fmt.Errorf("%w: audience or token type", ErrConfig)
	}
	if len(r.Nonces) == 0 || len(r.Nonces) > maxNonces {
		return fmt.Errorf("%w: %d nonces, want 1 to %d", ErrConfig, len(r.Nonces), maxNonces)
	}
	for _, n := range r.Nonces {
		if len(n) < minNonce || len(n) > maxNonce {
			return fmt.Errorf("%w: a nonce of %d characters, want %d to %d", ErrConfig, len(n), minNonce, maxNonce)
		}
	}
	return nil
}

// Ask puts one question to the helper behind socket and returns its answer, which is untrusted. It waits no longer than
// ctx allows, nor than a minute.
func Ask(ctx context.Context, socket string, kind Kind, body []byte) ([]byte, error) {
	if socket == "" || len(body) == 0 || len(body) > MaxBody {
		return nil, fmt.Errorf("%w: no socket, or a body of %d bytes", ErrConfig, len(body))
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("%w: %w; start glovebox operator relay beside the enclave", ErrRelay, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var a Answer
	if err := exchange(conn, &Request{kind, body}, &a); err != nil {
		if ctx.Err() != nil { // the deadline is why the connection broke
			err = ctx.Err()
		}
		return nil, fmt.Errorf("%w: %s: %w", ErrRelay, kind, err)
	}
	switch {
	case a.Error != "":
		return nil, fmt.Errorf("%w: %s: %.*q", ErrRefused, kind, MaxError, a.Error)
	case len(a.Body) == 0:
		return nil, fmt.Errorf("%w: %s: an empty one", ErrRelay, kind)
	}
	return a.Body, nil
}

func exchange(conn net.Conn, r *Request, a *Answer) error {
	if err := Write(conn, r); err != nil {
		return err
	}
	return Read(conn, a)
}

// Write sends v as canonical JSON behind its length, four big-endian bytes.
func Write(w io.Writer, v any) error {
	b, err := envelope.Canonical(v)
	if err != nil {
		return err
	}
	if len(b) > maxFrame {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrConfig, len(b), maxFrame)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// Read is the inverse of [Write]: strict, and bounded before anything is allocated.
func Read(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxFrame {
		return fmt.Errorf("%w: a frame of %d bytes, want 1 to %d", envelope.ErrTooLarge, n, maxFrame)
	}
	var b bytes.Buffer // grows with what arrives, not with what is announced
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		return err
	}
	return envelope.Decode(b.Bytes(), maxFrame, v)
}
