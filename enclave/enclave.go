// SPDX-License-Identifier: Apache-2.0

// Package enclave runs one job at a time beside the data it was granted.
//
// Trust domain: TRUSTED and measured; it holds plaintext and keys. Its one job: do exactly what every owner's grant
// says, sign what was used, and let nothing else out. The host on the other side of the door is hostile: whatever it
// says is checked against a signature, a proof or a digest, or has no consequence but delay.
package enclave

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// Errors. Each ends the attempt; none carries plaintext.
var (
	ErrConfig  = errors.New("enclave: configuration")
	ErrJob     = errors.New("enclave: job refused")
	ErrLicence = fmt.Errorf("%w: licence-conflict", ErrJob)
	ErrGrant   = errors.New("enclave: grant refused")
	ErrBroker  = errors.New("enclave: no usable answer from the broker")
	ErrLeased  = errors.New("enclave: no progress without the broker")
	ErrEgress  = errors.New("enclave: output refused")
)

// Host is the untrusted side of the door.
type Host interface {
	Next(ctx context.Context) (*door.Assignment, error)
	Manifest(ctx context.Context, d envelope.Digest) ([]byte, error)
	ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error)
	Relay(ctx context.Context, address string, msg []byte) ([]byte, error)
	Progress(ctx context.Context, token string, p door.Progress) (cancel bool, err error)
	Output(ctx context.Context, token string, p []byte) error
	Finish(ctx context.Context, token string, r door.Result) error
	Abandon(ctx context.Context, token string, a door.Abandon) error
	Probed(ctx context.Context, token string, p door.Probed) error
}

// Runner runs untrusted code in a process that holds no key.
type Runner interface {
	Run(ctx context.Context, s sandbox.Spec, d sandbox.Data) (*sandbox.Outcome, error)
	// Module starts a creator's step, which holds no key either: what it needs of keys and noise it asks lent for.
	Module(ctx context.Context, s *dataset.Step, module []byte, in transforms.Schema, lent tx.Lent) (transforms.Module, error)
	// Train starts a guest that computes gradients of one record at a time.
	Train(ctx context.Context, s sandbox.TrainSpec) (*sandbox.TrainSession, error)
}

// Enroller is the extra ability of collectors whose attestation key a broker must vouch for (TPM).
type Enroller interface {
	EnrollRequest() grant.EnrollRequest
	Activate(r grant.EnrollReply) (grant.ActivateRequest, error)
	AddEndorsement(broker envelope.PublicKey, signed []byte) error
	Endorsed(broker envelope.PublicKey) bool
}

// Config is what an enclave is made of. Every field is required.
type Config struct {
	Host          Host
	Collector     attestation.Collector
	Runner        Runner
	Configuration envelope.Digest // of the effective configuration
	SelfTest      envelope.Digest // of the worker self-test's result, which passed
	Engine        envelope.Digest // identity of the WASM engine
}

// Enclave serves jobs one after the other.
type Enclave struct {
	c      Config
	t      timing
	probed time.Time // the last probe
	ran    *lastRun  // what the job at hand ran, if it is through
	room   int64     // bytes of records that may be held in memory, in modes that need all of them
	known  known     // verified manifests
	seams  seams
}

// New checks the configuration; an incomplete one is refused.
func New(c Config) (*Enclave, error) {
	if c.Host == nil || c.Collector == nil || c.Runner == nil || c.Configuration.IsZero() || c.SelfTest.IsZero() || c.Engine.IsZero() {
		return nil, fmt.Errorf("%w: incomplete", ErrConfig)
	}
	return &Enclave{c: c, t: defaultTiming, room: maxHeld}, nil
}

// Serve asks the host for jobs until ctx ends or the door breaks.
func (e *Enclave) Serve(ctx context.Context) error {
	for ctx.Err() == nil {
		a, err := e.next(ctx)
		if err != nil {
			return err
		}
		if a == nil {
			continue
		}
		serve := e.serveOne
		if a.Probe {
			serve = e.serveProbe
		}
		if err := serve(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

func (e *Enclave) next(ctx context.Context) (*door.Assignment, error) {
	ctx, cancel := context.WithTimeout(ctx, e.t.answer)
	defer cancel()
	return e.c.Host.Next(ctx)
}

// serveOne runs one attempt and hands its end to the host. Only a broken door is an error: everything else is the
// attempt's outcome, and the next job does not depend on it.
func (e *Enclave) serveOne(ctx context.Context, a *door.Assignment) error {
	e.ran = nil
	result, err := e.Run(ctx, a)
	defer func() { e.prepare(e.ran) }() // once the host has the result
	ctx = context.WithoutCancel(ctx)
	if err == nil {
		err = e.finish(ctx, a.Token, result)
	} else {
		deliver, cancel := context.WithTimeout(ctx, e.t.answer)
		defer cancel()
		err = e.c.Host.Abandon(deliver, a.Token, abandonment(err))
	}
	if errors.Is(err, door.ErrRefused) {
		return nil
	}
	return err
}

// finish hands a committed run over, again and again for a while: it is paid for, and a host that is short of space now
// may not be in a minute.
func (e *Enclave) finish(ctx context.Context, token string, result *door.Result) error {
	deadline, wait := time.Now().Add(e.t.commit), e.t.backoffFirst
	for {
		deliver, cancel := context.WithTimeout(ctx, e.t.answer)
		err := e.c.Host.Finish(deliver, token, *result)
		cancel()
		if !errors.Is(err, door.ErrRefused) || time.Now().Add(wait).After(deadline) {
			return err
		}
		time.Sleep(wait)
		wait = min(2*wait, e.t.backoffMost)
	}
}

// Run takes one job along the whole line (docs/spec/release.md): verify → challenge → attest → release → run → attest usage →
// commit → open the gate. An error means that no header left and that no usage attestation was committed.
func (e *Enclave) Run(ctx context.Context, a *door.Assignment) (*door.Result, error) {
	r, err := e.accept(ctx, a)
	if err != nil {
		return nil, err
	}
	defer r.wipe()
	if err := r.attest(ctx); err != nil {
		return nil, err
	}
	r.enter(ctx, door.StateReleasing)
	run, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// From the first release to the last commit every lease is kept alive, whatever the others' brokers take their time for.
	defer r.keepAlive(context.WithoutCancel(ctx), stop)()
	releaseErr := r.release(run)
	if releaseErr != nil && len(r.granted()) == 0 {
		return nil, releaseErr
	}
	// At least one owner has released: whatever happens now, a signed usage attestation says how it ended.
	run, cancel := r.untilExpiry(run)
	defer cancel()
	out := r.execute(run, releaseErr)
	defer out.wipe()
	r.enter(ctx, door.StateCommitting)
	result, err := r.settle(context.WithoutCancel(ctx), out)
	if err == nil && result.Outcome == usage.OutcomeCompleted {
		e.ran = r.ran
	}
	return result, err
}

// abandonment says in the protocol's words why an attempt ended. Retry is set only where another attempt may differ.
func abandonment(err error) door.Abandon {
	a := door.Abandon{Code: grant.CodeInvalid, Message: err.Error()}
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		a.Code, a.Message, a.Hint, a.Denial = refused.said.Code, refused.said.Message, refused.said.Hint, refused.said.Denial
		if a.Retry = refused.again(); a.Retry {
			a.Code = grant.CodeTryAgain
		}
	case errors.Is(err, ErrLicence):
		a.Code, a.Hint = grant.CodeDenied, "state another use, or choose datasets whose licences agree (glovebox buyer plan)"
	case errors.Is(err, ErrBroker), errors.Is(err, ErrLeased), errors.Is(err, context.DeadlineExceeded):
		a.Code, a.Retry = grant.CodeTryAgain, true
		a.Hint = "a broker did not answer; check that it runs and that the host reaches it"
	}
	return a
}

// clock is a broker's time as the enclave may know it: the time in its challenge plus what passed since the nonce was
// asked for. It runs ahead of the broker's own by at most the question's travel time, so expiries come early, not late.
type clock struct {
	asked  time.Time // monotonic
	issued int64     // broker's Unix milliseconds
	// expires is when its nonce does, in the same.
	expires int64
}

func (c clock) now() int64 { return c.issued + time.Since(c.asked).Milliseconds() }
