// SPDX-License-Identifier: Apache-2.0

package grant

import (
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// statement is a predicate that knows its own type, subjects and rules, so that signing and verifying are written once.
type statement interface {
	predicateType() string
	subjects() []envelope.Subject
	Validate() error
}

// The names of the subjects.
const (
	subjectJob      = "job"
	subjectManifest = "manifest"
	subjectGrant    = "grant"
	subjectUsage    = "usage"
	subjectBuyer    = "buyer"
	subjectDataset  = "dataset"
	subjectUnit     = "unit"
	subjectCode     = "code"
	subjectPermit   = "permit"
	subjectBroker   = "broker"
)

// Sign validates and signs one of this package's statements. Broker, owner or enclave sign, as
// [envelope.PredicateRole] says.
func Sign(p statement, s *envelope.Signer) (signed []byte, id envelope.Digest, err error) {
	if err := p.Validate(); err != nil {
		return nil, id, err
	}
	return envelope.Sign(s, p.predicateType(), p.subjects(), p)
}

func verify[P any, S interface {
	*P
	statement
}](signed []byte, key envelope.PublicKey) (*envelope.Verified[P], error) {
	t := S(new(P)).predicateType()
	v, err := envelope.Verify[P](signed, envelope.Expect{
		Role: envelope.PredicateRole(t), Key: key, PayloadType: envelope.PayloadType, PredicateType: t,
	})
	if err != nil {
		return nil, err
	}
	return whole[P, S](v)
}

// whole checks that a verified statement is complete, and about what it says.
func whole[P any, S interface {
	*P
	statement
}](v *envelope.Verified[P]) (*envelope.Verified[P], error) {
	p := S(&v.Predicate)
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if !slices.Equal(v.Subject, p.subjects()) {
		return nil, fmt.Errorf("%w: subjects are not what the statement is about", ErrInvalid)
	}
	return v, nil
}

// VerifyChallenge reads a challenge signed by the broker with the given key; like every Verify here it checks signature,
// completeness and subjects. Whether it is for this job and package, and still fresh, is the caller's to check.
func VerifyChallenge(signed []byte, broker envelope.PublicKey) (*envelope.Verified[Challenge], error) {
	return verify[Challenge](signed, broker)
}

// VerifyTicket reads a run ticket signed by the broker of the code's owner.
func VerifyTicket(signed []byte, broker envelope.PublicKey) (*envelope.Verified[Ticket], error) {
	return verify[Ticket](signed, broker)
}

// VerifyGrant reads a grant. Its ID is the aad of the sealed key.
func VerifyGrant(signed []byte, broker envelope.PublicKey) (*envelope.Verified[Grant], error) {
	return verify[Grant](signed, broker)
}

// VerifyHeartbeat reads a heartbeat signed by the lease's key.
func VerifyHeartbeat(signed []byte, lease envelope.PublicKey) (*envelope.Verified[Heartbeat], error) {
	return verify[Heartbeat](signed, lease)
}

// VerifyAllowance reads the answer to a heartbeat.
func VerifyAllowance(signed []byte, broker envelope.PublicKey) (*envelope.Verified[Allowance], error) {
	return verify[Allowance](signed, broker)
}

// VerifyCommit reads a broker's acceptance of a usage attestation.
func VerifyCommit(signed []byte, broker envelope.PublicKey) (*envelope.Verified[Commit], error) {
	return verify[Commit](signed, broker)
}

// VerifyDenial reads a signed refusal.
func VerifyDenial(signed []byte, broker envelope.PublicKey) (*envelope.Verified[Denial], error) {
	return verify[Denial](signed, broker)
}

// VerifyLeaseLost reads the statement that stands in place of a usage attestation.
func VerifyLeaseLost(signed []byte, broker envelope.PublicKey) (*envelope.Verified[LeaseLost], error) {
	return verify[LeaseLost](signed, broker)
}

// VerifyPermit reads an owner's counted permit.
func VerifyPermit(signed []byte, owner envelope.PublicKey) (*envelope.Verified[Permit], error) {
	return verify[Permit](signed, owner)
}

// VerifyHandOver reads an owner's hand-over of her broker to another key.
func VerifyHandOver(signed []byte, owner envelope.PublicKey) (*envelope.Verified[HandOver], error) {
	return verify[HandOver](signed, owner)
}

// VerifyNotice reads an owner's notice to a buyer.
func VerifyNotice(signed []byte, owner envelope.PublicKey) (*envelope.Verified[Notice], error) {
	return verify[Notice](signed, owner)
}

// VerifyRevocation reads an owner's revocation.
func VerifyRevocation(signed []byte, owner envelope.PublicKey) (*envelope.Verified[Revocation], error) {
	return verify[Revocation](signed, owner)
}

func (*Challenge) predicateType() string  { return envelope.ChallengeType }
func (*Ticket) predicateType() string     { return envelope.TicketType }
func (*Grant) predicateType() string      { return envelope.GrantType }
func (*Heartbeat) predicateType() string  { return envelope.HeartbeatType }
func (*Allowance) predicateType() string  { return envelope.AllowanceType }
func (*Commit) predicateType() string     { return envelope.CommitType }
func (*Denial) predicateType() string     { return envelope.DenialType }
func (*LeaseLost) predicateType() string  { return envelope.LeaseLostType }
func (*Revocation) predicateType() string { return envelope.RevocationType }
func (*Permit) predicateType() string     { return envelope.PermitType }
func (*HandOver) predicateType() string   { return envelope.HandOverType }
func (*Notice) predicateType() string     { return envelope.NoticeType }

func one(name string, d envelope.Digest) []envelope.Subject {
	return []envelope.Subject{envelope.NewSubject(name, d)}
}

func (c *Challenge) subjects() []envelope.Subject { return one(subjectManifest, c.Manifest) }
func (t *Ticket) subjects() []envelope.Subject    { return one(subjectJob, t.Job) }
func (g *Grant) subjects() []envelope.Subject {
	return append(one(subjectJob, g.Job), envelope.NewSubject(subjectManifest, g.Manifest))
}
func (h *Heartbeat) subjects() []envelope.Subject { return one(subjectGrant, h.Grant) }
func (a *Allowance) subjects() []envelope.Subject { return one(subjectGrant, a.Grant) }
func (c *Commit) subjects() []envelope.Subject    { return one(subjectUsage, c.Usage) }
func (d *Denial) subjects() []envelope.Subject    { return one(subjectManifest, d.Manifest) }
func (l *LeaseLost) subjects() []envelope.Subject { return one(subjectGrant, l.Grant) }
func (r *Revocation) subjects() []envelope.Subject {
	switch {
	case r.Dataset != nil:
		return one(subjectDataset, DatasetSubject(*r.Dataset))
	case r.Manifest != nil:
		return one(subjectManifest, *r.Manifest)
	case r.Unit != nil:
		return one(subjectUnit, r.Unit.ID)
	case r.Grant != nil:
		return one(subjectGrant, *r.Grant)
	case r.Code != nil:
		return one(subjectCode, *r.Code)
	case r.Permit != nil:
		return one(subjectPermit, *r.Permit)
	case r.Job != nil:
		return one(subjectJob, *r.Job)
	case r.Buyer != nil:
		return one(subjectBuyer, r.Buyer.ID())
	}
	return nil
}

func (p *Permit) subjects() []envelope.Subject   { return one(subjectDataset, DatasetSubject(p.Dataset)) }
func (h *HandOver) subjects() []envelope.Subject { return one(subjectBroker, h.New.ID()) }
func (n *Notice) subjects() []envelope.Subject   { return one(subjectUsage, n.Usage) }

// DatasetSubject is the digest that stands for a dataset's id as a subject: SHA-256 of its 16 bytes.
func DatasetSubject(id envelope.PackageID) envelope.Digest { return envelope.Sum(id[:]) }
