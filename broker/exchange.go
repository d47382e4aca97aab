// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Exchange answers one canonical [grant.Message] with one canonical [grant.Reply]. Refusals are replies too.
func (b *Broker) Exchange(ctx context.Context, msg []byte) []byte {
	r, err := b.answer(ctx, msg)
	if err != nil {
		e, internal := explain(err)
		if internal {
			b.log.Error("request failed", "error", err)
		} else {
			b.log.Info("request refused", "code", e.Code, "error", err)
		}
		r = &grant.Reply{Error: e}
	}
	out, err := envelope.Canonical(r)
	if err != nil { // a reply of ours always encodes
		panic("broker: reply does not encode: " + err.Error())
	}
	return out
}

func (b *Broker) answer(ctx context.Context, msg []byte) (*grant.Reply, error) {
	m, err := grant.ParseMessage(msg)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	r := &grant.Reply{}
	switch {
	case m.Challenge != nil:
		r.Challenge, err = b.Challenge(ctx, m.Challenge)
	case m.Enroll != nil:
		r.Enroll, err = b.enroll(m.Enroll)
	case m.Activate != nil:
		r.Activate, err = b.activate(m.Activate)
	case m.Release != nil:
		r.Release, err = b.Release(ctx, m.Release)
	case len(m.Heartbeat) > 0:
		r.Allowance, err = b.Heartbeat(ctx, m.Heartbeat)
	case len(m.Commit) > 0:
		r.Commit, err = b.Commit(ctx, m.Commit, m.Package)
	case m.Plan != nil:
		r.Plan, err = b.Plan(ctx, m.Plan)
	default:
		err = ErrRequest
	}
	return r, err
}

func (b *Broker) enroll(r *grant.EnrollRequest) (*grant.EnrollReply, error) {
	if b.cfg.Enroller == nil {
		return nil, fmt.Errorf("%w: this broker enrols no TPM", ErrUnknown)
	}
	reply, err := b.cfg.Enroller.Begin(*r, b.now())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnrolment, err)
	}
	return &reply, nil
}

func (b *Broker) activate(r *grant.ActivateRequest) ([]byte, error) {
	if b.cfg.Enroller == nil {
		return nil, fmt.Errorf("%w: this broker enrols no TPM", ErrUnknown)
	}
	signed, err := b.cfg.Enroller.Finish(*r, b.now())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnrolment, err)
	}
	b.log.Info("attestation key enrolled")
	return signed, nil
}

// Handler serves POST /glovebox/v1/exchange and GET /healthz, and the witness under /witness/ if there is one.
func (b *Broker) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /glovebox/v1/exchange", b.serveExchange)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "ok\n") //nolint:errcheck // the client has gone
	})
	if b.cfg.Witness != nil {
		mux.Handle("/witness/", http.StripPrefix("/witness", b.cfg.Witness))
	}
	return mux
}

// serveExchange takes a slot only once it has the message: who sends slowly, or nothing, keeps nobody waiting.
func (b *Broker) serveExchange(w http.ResponseWriter, r *http.Request) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		http.Error(w, "want application/json", http.StatusUnsupportedMediaType)
		return
	}
	msg, done, err := b.receive(w, r)
	if err != nil {
		w.Header().Set("Connection", "close")
		http.Error(w, "request body", statusOf(err))
		return
	}
	defer done()
	leave, ok := b.enterFor(r.Context(), msg)
	if !ok {
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "application/json")
	w.Write(b.Exchange(r.Context(), msg)) //nolint:errcheck // the client has gone; it will ask again
}
