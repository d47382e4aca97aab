// SPDX-License-Identifier: Apache-2.0

// Package verify authenticates TPM 2.0 evidence and enrols attestation keys at brokers.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: say which PCR values a TPM vouches for,
// and whose word it is that the TPM is one. A TPM's attestation key has no certificate, so an owner's broker endorses it
// after credential activation against the endorsement key's certificate ([Enroller]); the endorsement travels with the
// evidence, and its assurance is the most that the evidence can earn. Offline.
// docs/spec/evidence.md and docs/spec/ak-endorsement.md are the formats.
package verify

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tpm/boot"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors.
var (
	ErrConfig     = errors.New("tpm: bad verifier configuration")
	ErrEndorsed   = errors.New("tpm: attestation key is not endorsed by an accepted broker")
	ErrExpired    = fmt.Errorf("%w: endorsement is not valid at this time", ErrEndorsed)
	ErrOtherKey   = fmt.Errorf("%w: endorsement is of another key", ErrEndorsed)
	ErrUnmeasured = errors.New("tpm: hardware reports PCRs that firmware never extended")
	ErrLog        = boot.ErrLog
)

// Config says whose endorsements count.
type Config struct {
	Brokers []envelope.PublicKey // the relying party's own broker, or those of a bundle's owners; not empty
}

// Format implements [attestation.Format] for TPM 2.0. Immutable.
type Format struct{ cfg Config }

var _ attestation.Format = (*Format)(nil)

// NewFormat refuses an empty list of brokers: nobody's word is not anybody's.
func NewFormat(cfg Config) (*Format, error) {
	if len(cfg.Brokers) == 0 || len(cfg.Brokers) > maxBrokers {
		return nil, fmt.Errorf("%w: %d broker keys", ErrConfig, len(cfg.Brokers))
	}
	for _, b := range cfg.Brokers {
		if b.IsZero() {
			return nil, fmt.Errorf("%w: empty broker key", ErrConfig)
		}
	}
	cfg.Brokers = slices.Clone(cfg.Brokers)
	return &Format{cfg}, nil
}

// Unvouched is the format of people who accept no broker's word: it makes every check, and then refuses.
func Unvouched() *Format { return &Format{} }

// Platform implements [attestation.Format].
func (f *Format) Platform() attestation.Platform { return attestation.PlatformTPM }

// Authenticate implements [attestation.Format]: the quote is by a key that an accepted broker endorses, over the PCR
// values given, and the event log leads to them. There is no way to do without the log, for a software TPM either: a
// quote of registers that nobody explains is no measured boot.
func (f *Format) Authenticate(_ context.Context, e *attestation.Evidence, now int64) (*attestation.Report, error) {
	r := &attestation.Report{Platform: attestation.PlatformTPM}
	q, err := quote.Parse(e.Evidence)
	if err != nil {
		return r, foreign(r, e.Evidence, err)
	}
	bound, err := q.Verify()
	if errors.Is(err, quote.ErrKey) && !isOurs(q) {
		return r, foreign(r, e.Evidence, err)
	}
	explain(r, q.Quote, q.PCRs)
	if err != nil {
		return r, r.Fail(faulty(err), "refused", "a quote by the key shown, over the values shown", err)
	}
	r.Pass("quote-signature", "by the key shown, over the values shown", "a quote by the key shown, over the values shown")
	const endorsed = "by an accepted broker, for this key, at this time"
	end, err := f.endorsement(e.Endorsements, q.AKPublic, now)
	if err != nil {
		return r, r.Fail("ak-endorsement", fmt.Sprintf("%d endorsements", len(e.Endorsements)), endorsed, err)
	}
	r.Pass("ak-endorsement", end.root, endorsed)
	r.Fact(attestation.AboutSigner, "root", "%s", end.root)
	if err := checkMeasured(end.assurance, q); err != nil {
		return r, r.Fail("pcr-extended", "a register at its reset value", "firmware extended PCRs 0 to 7, and a launcher PCR 14", err)
	}
	if err := measurements(r, q, e.EventLogs); err != nil {
		return r, err
	}
	if end.assurance == attestation.AssuranceSoftwareTPM {
		r.Fact(attestation.AboutWeakness, "software", "a TPM in software: whoever runs it can make it say anything")
	}
	r.Fact(attestation.AboutWeakness, "memory", "the host can read the enclave's memory: assurance at most tpm")
	r.Assurance, r.Bound, r.Root = end.assurance, bound, end.root
	return r, nil
}

// faulty is which of the checks inside [quote.Evidence.Verify] failed.
func faulty(err error) string {
	switch {
	case errors.Is(err, quote.ErrKey):
		return "ak-public"
	case errors.Is(err, quote.ErrSignature):
		return "quote-signature"
	case errors.Is(err, quote.ErrPCRs):
		return "pcr-values"
	}
	return "quote"
}

// CheckBound implements [attestation.Format]: d is the whole qualifying data.
func (f *Format) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if r == nil || d.IsZero() || !bytes.Equal(r.Bound, d[:]) {
		return fmt.Errorf("%w: qualifying data of the quote is not this binding's digest", attestation.ErrBind)
	}
	return nil
}

// checkMeasured refuses hardware whose firmware measured nothing: PC client firmware extends a separator into each of
// PCRs 0 to 7, so a register at its reset value was never under its control, and without PCR 14 no enclave was launched.
// The registers of boot loaders that a machine does not use rightly stay at zero. A software TPM has no firmware.
func checkMeasured(a attestation.Assurance, q *quote.Evidence) error {
	if a != attestation.AssuranceTPM {
		return nil
	}
	values := q.Values()
	for _, i := range []int{0, 1, 2, 3, 4, 5, 6, 7, quote.EnclavePCR} {
		if v := values[i]; bytes.Equal(v, make([]byte, len(v))) {
			return fmt.Errorf("%w: %s", ErrUnmeasured, quote.Name(i))
		}
	}
	return nil
}

// measurements are the PCRs, and "enclave" where the log has exactly one event for the enclave binary. That name rests
// on PCR 14's value, which every reference value pins.
func measurements(r *attestation.Report, q *quote.Evidence, logs []attestation.EventLog) error {
	r.Measurements = map[string]string{}
	for _, i := range quote.PCRs() {
		r.Measurements[quote.Name(i)] = q.PCRs[quote.Name(i)]
	}
	l, err := boot.Check(r, q.Values(), logs, boot.Whole)
	if err != nil {
		return err
	}
	if d := l.Find(quote.EnclavePCR, eventlog.IPL, eventlog.EnclaveEvent); len(d) == 1 {
		r.Measurements["enclave"] = hex.EncodeToString(d[0][:])
	}
	return nil
}
