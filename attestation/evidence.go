// SPDX-License-Identifier: Apache-2.0

package attestation

import (
	"encoding/json"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Evidence is the one envelope for all platforms. Its canonical encoding is what digests refer to.
type Evidence struct {
	Version      int
	Platform     Platform
	Evidence     []byte        // the platform's own format
	Endorsements []Endorsement // certificates, collateral, AK endorsements
	EventLogs    []EventLog
	Claims       Binding  // what the evidence is bound to; the zero value in imported evidence, which is bound to nothing
	Nested       []Nested // GPU
}

// wire is an Evidence as JSON. Claims is null in imported evidence.
type wire struct {
	Version      int           `json:"version"` // 1
	Platform     Platform      `json:"platform"`
	Evidence     []byte        `json:"evidence"`
	Endorsements []Endorsement `json:"endorsements"`
	EventLogs    []EventLog    `json:"eventLogs"`
	Claims       *Binding      `json:"claims"`
	Nested       []Nested      `json:"nested"`
}

// Nested is evidence of a device under the evidence of the machine that holds it. It is bound to [NestedDigest].
type Nested struct {
	Platform     Platform      `json:"platform"`
	Evidence     []byte        `json:"evidence"`
	Endorsements []Endorsement `json:"endorsements"`
	EventLogs    []EventLog    `json:"eventLogs"`
}

// Endorsement is a statement by somebody else that helps to authenticate evidence.
type Endorsement struct {
	Type string `json:"type"` // a media type or a predicate type
	Body []byte `json:"body"`
}

// Types of endorsements. Those of brokers are predicate types, see docs/spec/ak-endorsement.md.
const (
	CertificateType = "application/pkix-cert"                  // one X.509 certificate, DER (RFC 2585)
	ChainType       = "application/pem-certificate-chain"      // several, PEM (RFC 8555)
	CRLType         = "application/pkix-crl"                   // a certificate revocation list, DER (RFC 2585)
	OCSPType        = "application/ocsp-response"              // DER (RFC 6960)
	TCBInfoType     = "application/vnd.intel.tcb-info+json"    // as Intel's PCS v4 answers: {"tcbInfo":…,"signature":…}
	QEIdentityType  = "application/vnd.intel.qe-identity+json" // as Intel's PCS v4 answers: {"enclaveIdentity":…,"signature":…}
	DriverRIMType   = "application/vnd.nvidia.driver-rim+xml"  // a signed SWID tag
	VBIOSRIMType    = "application/vnd.nvidia.vbios-rim+xml"   // a signed SWID tag
)

// EventLog is a measured-boot log.
type EventLog struct {
	Type string `json:"type"` // TCG2Log or CCELLog
	Body []byte `json:"body"`
}

// Types of event logs, both in the TCG's crypto-agile format.
const (
	TCG2Log = "tcg2" // of a TPM's PCRs
	CCELLog = "ccel" // of a TD's RTMRs: register 0 is MRTD, 1 to 4 are RTMR0 to RTMR3
)

// Find returns the bodies of e's endorsements of one type, in order.
func (e *Evidence) Find(typ string) [][]byte {
	var out [][]byte
	for _, x := range e.Endorsements {
		if x.Type == typ {
			out = append(out, x.Body)
		}
	}
	return out
}

// Bound reports whether e says what it is bound to. Imported evidence does not, and earns no claims.
func (e *Evidence) Bound() bool { return len(e.Claims.Owners) != 0 }

// ParseEvidence reads an envelope strictly, and refuses one that is bound to nothing. Nothing in it is trusted yet.
func ParseEvidence(b []byte) (*Evidence, error) {
	e, err := ParseImported(b)
	switch {
	case err != nil:
		return nil, err
	case !e.Bound():
		return nil, fmt.Errorf("%w: imported evidence, which is bound to nothing", ErrMalformed)
	}
	return e, nil
}

// ParseImported reads an envelope strictly, also one that is bound to nothing: raw files of a vendor, for people to look at.
func ParseImported(b []byte) (*Evidence, error) {
	var w wire
	if err := envelope.Decode(b, MaxEvidence, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	e := &Evidence{Version: w.Version, Platform: w.Platform, Evidence: w.Evidence, Endorsements: w.Endorsements, EventLogs: w.EventLogs, Nested: w.Nested}
	if w.Claims != nil {
		if err := w.Claims.Validate(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		e.Claims = *w.Claims
	}
	return e, e.check()
}

func (e *Evidence) check() error {
	if e.Version != 1 {
		return fmt.Errorf("%w: version %d", ErrMalformed, e.Version)
	}
	if len(e.Nested) > maxNested {
		return fmt.Errorf("%w: too many parts", ErrMalformed)
	}
	whole := Nested{e.Platform, e.Evidence, e.Endorsements, e.EventLogs}
	for _, n := range append([]Nested{whole}, e.Nested...) {
		if err := n.check(); err != nil {
			return err
		}
	}
	return nil
}

func (n *Nested) check() error {
	switch {
	case n.Platform == "" || len(n.Evidence) == 0:
		return fmt.Errorf("%w: no platform or no evidence", ErrMalformed)
	case len(n.Endorsements) > maxEndorsement || len(n.EventLogs) > maxEventLogs:
		return fmt.Errorf("%w: too many parts", ErrMalformed)
	}
	for _, x := range n.Endorsements {
		if x.Type == "" || len(x.Body) == 0 {
			return fmt.Errorf("%w: empty endorsement", ErrMalformed)
		}
	}
	for _, l := range n.EventLogs {
		if l.Type == "" || len(l.Body) == 0 {
			return fmt.Errorf("%w: empty event log", ErrMalformed)
		}
	}
	return nil
}

// evidence is n as a format reads it: without a binding of its own.
func (n *Nested) evidence() *Evidence {
	return &Evidence{Version: 1, Platform: n.Platform, Evidence: n.Evidence, Endorsements: n.Endorsements, EventLogs: n.EventLogs}
}

// Encode is the canonical encoding.
func (e *Evidence) Encode() ([]byte, error) { return envelope.Canonical(e) }

// MarshalJSON implements [json.Marshaler]. Absent lists are written as empty ones.
func (e Evidence) MarshalJSON() ([]byte, error) {
	w := wire{e.Version, e.Platform, e.Evidence, orEmpty(e.Endorsements), orEmpty(e.EventLogs), nil, orEmpty(e.Nested)}
	if e.Bound() {
		w.Claims = &e.Claims
	}
	return json.Marshal(w)
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Raw is evidence as a vendor's tools leave it in files, for [Evidence] to be made of. Every verifier package has an
// Import function that reads its platform's.
type Raw struct {
	Report     []byte   // report, quote, document or token: binary, hex or base64, or a peer's JSON form
	Certs      [][]byte // certificates: DER, PEM, or several in one PEM file
	Collateral [][]byte // TCB info, QE identity, CRLs, OCSP answers, RIMs
	EventLogs  [][]byte
}
