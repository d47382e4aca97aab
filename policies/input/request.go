// SPDX-License-Identifier: Apache-2.0

// Package input is what a broker knows when it decides on a release: the request that the rules in policies judge.
//
// Trust domain: the owner's side; the package is pure. Its one job: a [Request] that validates is complete, so that no
// rule has to guess what an absent value means. docs/spec/policy.md describes the document that the rules read.
package input

import (
	"errors"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/licence"
)

// ErrRequest means that a request is incomplete or out of range: nothing is released on it.
var ErrRequest = errors.New("policies: unusable request")

// Request is the whole input of a decision. Every field is required, and [Request.Validate] is its schema.
type Request struct {
	Now         int64       `json:"now"`   // broker's clock, Unix milliseconds
	Buyer       string      `json:"buyer"` // the buyer whose jobs may use this owner's code; "" at a creator's broker
	Package     Package     `json:"package"`
	Terms       Terms       `json:"terms"`
	Job         Job         `json:"job"`
	Evidence    Evidence    `json:"evidence"`
	Entitlement Entitlement `json:"entitlement"`
	Account     Account     `json:"account"`
	Granted     Granted     `json:"granted"`
	Revoked     Revoked     `json:"revoked"`
	Cancelled   bool        `json:"cancelled"`
}

// Package is what is asked for.
type Package struct {
	Manifest envelope.Digest    `json:"manifest"`
	Dataset  envelope.PackageID `json:"dataset"` // the same in every version
	Kind     dataset.Kind       `json:"kind"`
	Test     bool               `json:"test"`
	Version  int64              `json:"version"`
	Latest   int64              `json:"latest"` // the highest version of the same package that this broker holds
	Leaves   int64              `json:"leaves"`
}

// Terms are the manifest's terms, as far as they bear on the release.
type Terms struct {
	Modes          []string        `json:"modes"`
	Purposes       []string        `json:"purposes"`
	Outputs        []string        `json:"outputs"`
	MaxOutputBytes int64           `json:"maxOutputBytes"`
	MaxEpochs      int             `json:"maxEpochs"`
	MaxUses        int64           `json:"maxUses"`
	Logs           string          `json:"logs"`
	Allowance      int64           `json:"allowance"`
	LeaseSeconds   int64           `json:"leaseSeconds"`
	NotAfter       int64           `json:"notAfter"` // Unix seconds
	MinAssurance   string          `json:"minAssurance"`
	Access         string          `json:"access"`   // dataset.AccessOpen, AccessReceipt or AccessPermit
	Currency       string          `json:"currency"` // of all amounts
	MinPaid        int64           `json:"minPaid"`  // that a receipt must say was paid; 0 where access is not by receipt
	Code           Code            `json:"code"`
	Buyers         Buyers          `json:"buyers"`
	Licence        licence.Licence `json:"licence"`
	Privacy        dataset.Privacy `json:"privacy"`
	Consent        bool            `json:"consent"`
	Steps          []string        `json:"steps"`   // identities of the steps of the job's mode, in order
	Spends         int64           `json:"spends"`  // millionths of epsilon that they spend for one record
	Private        Private         `json:"private"` // of the job's mode, if the enclave adds the noise in it; else zero, with an empty list
}

// Code says whose code may run over the data.
type Code struct {
	Any       bool     `json:"any"`
	Manifests []string `json:"manifests"` // digests as text
	Owners    []string `json:"owners"`    // did:key
}

// Buyers says who may use the package.
type Buyers struct {
	Any     bool                `json:"any"`
	Keys    []string            `json:"keys"` // did:key
	Require []dataset.Attribute `json:"require"`
	MaxUses int64               `json:"maxUses"` // jobs of one buyer
}

// Private is what one job may do in a mode in which the enclave adds the noise.
type Private struct {
	Epsilon       int64    `json:"epsilon"` // millionths
	Delta         int64    `json:"delta"`   // 10⁻¹²
	Contributions int64    `json:"contributions"`
	Shards        int64    `json:"shards"` // least number; 0 where there are none
	Runtimes      []string `json:"runtimes"`
}

// Job is what the buyer signed, as far as it bears on the release.
type Job struct {
	ID          envelope.Digest `json:"id"`
	Buyer       string          `json:"buyer"`     // did:key
	Code        string          `json:"code"`      // manifest of the code, as text
	CodeOwner   string          `json:"codeOwner"` // did:key that signed that manifest, as the broker verified; "" if it has not seen it
	Datasets    []string        `json:"datasets"`  // every dataset of the job, as text
	Purpose     string          `json:"purpose"`
	Commercial  bool            `json:"commercial"`
	Derive      bool            `json:"derive"`
	Territory   string          `json:"territory"`
	Mode        string          `json:"mode"`
	Operation   string          `json:"operation"` // OperationTrain
	Runtime     string          `json:"runtime"`
	Epochs      int             `json:"epochs"`
	Outputs     []string        `json:"outputs"` // classes, sorted and distinct
	OutputBytes int64           `json:"outputBytes"`
	SpendCap    int64           `json:"spendCap"`
	NotAfter    int64           `json:"notAfter"` // Unix seconds
	Privacy     Privacy         `json:"privacy"`
}

// Privacy is what a job declares that the enclave will do to the data, and what the broker makes of it. The zero Privacy
// declares nothing.
type Privacy struct {
	Declared      bool   `json:"declared"`
	Unit          string `json:"unit"`
	Adjacency     string `json:"adjacency"`
	Contributions int64  `json:"contributions"`
	Shards        int64  `json:"shards"`
	Epsilon       int64  `json:"epsilon"`  // millionths, as stated
	Delta         int64  `json:"delta"`    // 10⁻¹²
	Bounded       bool   `json:"bounded"`  // the broker's own accountant has a bound for the mechanisms, at Delta
	Computed      int64  `json:"computed"` // that bound, millionths rounded up; 0 where there is none
}

// Evidence is what the verified claims say.
type Evidence struct {
	Assurance attestation.Assurance `json:"assurance"`
	Reference string                `json:"reference"`
	Runtime   string                `json:"runtime"`
}

// Entitlement is what the buyer brings, as far as the broker has verified it: a receipt of the marketplace or a permit
// of the owner. [None] is no entitlement.
type Entitlement struct {
	Kind       string              `json:"kind"`       // EntitlementNone, EntitlementReceipt or EntitlementPermit
	Left       int64               `json:"left"`       // jobs it is still good for, this one included; an earlier attempt of this job counts none
	Operations []string            `json:"operations"` // what it allows; a permit allows OperationTrain
	Code       string              `json:"code"`       // the one code manifest it is for, or Any
	Buyer      string              `json:"buyer"`      // the one buyer it is for, or Any
	Epochs     int64               `json:"epochs"`     // of one job
	Leaves     grant.Ranges        `json:"leaves"`     // that it covers: all of the package's if it does not limit them
	Attributes map[string][]string `json:"attributes"` // of the buyer
	Paid       int64               `json:"paid"`       // millionths
	Currency   string              `json:"currency"`
	MinPrice   int64               `json:"minPrice"` // that the job must cost at least
	NotAfter   int64               `json:"notAfter"` // Unix seconds
}

// Kinds of entitlement, and what its limits may say.
const (
	EntitlementNone    = "none"
	EntitlementReceipt = "receipt"
	EntitlementPermit  = "permit"
	Any                = "*"     // explicitly no limit to one code or one buyer
	OperationTrain     = "train" // the one operation of this release
)

// Account is the ledger's view.
type Account struct {
	Uses              int64 `json:"uses"`              // of this package, by other jobs
	BuyerUses         int64 `json:"buyerUses"`         // of this package, by other jobs of this buyer
	Reserved          int64 `json:"reserved"`          // for this job, on other packages of this broker
	Cost              int64 `json:"cost"`              // the most this package may cost this job
	Epsilon           int64 `json:"epsilon"`           // this job's, in millionths at the terms' δ; 0 in a mode without an account
	EpsilonAfter      int64 `json:"epsilonAfter"`      // of the population, after this job
	BuyerEpsilonAfter int64 `json:"buyerEpsilonAfter"` // of this buyer on the population, after this job
	JobEpsilonAfter   int64 `json:"jobEpsilonAfter"`   // of this job's attempts together, after this one; 0 where the enclave adds no noise
	Conditional       bool  `json:"conditional"`       // access without differential privacy came before on the population
}

// Granted is what the broker can release of the package; [Grantable] computes it.
type Granted struct {
	Leaves   grant.Ranges `json:"leaves"`
	Withheld int64        `json:"withheld"` // all other leaves
	Records  int64        `json:"records"`  // in Leaves
	Units    int64        `json:"units"`    // of privacy in Leaves: contributors or records, as the terms mean it
	Together int64        `json:"together"` // units of those that are released, among which each is hidden: what an entitlement covers may be fewer; 0 where the enclave adds no noise
	Purpose  string       `json:"purpose"`  // that contributors' consent was checked for; "" where the terms do not ask for consent
}

// Revoked says what the owner has withdrawn.
type Revoked struct {
	Dataset  bool `json:"dataset"`
	Manifest bool `json:"manifest"`
	Job      bool `json:"job"`
	Buyer    bool `json:"buyer"`
	Code     bool `json:"code"`
	Grant    bool `json:"grant"`  // an earlier grant of this job on this package
	Permit   bool `json:"permit"` // the one that the entitlement is
}
