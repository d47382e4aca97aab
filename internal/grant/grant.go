// SPDX-License-Identifier: Apache-2.0

// Package grant is the protocol between an enclave and an owner's broker: the statements a broker signs and the messages
// that carry them through an untrusted relay.
//
// Trust domain: shared by broker and enclave; the package is pure. Its one job: the closed [Obligations] that Rego's
// decision compiles into and that Go enforces. docs/spec/grant.md and docs/spec/release.md are the formats.
package grant

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Errors of this package. All mean: do not proceed.
var (
	ErrInvalid = errors.New("grant: invalid")
	ErrOther   = fmt.Errorf("%w: for another lease, job or package", ErrInvalid)
	ErrExpired = fmt.Errorf("%w: expired", ErrInvalid)
)

// Challenge is what a broker answers to a request for a nonce. Subject: the manifest.
type Challenge struct {
	Nonce     envelope.Nonce     `json:"nonce"`    // single use, durable at the broker before it is sent
	Audience  envelope.PublicKey `json:"audience"` // the broker's key
	Manifest  envelope.Digest    `json:"manifest"`
	Job       envelope.Digest    `json:"job"`
	Issued    int64              `json:"issued"`    // broker's clock, Unix milliseconds
	Expires   int64              `json:"expires"`   // at most MaxNonceLife later
	HandOvers [][]byte           `json:"handOvers"` // signed, from the key that the manifest pins to the one that signs this; mostly none
}

// Ticket is the buyer's release of one attempt: a creator's broker demands it, once. Subject: the job.
type Ticket struct {
	Job       envelope.Digest `json:"job"`
	Binding   envelope.Digest `json:"binding"` // d
	Attempt   int             `json:"attempt"` // from 1
	Issued    int64           `json:"issued"`  // Unix milliseconds
	Expires   int64           `json:"expires"`
	HandOvers [][]byte        `json:"handOvers"` // signed, from the key that the manifest pins to the one that signs this; mostly none
}

// Grant is one package's key released to one attested lease. Its identity is the digest of its payload, which is also
// the aad of the sealed key. Subjects: the job, the manifest.
type Grant struct {
	Binding     envelope.Digest    `json:"binding"`  // d
	Evidence    envelope.Digest    `json:"evidence"` // of the evidence envelope
	Job         envelope.Digest    `json:"job"`
	Manifest    envelope.Digest    `json:"manifest"`
	Buyer       envelope.PublicKey `json:"buyer"`
	Ticket      *envelope.Digest   `json:"ticket"` // null only in the grant of the code package, which comes with the ticket
	Attempt     int                `json:"attempt"`
	Assurance   string             `json:"assurance"`   // derived by the broker from the verified root
	Reference   string             `json:"reference"`   // the reference value that matched
	Policy      envelope.Digest    `json:"policy"`      // of the policy that decided
	Sequence    int64              `json:"sequence"`    // of the release record in the broker's ledger, gapless per package
	Previous    *envelope.Digest   `json:"previous"`    // the record before it; null in the first
	Ledger      Head               `json:"ledger"`      // where the broker's whole ledger was just before: two grants show whether it forgot
	Issued      int64              `json:"issued"`      // Unix milliseconds
	Entitlement *envelope.Digest   `json:"entitlement"` // the capability spent on it; null where access is open
	Population  string             `json:"population"`  // privacy account that it was debited to; "" for code
	HandOvers   [][]byte           `json:"handOvers"`   // as in Challenge
	Conditional bool               `json:"conditional"` // access without differential privacy came before on that account
	Obligations Obligations        `json:"obligations"`
}

// Obligations is the closed list of what the enclave enforces. The zero value permits nothing.
type Obligations struct {
	Mode       string            `json:"mode"`
	Transforms []envelope.Digest `json:"transforms"` // identities of the terms' steps of the mode, in order; none in mode raw-in-tee, and of code
	Leaves     Ranges            `json:"leaves"`     // of the manifest's tree, sorted, disjoint and not adjacent; what is left out was withheld
	Epochs     int               `json:"epochs"`
	Outputs    []string          `json:"outputs"`   // classes that may leave, sorted
	MaxOutput  int64             `json:"maxOutput"` // bytes of all outputs together
	Logs       string            `json:"logs"`      // LogsOff or LogsSealed
	Privacy    int64             `json:"privacy"`   // privacy spend cap in millionths of ε; 0 where the mode has no account
	Allowance  int64             `json:"allowance"` // leaves granted by one heartbeat
	Expires    int64             `json:"expires"`   // Unix milliseconds, broker's clock
}

// Range is a run of leaves.
type Range struct {
	First int64 `json:"first"`
	Count int64 `json:"count"`
}

// Contains reports whether leaf i is in r.
func (r Range) Contains(i int64) bool { return i >= r.First && i-r.First < r.Count }

// Ranges are runs of leaves, in order.
type Ranges []Range

// Contains reports whether leaf i is in one of them.
func (rs Ranges) Contains(i int64) bool { return rs.Covers(Range{First: i, Count: 1}) }

// Covers reports whether all of r is in one of them.
func (rs Ranges) Covers(r Range) bool {
	at := sort.Search(len(rs), func(k int) bool { return rs[k].First > r.First }) - 1
	return at >= 0 && r.Count >= 1 && r.First-rs[at].First <= rs[at].Count-r.Count
}

// Count is how many leaves they have.
func (rs Ranges) Count() (n int64) {
	for _, r := range rs {
		n += r.Count
	}
	return n
}

// End is the leaf after the last of them, 0 if there are none.
func (rs Ranges) End() int64 {
	if len(rs) == 0 {
		return 0
	}
	last := rs[len(rs)-1]
	return last.First + last.Count
}

// validate refuses what is empty, out of bounds, out of order, or could be said with fewer ranges.
func (rs Ranges) validate() error {
	if len(rs) == 0 || len(rs) > MaxRanges {
		return fmt.Errorf("%w: %d leaf ranges, want 1 to %d", ErrInvalid, len(rs), MaxRanges)
	}
	next := int64(0)
	for i, r := range rs {
		if r.First < next || r.Count < 1 || r.First > job.MaxAmount-r.Count {
			return fmt.Errorf("%w: leaf range %d", ErrInvalid, i)
		}
		next = r.First + r.Count + 1
	}
	return nil
}

// Log policies. Sealed logs travel inside the encrypted result, never to the host.
const (
	LogsOff    = "off"
	LogsSealed = "sealed"
)

// ModeRaw is the privacy mode without steps: plaintext in the enclave, declared outputs out.
const ModeRaw = dataset.ModeRaw

// Validate refuses an incomplete or unbounded grant.
func (g *Grant) Validate() error {
	switch {
	case g.Binding.IsZero() || g.Evidence.IsZero() || g.Job.IsZero() || g.Manifest.IsZero() || g.Policy.IsZero() || g.Buyer.IsZero():
		return fmt.Errorf("%w: digest or key missing", ErrInvalid)
	case g.Ticket != nil && g.Ticket.IsZero(), g.Previous != nil && g.Previous.IsZero():
		return fmt.Errorf("%w: zero ticket or previous record", ErrInvalid)
	case g.Attempt < 1 || g.Sequence < 1 || (g.Sequence > 1) != (g.Previous != nil):
		return fmt.Errorf("%w: attempt, sequence or previous record", ErrInvalid)
	case g.Assurance == "" || g.Reference == "" || g.Issued <= 0:
		return fmt.Errorf("%w: assurance, reference or time missing", ErrInvalid)
	case g.Obligations.Expires <= g.Issued || g.Obligations.Expires-g.Issued > MaxLease.Milliseconds():
		return fmt.Errorf("%w: expiry", ErrInvalid)
	}
	if o := &g.Obligations; dataset.Private(o.Mode) && (o.Privacy > 0) != (g.Population != "") { // code is of no population
		return fmt.Errorf("%w: privacy spend of %d on population %q in mode %q", ErrInvalid, o.Privacy, g.Population, o.Mode)
	}
	if err := g.Ledger.validate(); err != nil {
		return err
	}
	return g.Obligations.Validate()
}

// Validate refuses obligations the enclave would not know how to enforce.
func (o *Obligations) Validate() error {
	switch {
	case !dataset.Enforced(o.Mode):
		return fmt.Errorf("%w: mode %q is not enforced by this release", ErrInvalid, o.Mode)
	case o.Transforms == nil || len(o.Transforms) > dataset.MaxSteps || slices.ContainsFunc(o.Transforms, envelope.Digest.IsZero):
		return fmt.Errorf("%w: transforms: no list, too long, or with a zero digest", ErrInvalid)
	case o.Mode == ModeRaw && len(o.Transforms) != 0:
		return fmt.Errorf("%w: transforms in mode %q", ErrInvalid, o.Mode)
	case o.Privacy < 0 || o.Privacy > job.MaxAmount || o.Privacy > 0 && !dataset.Accounted(o.Mode):
		return fmt.Errorf("%w: privacy spend of %d in mode %q", ErrInvalid, o.Privacy, o.Mode)
	case dataset.Noisy(o.Mode) && (o.Privacy > 0) != (len(o.Transforms) > 0): // code has neither
		return fmt.Errorf("%w: noise without its privacy spend, or the other way round", ErrInvalid)
	case dataset.Private(o.Mode) && o.Privacy == 0 && len(o.Transforms) > 0: // code has no steps
		return fmt.Errorf("%w: mode %q without a privacy spend", ErrInvalid, o.Mode)
	case dataset.Private(o.Mode) && o.Epochs != 1:
		return fmt.Errorf("%w: %d epochs in mode %q, which reads once", ErrInvalid, o.Epochs, o.Mode)
	case dataset.Silent(o.Mode) && o.Logs != LogsOff:
		return fmt.Errorf("%w: logs in mode %q", ErrInvalid, o.Mode)
	case o.Epochs < 1 || o.Epochs > job.MaxEpochs:
		return fmt.Errorf("%w: epochs %d", ErrInvalid, o.Epochs)
	case !slices.IsSorted(o.Outputs) || len(slices.Compact(slices.Clone(o.Outputs))) != len(o.Outputs):
		return fmt.Errorf("%w: output classes must be sorted and distinct", ErrInvalid)
	case o.MaxOutput < 0 || o.MaxOutput > job.MaxOutput:
		return fmt.Errorf("%w: output bytes", ErrInvalid)
	case o.Logs != LogsOff && o.Logs != LogsSealed:
		return fmt.Errorf("%w: log policy %q", ErrInvalid, o.Logs)
	case o.Allowance < 1 || o.Allowance > job.MaxAmount:
		return fmt.Errorf("%w: allowance", ErrInvalid)
	case o.Expires <= 0:
		return fmt.Errorf("%w: no expiry", ErrInvalid)
	}
	for _, c := range o.Outputs {
		if !slices.Contains(job.OutputClasses(), c) {
			return fmt.Errorf("%w: unknown output class %q", ErrInvalid, c)
		}
	}
	return o.Leaves.validate()
}

// Heartbeat is the enclave's report of progress, signed with the lease's key. Subject: the grant.
type Heartbeat struct {
	Binding   envelope.Digest `json:"binding"`
	Grant     envelope.Digest `json:"grant"`
	Sequence  int64           `json:"sequence"`  // from 1, no gaps
	Delivered int64           `json:"delivered"` // leaves delivered so far, over all epochs
	Steps     int64           `json:"steps"`     // 0 where the enclave performs none
}

// Allowance is the broker's answer: leased progress. Subject: the grant.
type Allowance struct {
	Binding  envelope.Digest `json:"binding"`
	Grant    envelope.Digest `json:"grant"`
	Sequence int64           `json:"sequence"` // of the heartbeat it answers
	Leaves   int64           `json:"leaves"`   // leaves that may be delivered in all, over all epochs
	Steps    int64           `json:"steps"`
	Stop     string          `json:"stop"` // "" to go on, else why the job must stop: "revoked", "cancelled", "expired"
	Time     int64           `json:"time"` // Unix milliseconds
}

// Commit is the broker's acceptance of a usage attestation. Subject: the usage statement.
type Commit struct {
	Binding  envelope.Digest  `json:"binding"`
	Grant    envelope.Digest  `json:"grant"`
	Job      envelope.Digest  `json:"job"`
	Manifest envelope.Digest  `json:"manifest"`
	Usage    envelope.Digest  `json:"usage"`
	Outcome  string           `json:"outcome"`
	Records  int64            `json:"records"` // billed
	Amount   int64            `json:"amount"`  // millionths of Currency
	Currency string           `json:"currency"`
	Sequence int64            `json:"sequence"`
	Previous *envelope.Digest `json:"previous"`
	Time     int64            `json:"time"` // Unix milliseconds

	// Witnessed proves that Grant was in a cosigned checkpoint of a log before this was signed; null: the broker did not
	// ask, and the commit is unwitnessed. Its signature covers the checkpoint, so their order needs no clock.
	Witnessed *tlog.Proof `json:"witnessed"`
}

// LeaseLost is signed by the broker when a lease went silent: it stands in place of a usage attestation. Subject: the
// grant. Money is returned, privacy stays spent.
type LeaseLost struct {
	Binding       envelope.Digest  `json:"binding"`
	Grant         envelope.Digest  `json:"grant"`
	Job           envelope.Digest  `json:"job"`
	Manifest      envelope.Digest  `json:"manifest"`
	Attempt       int              `json:"attempt"`
	LastHeartbeat int64            `json:"lastHeartbeat"` // sequence; 0 if none came
	Reason        string           `json:"reason"`        // "silent", "expired", "revoked", "cancelled"
	HandOvers     [][]byte         `json:"handOvers"`     // as in Challenge
	Sequence      int64            `json:"sequence"`
	Previous      *envelope.Digest `json:"previous"`
	Time          int64            `json:"time"`
}

// Denial is a signed refusal: all reasons, with what would satisfy each. Subject: the manifest.
type Denial struct {
	Job      envelope.Digest  `json:"job"`
	Manifest envelope.Digest  `json:"manifest"`
	Reasons  []Reason         `json:"reasons"`
	Sequence int64            `json:"sequence"`
	Previous *envelope.Digest `json:"previous"`
	Time     int64            `json:"time"`
}

// Reason is one failed condition.
type Reason struct {
	Rule    string `json:"rule"`    // stable, for machines
	Message string `json:"message"` // cites the terms and the caller's own request only
	Satisfy string `json:"satisfy"` // what would make it pass
}

// AKEndorsement is a broker's word that an attestation key lives in the TPM whose endorsement key certificate it checked
// (credential activation, TPM 2.0 part 1, 24). Subject: the AK's Name.
type AKEndorsement struct {
	AKName    string          `json:"akName"`    // hex of the TPM Name
	AKPublic  []byte          `json:"akPublic"`  // TPMT_PUBLIC
	EKCert    envelope.Digest `json:"ekCert"`    // DER certificate
	Assurance string          `json:"assurance"` // of the root that issued the EK certificate
	Root      envelope.Digest `json:"root"`      // that root's DER certificate
	Issued    int64           `json:"issued"`    // Unix milliseconds
	Expires   int64           `json:"expires"`
}

// Revocation is the owner's statement that nothing more may be released, and that running leases stop. Subject: what is
// revoked. Exactly one of the pointers is set.
type Revocation struct {
	Dataset  *envelope.PackageID `json:"dataset"`  // every version of a package, by its id
	Manifest *envelope.Digest    `json:"manifest"` // one version
	Unit     *UnitRef            `json:"unit"`     // one contributor's records, in every version
	Job      *envelope.Digest    `json:"job"`
	Buyer    *envelope.PublicKey `json:"buyer"`
	Grant    *envelope.Digest    `json:"grant"`  // one lease
	Code     *envelope.Digest    `json:"code"`   // a code package's manifest
	Permit   *envelope.Digest    `json:"permit"` // one counted permit
	Reason   string              `json:"reason"`
	Time     int64               `json:"time"` // Unix milliseconds, the owner's clock
}

// UnitRef names an erasure unit: one contributor's records of a dataset.
type UnitRef struct {
	Dataset envelope.PackageID `json:"dataset"`
	ID      envelope.Digest    `json:"id"`
}

// Permit is the owner's counted permission for a dataset whose terms say access "permit". It narrows the terms, never
// widens them. Subject: the dataset.
type Permit struct {
	ID       envelope.Nonce      `json:"id"`       // random
	Dataset  envelope.PackageID  `json:"dataset"`  // every version
	Code     *envelope.Digest    `json:"code"`     // manifest of the code package; null: any that the terms allow
	Buyer    *envelope.PublicKey `json:"buyer"`    // null: any that the terms allow
	MinPrice int64               `json:"minPrice"` // millionths of the terms' currency that the job must cost at least; 0: what the terms say
	Count    int64               `json:"count"`    // jobs
	NotAfter int64               `json:"notAfter"` // Unix seconds
}

// HandOver is the owner's word that another key speaks for her broker from a point of its ledger on. Enclaves and
// auditors follow hand-overs from the key that a manifest pins. Subject: the new key.
type HandOver struct {
	Old    envelope.PublicKey `json:"old"`
	New    envelope.PublicKey `json:"new"`
	Head   Head               `json:"head"` // of the ledger when the old key was last used: the new key's broker must have it
	Reason string             `json:"reason"`
	Time   int64              `json:"time"` // Unix milliseconds
}

// Head is a point of a broker's ledger.
type Head struct {
	Records  int64            `json:"records"`
	Digest   *envelope.Digest `json:"digest"` // of the chain up to it; null when there are none
	Revision int64            `json:"revision"`
}

// Notice tells a buyer what a revocation means for a result that she has. Subject: the usage statement.
type Notice struct {
	Revocation envelope.Digest    `json:"revocation"`
	Job        envelope.Digest    `json:"job"`
	Manifest   envelope.Digest    `json:"manifest"`
	Buyer      envelope.PublicKey `json:"buyer"`
	Usage      envelope.Digest    `json:"usage"`
	Result     envelope.Digest    `json:"result"` // the sealed result, as the usage statement names it
	Action     string             `json:"action"` // what the owner asks for: NoticeStop, NoticeDelete or NoticeRetrain
	Reason     string             `json:"reason"`
	Time       int64              `json:"time"` // Unix milliseconds
}

// What a notice may ask for.
const (
	NoticeStop    = "stop-using"
	NoticeDelete  = "delete"
	NoticeRetrain = "retrain"
)
