// SPDX-License-Identifier: Apache-2.0

// Package envelope is how every signed thing in Glovebox is written, signed, hashed and read.
//
// Trust domain: all of them; the package is pure and holds no state. Its one job: turn bytes from a stranger into a
// typed statement whose signer, role and kind are certain, or into an error.
//
// A signed thing is a DSSE envelope (github.com/secure-systems-lab/dsse, v1.0.2) with one ECDSA P-256 signature over an
// in-toto Statement v1, so stock cosign and sigstore tools verify it. Payload and envelope are RFC 8785 canonical JSON.
// docs/spec/envelope.md is the format.
package envelope

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
)

// Errors. Every refusal wraps one of these; [ErrIntegrity] is the root of all that mean "this was not signed as claimed".
var (
	ErrTooLarge     = errors.New("envelope: too large")
	ErrMalformed    = errors.New("envelope: malformed")
	ErrNotCanonical = fmt.Errorf("%w: not canonical JSON", ErrMalformed)
	ErrDigest       = errors.New("envelope: bad digest")
	ErrKey          = errors.New("envelope: bad key")
	ErrKeyMode      = errors.New("envelope: key file is readable by others")
	ErrKeyReuse     = errors.New("envelope: one key used in two roles")
	ErrRole         = errors.New("envelope: wrong role")
	ErrIntegrity    = errors.New("envelope: does not verify")
	ErrSignature    = fmt.Errorf("%w: bad signature", ErrIntegrity)
	ErrType         = fmt.Errorf("%w: wrong payload or predicate type", ErrIntegrity)
)

// PayloadType is the only DSSE payload type Glovebox signs: an in-toto Statement.
const PayloadType = "application/vnd.in-toto+json"

const statementType = "https://in-toto.io/Statement/v1"

// The predicate types, each with one role that signs it.
const (
	ManifestType      = "https://glovebox.dev/manifest/v1"
	RevocationType    = "https://glovebox.dev/revocation/v1"
	PermitType        = "https://glovebox.dev/permit/v1"
	HandOverType      = "https://glovebox.dev/hand-over/v1"
	NoticeType        = "https://glovebox.dev/notice/v1"
	JobType           = "https://glovebox.dev/job/v1"
	CancelType        = "https://glovebox.dev/cancel/v1"
	ReferenceType     = "https://glovebox.dev/reference-values/v1"
	AKEndorsementType = "https://glovebox.dev/ak-endorsement/v1"
	ChallengeType     = "https://glovebox.dev/challenge/v1"
	TicketType        = "https://glovebox.dev/run-ticket/v1"
	GrantType         = "https://glovebox.dev/grant/v1"
	AllowanceType     = "https://glovebox.dev/allowance/v1"
	CommitType        = "https://glovebox.dev/commit/v1"
	DenialType        = "https://glovebox.dev/denial/v1"
	LeaseLostType     = "https://glovebox.dev/lease-lost/v1"
	HeartbeatType     = "https://glovebox.dev/heartbeat/v1"
	UsageType         = "https://glovebox.dev/usage/v1"

	// ModelSigningType is OpenSSF model signing's, not ours: an owner signs her files once more for that tool. Nothing of
	// Glovebox reads it.
	ModelSigningType = "https://model_signing/signature/v1.0"
)

// PredicateRole is the role that signs a predicate type; "" for a type Glovebox does not know.
func PredicateRole(predicateType string) Role {
	switch predicateType {
	case ManifestType, RevocationType, PermitType, HandOverType, NoticeType, ModelSigningType:
		return RoleOwner
	case JobType, CancelType:
		return RoleBuyer
	case ReferenceType:
		return RoleReference
	case AKEndorsementType, ChallengeType, TicketType, GrantType, AllowanceType, CommitType, DenialType, LeaseLostType:
		return RoleBroker
	case HeartbeatType, UsageType:
		return RoleEnclave
	}
	return ""
}

// Subject names what a statement is about (in-toto ResourceDescriptor, SHA-256 only).
type Subject struct {
	Name   string    `json:"name"`
	Digest DigestSet `json:"digest"`
}

// DigestSet is in-toto's DigestSet with the one algorithm Glovebox uses, as bare hexadecimal.
type DigestSet struct {
	SHA256 string `json:"sha256"`
}

// NewSubject pairs a name with a digest.
func NewSubject(name string, d Digest) Subject { return Subject{name, DigestSet{d.Hex()}} }

// Value is the subject's digest; an error if it is malformed or zero.
func (s Subject) Value() (Digest, error) {
	var d Digest
	return d, d.UnmarshalText([]byte(digestPrefix + s.Digest.SHA256))
}

// Statement is an in-toto Statement v1 with predicate P. P's JSON tags are the format; P must not contain omitempty
// fields whose absence would mean "unchecked".
type Statement[P any] struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     P         `json:"predicate"`
}

type dsse struct {
	Payload     []byte      `json:"payload"`
	PayloadType string      `json:"payloadType"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid,omitempty"` // a hint for foreign tools; ignored here
	Sig   []byte `json:"sig"`
}

// PAE is DSSE's pre-authentication encoding: what is signed.
func PAE(payloadType string, payload []byte) []byte {
	b := append([]byte("DSSEv1 "), strconv.Itoa(len(payloadType))...)
	b = append(append(append(b, ' '), payloadType...), ' ')
	b = append(append(strconv.AppendInt(b, int64(len(payload)), 10), ' '), payload...)
	return b
}

// Sign writes a statement about subjects with the given predicate, and returns the envelope and the digest of its
// payload, which is the statement's identity. The signer's role must be the one of predicateType.
func Sign(s *Signer, predicateType string, subjects []Subject, predicate any) (signed []byte, id Digest, err error) {
	if r := PredicateRole(predicateType); s == nil || r == "" || s.role != r {
		return nil, Digest{}, fmt.Errorf("%w: %s needs role %q", ErrRole, predicateType, r)
	}
	if err := checkSubjects(subjects); err != nil {
		return nil, Digest{}, err
	}
	payload, err := Canonical(Statement[any]{statementType, subjects, predicateType, predicate})
	if err != nil {
		return nil, Digest{}, err
	}
	sig, err := s.sign(PAE(PayloadType, payload))
	if err != nil {
		return nil, Digest{}, fmt.Errorf("sign %s: %w", predicateType, err)
	}
	return joinFast(payload, sig), Sum(payload), nil
}

// Expect says whose signature over what is acceptable. Every field is required.
type Expect struct {
	Role          Role
	Key           PublicKey
	PayloadType   string
	PredicateType string
}

// Verified is a statement that [Verify] accepted. ID, the digest of the payload bytes received, is its identity:
// ECDSA signatures are malleable, so envelopes are never compared or de-duplicated.
type Verified[P any] struct {
	Statement[P]
	ID Digest
}

// Verify checks an envelope against e and decodes its statement. Errors: [ErrTooLarge], [ErrMalformed], [ErrRole],
// [ErrType], [ErrSignature].
func Verify[P any](signed []byte, e Expect) (*Verified[P], error) {
	if e.Role == "" || e.Key.IsZero() || e.PayloadType == "" || e.PredicateType == "" {
		return nil, fmt.Errorf("%w: verification without role, key, payload type or predicate type", ErrRole)
	}
	if PredicateRole(e.PredicateType) != e.Role {
		return nil, fmt.Errorf("%w: %s is not signed by role %q", ErrRole, e.PredicateType, e.Role)
	}
	env, err := parse(signed)
	if err != nil {
		return nil, err
	}
	if env.PayloadType != e.PayloadType {
		return nil, fmt.Errorf("%w: payload type %q", ErrType, env.PayloadType)
	}
	if err := env.signedBy(e.Key, e.PredicateType); err != nil {
		return nil, err
	}
	return decodeStatement[P](env.Payload, e.PredicateType)
}

// VerifyNamed is [Verify] of a statement that says itself who signed it: signer takes the key from the predicate, which nobody has
// vouched for yet, or refuses it. The statement is decoded once, which costs more than the signature of a large one.
// Whether that signer is the right one is for the caller to say.
func VerifyNamed[P any](signed []byte, predicateType string, signer func(*P) (PublicKey, error)) (*Verified[P], error) {
	if PredicateRole(predicateType) == "" {
		return nil, fmt.Errorf("%w: %s is signed by no role", ErrRole, predicateType)
	}
	env, err := parse(signed)
	if err != nil {
		return nil, err
	}
	if env.PayloadType != PayloadType {
		return nil, fmt.Errorf("%w: payload type %q", ErrType, env.PayloadType)
	}
	v, err := decodeStatement[P](env.Payload, predicateType)
	if err != nil {
		return nil, err
	}
	key, err := signer(&v.Predicate)
	if err != nil {
		return nil, err
	}
	if err := env.signedBy(key, predicateType); err != nil {
		return nil, err
	}
	return v, nil
}

// signedBy checks the one signature.
func (e *dsse) signedBy(key PublicKey, predicateType string) error {
	if key.IsZero() {
		return fmt.Errorf("%w: verification without a key", ErrRole)
	}
	h := sha256.Sum256(PAE(e.PayloadType, e.Payload))
	if !ecdsa.VerifyASN1(key.k, h[:], e.Signatures[0].Sig) {
		return fmt.Errorf("%w: %s by %s", ErrSignature, predicateType, PredicateRole(predicateType))
	}
	return nil
}

// Peek decodes a statement WITHOUT checking any signature, to learn which key to verify it with. Nothing it returns may
// be acted on until [Verify] has accepted the same bytes.
func Peek[P any](signed []byte, predicateType string) (*Verified[P], error) {
	env, err := parse(signed)
	if err != nil {
		return nil, err
	}
	if env.PayloadType != PayloadType {
		return nil, fmt.Errorf("%w: payload type %q", ErrType, env.PayloadType)
	}
	return decodeStatement[P](env.Payload, predicateType)
}

// ID is the identity of a signed thing, the digest of its payload, without verifying it.
func ID(signed []byte) (Digest, error) {
	env, err := parse(signed)
	if err != nil {
		return Digest{}, err
	}
	return Sum(env.Payload), nil
}

// Parts splits an envelope for formats that carry its pieces (sigstore bundles, log entries). It checks shape only.
func Parts(signed []byte) (payloadType string, payload, sig []byte, err error) {
	env, err := parse(signed)
	if err != nil {
		return "", nil, nil, err
	}
	return env.PayloadType, env.Payload, env.Signatures[0].Sig, nil
}

// Join is the inverse of [Parts]. The result is as trustworthy as its input: verify it.
func Join(payloadType string, payload, sig []byte) ([]byte, error) {
	return Canonical(dsse{payload, payloadType, []signature{{Sig: sig}}})
}

func parse(signed []byte) (*dsse, error) {
	if env, ok := parseFast(signed); ok {
		return env, nil
	}
	var env dsse
	if err := Decode(signed, MaxEnvelope, &env); err != nil {
		return nil, err
	}
	if len(env.Signatures) != 1 || len(env.Signatures[0].Sig) == 0 || len(env.Payload) == 0 {
		return nil, fmt.Errorf("%w: want a payload and exactly one signature", ErrMalformed)
	}
	return &env, nil
}

func decodeStatement[P any](payload []byte, predicateType string) (*Verified[P], error) {
	v := &Verified[P]{ID: Sum(payload)}
	err := Decode(payload, MaxEnvelope, &v.Statement)
	if err != nil || v.Type != statementType || v.PredicateType != predicateType {
		return nil, refuseStatement(payload, predicateType, err)
	}
	if err := checkSubjects(v.Subject); err != nil {
		return nil, err
	}
	return v, nil
}

// refuseStatement says why a payload is not the statement wanted: one of another kind is named as such, not as malformed.
func refuseStatement(payload []byte, want string, err error) error {
	var head struct {
		Type          string    `json:"_type"`
		Subject       []Subject `json:"subject"`
		PredicateType string    `json:"predicateType"`
		Predicate     any       `json:"predicate"`
	}
	if err := DecodeStrict(payload, MaxEnvelope, &head); err != nil {
		return err
	}
	if head.Type != statementType || head.PredicateType != want {
		return fmt.Errorf("%w: got %q, want %q", ErrType, head.PredicateType, want)
	}
	if err == nil {
		err = ErrType
	}
	return err
}

// checkSubjects refuses a statement about nothing.
func checkSubjects(subjects []Subject) error {
	if len(subjects) == 0 {
		return fmt.Errorf("%w: statement without a subject", ErrMalformed)
	}
	for _, s := range subjects {
		if _, err := s.Value(); err != nil || s.Name == "" {
			return fmt.Errorf("%w: subject %q", ErrMalformed, s.Name)
		}
	}
	return nil
}
