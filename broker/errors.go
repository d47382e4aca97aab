// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Errors of this package.
var (
	ErrRequest       = errors.New("the request makes no sense")
	ErrUnknown       = fmt.Errorf("%w: no such package, grant or platform here", ErrRequest)
	ErrNonce         = errors.New("the nonce is not this broker's, or not for this package and job")
	ErrNonceReplayed = errors.New("the nonce was used before")
	ErrNonceExpired  = errors.New("the nonce has expired")
	ErrBinding       = errors.New("the evidence is bound to something else")
	ErrReference     = errors.New("there are no usable reference values")
	ErrTicket        = errors.New("the run ticket does not fit")
	ErrLease         = errors.New("the lease has ended")
	ErrHeartbeat     = errors.New("the heartbeat does not follow the one before")
	ErrUsage         = errors.New("the usage statement does not fit the grant")
	ErrCommitted     = errors.New("another usage statement was committed for this grant")
	ErrUnlogged      = errors.New("the log does not prove the grant yet")
	ErrWithdrawn     = errors.New("the job was stopped")
	ErrBusy          = errors.New("not now")
	ErrAmount        = errors.New("the amount is out of range")
	ErrWithdrawals   = errors.New("a revocation or cancellation on file cannot be read")
	ErrPermits       = errors.New("the owner's permits cannot be read")
	ErrPackages      = errors.New("a package on file cannot be read, and may be a newer version of any")
	ErrKey           = errors.New("the package's key cannot be unwrapped")
	ErrEnrolment     = errors.New("the attestation key was not enrolled")
)

// DeniedError is a refusal by policy, with the signed reasons.
type DeniedError struct {
	Signed []byte
	Denial grant.Denial
}

func (e *DeniedError) Error() string {
	if len(e.Denial.Reasons) == 0 {
		return "denied"
	}
	return fmt.Sprintf("denied: %s", e.Denial.Reasons[0].Message)
}

// failure maps one error to what the caller is told.
type failure struct {
	is   error
	code string
	hint string
}

// failures is searched in order. What is not listed is an internal error: the caller learns nothing but to try again.
func failures() []failure {
	return []failure{
		{ErrNonceReplayed, grant.CodeEvidence, "ask for a new challenge and collect new evidence"},
		{ErrNonceExpired, grant.CodeEvidence, "ask for a new challenge and collect new evidence"},
		{ErrNonce, grant.CodeEvidence, "ask this broker for a challenge for this package and job"},
		{ErrBinding, grant.CodeEvidence, "bind the evidence to this job, its packages in order and their brokers"},
		{ErrReference, grant.CodeEvidence, "the owner must sign reference values (operator measure, creator init)"},
		{attestation.ErrReference, grant.CodeEvidence, "the owner must sign current reference values"},
		{attestation.ErrEvidence, grant.CodeEvidence, "run a known enclave on a platform this broker accepts"},
		{ErrEnrolment, grant.CodeEvidence, "enrol a TPM whose maker this broker's ekRoots name"},
		{ErrTicket, grant.CodeInvalid, "ask the buyer's broker for the run ticket of this attempt"},
		{ErrLease, grant.CodeEnded, "start a new attempt"},
		{ErrHeartbeat, grant.CodeInvalid, "send heartbeats in order, each once"},
		{ErrUsage, grant.CodeInvalid, "sign what the grant allows and the heartbeats reported"},
		{ErrCommitted, grant.CodeInvalid, "a grant is committed once"},
		{ErrUnlogged, grant.CodeUnlogged, "ask again: the owner commits once her witnesses have seen the release in the log; the operator sees which are away with operator status"},
		{ErrWithdrawn, grant.CodeDenied, "stop, and commit a failed run"},
		{ErrAmount, grant.CodeInvalid, "ask for fewer epochs"},
		{ErrWithdrawals, grant.CodeTryAgain, "the owner must repair the file in revocations or cancellations"},
		{ErrPermits, grant.CodeTryAgain, "the owner must repair the folder permits"},
		{ErrPackages, grant.CodeTryAgain, "the owner must repair the package's folder in packages"},
		{keyholder.ErrUnavailable, grant.CodeTryAgain, "the owner's keyholder does not answer; try again shortly"},
		{ErrKey, grant.CodeTryAgain, "the owner must restore key.wrap or the keyholder"},
		{ErrBusy, grant.CodeTryAgain, "try again shortly"},
		{config.ErrUnknown, grant.CodeInvalid, "this broker does not have the package"},
		{ledger.ErrAnchor, grant.CodeTryAgain, "the owner must make the place of the ledger's anchor answer again"},
		{ledger.ErrBusy, grant.CodeTryAgain, "the owner must end the other program that has the ledger open"},
		{ledger.ErrClock, grant.CodeTryAgain, "the owner must set the broker's clock right"},
		{ledger.ErrWrite, grant.CodeTryAgain, "the owner must make room on the broker's disk"},
		{ledger.ErrClosed, grant.CodeTryAgain, "the broker is stopping"},
		{context.DeadlineExceeded, grant.CodeTryAgain, "try again shortly"},
		{context.Canceled, grant.CodeTryAgain, "try again shortly"},
		{ErrRequest, grant.CodeInvalid, "see docs/spec/release.md"},
		{envelope.ErrIntegrity, grant.CodeInvalid, "send statements as they were signed"},
		{envelope.ErrMalformed, grant.CodeInvalid, "see docs/spec/release.md"},
		{envelope.ErrTooLarge, grant.CodeInvalid, "see docs/spec/release.md"},
		{grant.ErrInvalid, grant.CodeInvalid, "see docs/spec/grant.md"},
	}
}

// explain turns an error into a reply, and says whether the cause is on the owner's side. Errors that come from the
// request carry no secrets: they cite digests, times and terms. Of evidence they name the failed check, and not what
// would have been accepted.
func explain(err error) (reply *grant.Error, internal bool) {
	var d *DeniedError
	if errors.As(err, &d) {
		return &grant.Error{Code: grant.CodeDenied, Message: d.Error(), Hint: d.Denial.Reasons[0].Satisfy, Denial: d.Signed}, false
	}
	for _, f := range failures() {
		if !errors.Is(err, f.is) {
			continue
		}
		e := &grant.Error{Code: f.code, Message: err.Error(), Hint: f.hint}
		if r, ok := errors.AsType[*attestation.RefusedError](err); ok { // what the owner wants is in her own lists
			e.Message = r.Public()
		}
		if f.code == grant.CodeTryAgain && f.is != ErrBusy { // the owner's trouble: her log says more than strangers need
			e.Message = f.is.Error()
			return e, true
		}
		return e, false
	}
	return &grant.Error{Code: grant.CodeTryAgain, Message: "internal error", Hint: "the owner finds more in the broker's log"}, true
}
