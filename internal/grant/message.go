// SPDX-License-Identifier: Apache-2.0

package grant

import (
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Message is one request from an enclave to a broker, carried opaquely by the host. Exactly one member is set.
type Message struct {
	Challenge *ChallengeRequest `json:"challenge,omitempty"`
	Enroll    *EnrollRequest    `json:"enroll,omitempty"`
	Activate  *ActivateRequest  `json:"activate,omitempty"`
	Release   *ReleaseRequest   `json:"release,omitempty"`
	Heartbeat []byte            `json:"heartbeat,omitempty"` // signed [Heartbeat]
	Commit    []byte            `json:"commit,omitempty"`    // signed usage statement
	Plan      *PlanRequest      `json:"plan,omitempty"`      // from a buyer, not an enclave
	// Package goes with Commit: the manifest whose commit is asked for. It may be left out when the broker serves one
	// package of the job only.
	Package *envelope.Digest `json:"package,omitempty"`
}

// PlanRequest asks what a job would be allowed and cost. Nothing is reserved, released or recorded.
type PlanRequest struct {
	Job      []byte `json:"job"`      // signed
	Manifest []byte `json:"manifest"` // signed, of a dataset the job names
	Code     []byte `json:"code"`     // the code package's signed manifest; empty: it is not known who signed it
}

// ChallengeRequest asks for a nonce.
type ChallengeRequest struct {
	Manifest envelope.Digest `json:"manifest"`
	Job      envelope.Digest `json:"job"`
}

// EnrollRequest asks the broker to vouch for an attestation key.
type EnrollRequest struct {
	EKCert   []byte `json:"ekCert"`   // DER
	EKPublic []byte `json:"ekPublic"` // TPMT_PUBLIC
	AKPublic []byte `json:"akPublic"` // TPMT_PUBLIC
}

// ActivateRequest proves that the AK and the EK live in one TPM.
type ActivateRequest struct {
	Token  envelope.Nonce `json:"token"`
	Secret []byte         `json:"secret"`
}

// ReleaseRequest asks for a package's key.
type ReleaseRequest struct {
	Evidence []byte `json:"evidence"` // canonical evidence envelope
	Job      []byte `json:"job"`      // signed
	Code     []byte `json:"code"`     // the code package's signed manifest
	Manifest []byte `json:"manifest"` // signed manifest of the package asked for; equal to Code for the code itself
	Ticket   []byte `json:"ticket"`   // signed; empty when the code itself is asked for
}

// Reply answers a [Message]. Exactly one member is set. Signed members are verified by the enclave with the key that the
// manifest pins; Error is a hint from whoever answered, possibly the host, and decides nothing.
type Reply struct {
	Challenge []byte        `json:"challenge,omitempty"` // signed [Challenge]
	Enroll    *EnrollReply  `json:"enroll,omitempty"`
	Activate  []byte        `json:"activate,omitempty"` // signed [AKEndorsement]
	Release   *ReleaseReply `json:"release,omitempty"`
	Allowance []byte        `json:"allowance,omitempty"` // signed [Allowance]
	Commit    []byte        `json:"commit,omitempty"`    // signed [Commit]
	Plan      *PlanReply    `json:"plan,omitempty"`
	Error     *Error        `json:"error,omitempty"`
}

// PlanReply is a forecast, not a promise: revocations and other jobs' spend may change it.
type PlanReply struct {
	Allowed       bool       `json:"allowed"`
	Reasons       []Reason   `json:"reasons"`   // every failed condition; empty when allowed
	MaxAmount     int64      `json:"maxAmount"` // the most this package may cost, millionths of Currency
	Currency      string     `json:"currency"`
	UsesLeft      int64      `json:"usesLeft"`      // of this package, for anybody
	BuyerUsesLeft int64      `json:"buyerUsesLeft"` // of this package, for this buyer
	Assurance     string     `json:"assurance"`     // the least that the terms accept
	BrokerAway    string     `json:"brokerAway"`    // what a run does while this broker does not answer: "wait" or "fail"
	Access        PlanAccess `json:"access"`

	Privacy *PlanPrivacy `json:"privacy"` // null where no account is debited
}

// PlanPrivacy is the privacy account that a job would be debited to, in millionths of ε at Delta. Null is no bound: access
// without differential privacy came before, or a sum is beyond every number.
type PlanPrivacy struct {
	Population  string `json:"population"`
	Delta       int64  `json:"delta"` // 10⁻¹²
	Before      *int64 `json:"before"`
	After       *int64 `json:"after"`
	Cap         int64  `json:"cap"`
	BuyerBefore *int64 `json:"buyerBefore"`
	BuyerAfter  *int64 `json:"buyerAfter"`
	BuyerCap    int64  `json:"buyerCap"`
}

// PlanAccess is what a buyer has to bring for a package, so that she knows before she pays.
type PlanAccess struct {
	Kind    string             `json:"kind"` // "open", "receipt" or "permit"
	Dataset envelope.PackageID `json:"dataset"`
	Version int64              `json:"version"`
	Offer   envelope.Digest    `json:"offer"`   // that a receipt must name
	Left    int64              `json:"left"`    // jobs that what she brings is good for, this one included
	Receipt *PlanReceipt       `json:"receipt"` // what a receipt must say; null unless Kind is "receipt"
}

// PlanReceipt is what a licence receipt must say, besides dataset, version, offer and buyer.
type PlanReceipt struct {
	Issuer     string              `json:"issuer"`
	Audience   string              `json:"audience"`
	Payee      string              `json:"payee"`
	MinAmount  int64               `json:"minAmount"` // millionths of Currency
	Currency   string              `json:"currency"`
	Scope      string              `json:"scope"`
	Kids       []string            `json:"kids"`       // of the keys that the terms pin
	Attributes map[string][]string `json:"attributes"` // of the buyer: one of the values of each
}

// EnrollReply is the credential to activate (TPM2_MakeCredential).
type EnrollReply struct {
	Token      envelope.Nonce `json:"token"`
	Credential []byte         `json:"credential"`
	Secret     []byte         `json:"secret"`
}

// ReleaseReply is a grant and the key it covers. The same d and ticket always get the same bytes.
type ReleaseReply struct {
	Grant       []byte `json:"grant"`       // signed [Grant]
	Ticket      []byte `json:"ticket"`      // signed [Ticket], for the code package; empty otherwise
	Entitlement []byte `json:"entitlement"` // the capability that the grant names, a compact JWS; empty where access is open
	Sealed      []byte `json:"sealed"`      // HPKE enc ‖ ciphertext of the 32-byte data key; info = d, aad = grant digest
}

// Error codes of a [Reply].
const (
	CodeInvalid  = "invalid"     // the request makes no sense
	CodeDenied   = "denied"      // policy says no; Denial explains
	CodeEvidence = "evidence"    // authenticate, bind or appraise failed
	CodeTryAgain = "try-again"   // something is away or busy
	CodeUnlogged = "unlogged"    // the log does not prove the grant yet: worth waiting longer for than what is busy
	CodeEnded    = "lease-ended" // asking again is in vain; another attempt at the job may succeed
)

// Error is a refusal in words.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
	Denial  []byte `json:"denial"` // signed [Denial] or empty
}

func (e *Error) Error() string { return "broker: " + e.Message }

// ParseMessage reads a request strictly and refuses one with no member or with several, and, before it decodes anything,
// one that is too large for its kind.
func ParseMessage(b []byte) (*Message, error) {
	var m Message
	if err := envelope.Decode(b, KindOf(b).Limit(), &m); err != nil {
		return nil, err
	}
	if count(m.Challenge != nil, m.Enroll != nil, m.Activate != nil, m.Release != nil, len(m.Heartbeat) > 0, len(m.Commit) > 0, m.Plan != nil) != 1 {
		return nil, fmt.Errorf("%w: want exactly one request", ErrInvalid)
	}
	if m.Package != nil && len(m.Commit) == 0 {
		return nil, fmt.Errorf("%w: package goes with a commit only", ErrInvalid)
	}
	if err := m.bounded(); err != nil {
		return nil, err
	}
	return &m, nil
}

// bounded refuses members that are too large for what they should be, before anybody decodes them.
func (m *Message) bounded() error {
	check := func(what string, b []byte, limit int) error {
		if len(b) > limit {
			return fmt.Errorf("%w: %s of %d bytes, at most %d", envelope.ErrTooLarge, what, len(b), limit)
		}
		return nil
	}
	err := errors.Join(check("heartbeat", m.Heartbeat, MaxHeartbeat), check("usage statement", m.Commit, MaxUsage))
	if r := m.Release; r != nil {
		err = errors.Join(err, check("job", r.Job, MaxJob), check("code manifest", r.Code, MaxCodeManifest), check("ticket", r.Ticket, MaxTicket))
	}
	if p := m.Plan; p != nil {
		err = errors.Join(err, check("job", p.Job, MaxJob), check("code manifest", p.Code, MaxCodeManifest))
	}
	return err
}

// ParseReply reads a reply strictly and refuses one with no member or with several.
func ParseReply(b []byte) (*Reply, error) {
	var r Reply
	if err := envelope.Decode(b, MaxMessage, &r); err != nil {
		return nil, err
	}
	if count(len(r.Challenge) > 0, r.Enroll != nil, len(r.Activate) > 0, r.Release != nil, len(r.Allowance) > 0, len(r.Commit) > 0, r.Plan != nil, r.Error != nil) != 1 {
		return nil, fmt.Errorf("%w: want exactly one answer", ErrInvalid)
	}
	return &r, nil
}

func count(set ...bool) (n int) {
	for _, s := range set {
		if s {
			n++
		}
	}
	return n
}
