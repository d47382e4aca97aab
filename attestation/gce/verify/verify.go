// SPDX-License-Identifier: Apache-2.0

// Package verify authenticates evidence of Shielded VMs on Google Compute Engine.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: say which boot a Google vTPM vouches for,
// on Google's word that the key belongs to a VM of theirs: attestation key → Google's intermediate → pinned root, quote by
// that key, event log that leads to the quoted registers. The host, Google, reads the VM's memory: assurance tpm and no
// more, also on confidential VMs, whose hardware does not speak here. Offline. docs/spec/evidence.md is the format.
package verify

import (
	"bytes"
	"context"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gce/shielded"
	"github.com/glovebox-dev/glovebox/attestation/tpm/boot"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors.
var (
	ErrConfig      = errors.New("gce: bad verifier configuration")
	ErrCertificate = errors.New("gce: attestation key's certificate refused")
	ErrRevoked     = fmt.Errorf("%w: revoked", ErrCertificate)
	ErrInstance    = errors.New("gce: certificate names no instance of Google's production fleet")
	ErrUnmeasured  = errors.New("gce: registers that firmware never extended")
)

// Format implements [attestation.Format] for Compute Engine. Immutable.
type Format struct{ roots map[envelope.Digest]string }

var _ attestation.Format = (*Format)(nil)

// NewFormat accepts Google's two roots and no other.
func NewFormat() (attestation.Format, error) { return newFormat(googleRoots()) }

func newFormat(roots map[string]string) (attestation.Format, error) {
	f := &Format{map[envelope.Digest]string{}}
	for pin, name := range roots {
		b, err := hex.DecodeString(pin)
		if err != nil || len(b) != len(envelope.Digest{}) || name == "" {
			return nil, fmt.Errorf("%w: root pin %q", ErrConfig, pin)
		}
		f.roots[envelope.Digest(b)] = name
	}
	if len(f.roots) == 0 {
		return nil, fmt.Errorf("%w: no roots", ErrConfig)
	}
	return f, nil
}

// Platform implements [attestation.Format].
func (f *Format) Platform() attestation.Platform { return attestation.PlatformGCE }

// Authenticate implements [attestation.Format].
func (f *Format) Authenticate(_ context.Context, e *attestation.Evidence, now int64) (*attestation.Report, error) {
	r := &attestation.Report{Platform: attestation.PlatformGCE, Measurements: map[string]string{}}
	x, err := shielded.Parse(e.Evidence)
	if err != nil {
		return r, r.Fail("format", fmt.Sprintf("%d bytes", len(e.Evidence)), "evidence of a Shielded VM", err)
	}
	r.Pass("format", "evidence of a Shielded VM", "evidence of a Shielded VM")
	explain(r, x)
	key, err := f.authenticateKey(r, x, e.Endorsements, now)
	if err != nil {
		return r, err
	}
	a, err := authenticateQuote(r, x, key)
	if err != nil {
		return r, err
	}
	pcrs, err := measured(r, x, a)
	if err != nil {
		return r, err
	}
	log, err := boot.Check(r, pcrs, e.EventLogs, boot.Required)
	if err != nil {
		return r, err
	}
	for name, v := range x.PCRs {
		r.Measurements[name] = v
	}
	if d := boot.Enclave(log, pcrs); d != "" {
		r.Measurements["enclave"] = d
	}
	r.Assurance, r.Bound = attestation.AssuranceTPM, bytes.Clone(a.Qualifying)
	r.Fact(attestation.AboutWeakness, "memory", "Google's hypervisor can read this VM's memory: assurance tpm, also on confidential VMs, whose own report is platform snp or tdx")
	return r, nil
}

// CheckBound implements [attestation.Format]: d is the whole qualifying data.
func (f *Format) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if r == nil || d.IsZero() || !bytes.Equal(r.Bound, d[:]) {
		return fmt.Errorf("%w: qualifying data of the quote is not this binding's digest", attestation.ErrBind)
	}
	return nil
}

// authenticateKey: Google certified this key for an instance, and it is one that signs nothing but its TPM's words.
func (f *Format) authenticateKey(r *attestation.Report, x *shielded.Evidence, list []attestation.Endorsement, now int64) (*quote.CloudKey, error) {
	const want = "restricted, fixedTPM, RSA-2048 or P-256"
	if len(x.AKCertificate) == 0 {
		err := fmt.Errorf("%w: the key has none, so nobody vouches for it", ErrCertificate)
		return nil, r.Fail("ak-chain", "no certificate", wantChain, err)
	}
	key, err := quote.CheckCloudAK(x.AKPublic)
	if err != nil {
		return nil, r.Fail("ak-public", fmt.Sprintf("%d bytes", len(x.AKPublic)), want, err)
	}
	r.Pass("ak-public", "Name "+key.NameHex(), want)
	cert, err := f.checkChain(r, x.AKCertificate, list, now)
	if err != nil {
		return nil, err
	}
	if k, ok := key.Public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(cert.PublicKey) {
		err := fmt.Errorf("%w: it is of another key", ErrCertificate)
		return nil, r.Fail("ak-key", "another key", "the certified key is the one that is shown", err)
	}
	r.Pass("ak-key", "the same key", "the certified key is the one that is shown")
	return key, checkInstance(r, cert)
}

// authenticateQuote: the key signed this quote, as a primary key of the endorsement hierarchy, over these values.
func authenticateQuote(r *attestation.Report, x *shielded.Evidence, key *quote.CloudKey) (*quote.Attest, error) {
	if err := quote.CheckSignature(key.Public, x.Quote, x.Signature); err != nil {
		return nil, r.Fail("quote-signature", "not by this key", "by the certified key", err)
	}
	r.Pass("quote-signature", "by the certified key", "by the certified key")
	a, err := quote.ParseAttest(x.Quote)
	if err != nil {
		return nil, r.Fail("quote", fmt.Sprintf("%d bytes", len(x.Quote)), "a TPM's quote of the SHA-256 bank", err)
	}
	r.Pass("quote", fmt.Sprintf("PCRs %v", a.PCRs), "a TPM's quote of the SHA-256 bank")
	if seen, want := hex.EncodeToString(a.Signer), hex.EncodeToString(key.QualifiedName()); seen != want {
		err := fmt.Errorf("%w: quote is not by a primary key of the endorsement hierarchy", quote.ErrKey)
		return nil, r.Fail("ak-hierarchy", seen, want, err)
	}
	r.Pass("ak-hierarchy", "endorsement", "endorsement")
	return a, nil
}

// measured: the values are those that were quoted, and firmware extended each of its registers.
func measured(r *attestation.Report, x *shielded.Evidence, a *quote.Attest) (map[int][]byte, error) {
	pcrs, err := a.CheckValues(x.PCRs)
	if err != nil {
		return nil, r.Fail("pcr-values", fmt.Sprintf("%d registers", len(x.PCRs)), "exactly the quoted registers, hashing to the quoted digest", err)
	}
	r.Pass("pcr-values", fmt.Sprintf("%d registers", len(pcrs)), "exactly the quoted registers, hashing to the quoted digest")
	for i := range 8 {
		if v := pcrs[i]; len(v) == 0 || bytes.Equal(v, make([]byte, len(v))) {
			err := fmt.Errorf("%w: %s", ErrUnmeasured, quote.Name(i))
			return nil, r.Fail("pcr-extended", quote.Name(i)+" is zero or not quoted", "PCRs 0 to 7 quoted and extended", err)
		}
	}
	r.Pass("pcr-extended", "PCRs 0 to 7", "PCRs 0 to 7 quoted and extended")
	return pcrs, nil
}

// explain writes what the evidence says, before anything in it is believed.
func explain(r *attestation.Report, x *shielded.Evidence) {
	if key, err := quote.CheckCloudAK(x.AKPublic); err == nil {
		r.Fact(attestation.AboutSigner, "attestation-key", "TPM Name %s", key.NameHex())
	}
	if a, err := quote.ParseAttest(x.Quote); err == nil {
		boot.Explain(r, a)
	}
	for i := range quote.PCRCount {
		if v, ok := x.PCRs[quote.Name(i)]; ok {
			r.Fact(attestation.AboutRunning, quote.Name(i), "%s", v)
		}
	}
}
