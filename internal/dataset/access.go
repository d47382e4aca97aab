// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"cmp"
	"regexp"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/licence"
)

// How a buyer comes to a package.
const (
	AccessOpen    = "open"    // whom the terms allow
	AccessReceipt = "receipt" // ... with a licence receipt from the marketplace that the terms name
	AccessPermit  = "permit"  // ... with a counted permit that the owner signed
)

// Code says whose code may run over the data. The zero Code admits none.
type Code struct {
	Any       bool                 `json:"any"`
	Manifests []envelope.Digest    `json:"manifests"` // of code packages, sorted
	Owners    []envelope.PublicKey `json:"owners"`    // who signed the code package, sorted by their text
}

// Admits reports whether a code package may run.
func (c *Code) Admits(manifest envelope.Digest, owner envelope.PublicKey) bool {
	return c.Any || slices.Contains(c.Manifests, manifest) || slices.ContainsFunc(c.Owners, owner.Equal)
}

// Buyers says who may use the package. The zero Buyers admits none.
type Buyers struct {
	Any     bool                 `json:"any"`
	Keys    []envelope.PublicKey `json:"keys"`    // sorted by their text
	Require []Attribute          `json:"require"` // what a receipt must state about the buyer; sorted by name
	MaxUses int64                `json:"maxUses"` // jobs of one buyer
}

// Admits reports whether a buyer may use the package, as far as her key says.
func (b *Buyers) Admits(key envelope.PublicKey) bool {
	return b.Any || slices.ContainsFunc(b.Keys, key.Equal)
}

// Attribute is satisfied by a buyer of whom one of the values is stated.
type Attribute struct {
	Name  string   `json:"name"`
	AnyOf []string `json:"anyOf"` // sorted
}

// Receipts says whose licence receipts count.
type Receipts struct {
	Issuer    string    `json:"issuer"`
	Audience  string    `json:"audience"`
	Payee     string    `json:"payee"`
	Keys      []jwk.JWK `json:"keys"`      // pinned: no other key of the issuer counts
	MinAmount int64     `json:"minAmount"` // millionths of the price's currency
}

// Privacy names the account that every release is debited to. All packages about the same people should name the same
// population.
type Privacy struct {
	Population   string `json:"population"`
	Unit         string `json:"unit"`         // what one person is: UnitRecord or UnitContributor
	Adjacency    string `json:"adjacency"`    // AddOrRemove or ReplaceOne
	Epsilon      int64  `json:"epsilon"`      // millionths, for all releases together; 0: nothing is promised
	BuyerEpsilon int64  `json:"buyerEpsilon"` // millionths, for one buyer's releases
	Delta        int64  `json:"delta"`        // in 10⁻¹²
}

// Units and adjacencies of privacy accounts.
const (
	UnitRecord      = "record"
	UnitContributor = "contributor"
	AddOrRemove     = "add-or-remove"
	ReplaceOne      = "replace-one"
)

// ErasureUnit is one contributor's records: whole segments under a key of their own, which only the owner's broker holds.
type ErasureUnit struct {
	ID      envelope.Digest `json:"id"`    // HMAC-SHA256 of the contributor's name, under a key that only the owner holds
	First   int64           `json:"first"` // segment
	Count   int64           `json:"count"` // segments
	Consent *Consent        `json:"consent"`
}

// Consent is what a contributor agreed to. None agrees to nothing.
type Consent struct {
	Reference string   `json:"reference"` // to the record of it, for the owner
	Purposes  []string `json:"purposes"`  // sorted
	NotAfter  int64    `json:"notAfter"`  // Unix seconds
}

// Covers reports whether a contributor agreed to a purpose at a time in Unix seconds.
func (c *Consent) Covers(purpose string, now int64) bool {
	return c != nil && slices.Contains(c.Purposes, purpose) && now < c.NotAfter
}

var (
	attributeName = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)
	population    = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`)
)

// ForAnyone returns t with nothing asked of buyers, code or use: any buyer, any code, everywhere, commercial or not.
func (t Terms) ForAnyone() Terms {
	t.Access, t.Receipts, t.Consent = AccessOpen, nil, false
	t.Code = Code{Any: true, Manifests: []envelope.Digest{}, Owners: []envelope.PublicKey{}}
	t.Buyers = Buyers{Any: true, Keys: []envelope.PublicKey{}, Require: []Attribute{}, MaxUses: MaxAmount}
	t.Licence = licence.Licence{Commercial: true, Derivatives: true, Prohibited: []string{}, Territories: []string{licence.Worldwide}}
	t.Privacy = Privacy{Population: "default", Unit: UnitRecord, Adjacency: AddOrRemove}
	return t
}

func (t *Terms) validateAccess() error {
	switch {
	case t.Access != AccessOpen && t.Access != AccessReceipt && t.Access != AccessPermit:
		return invalid("terms: access %q, want %q, %q or %q", t.Access, AccessOpen, AccessReceipt, AccessPermit)
	case (t.Access == AccessReceipt) != (t.Receipts != nil):
		return invalid("terms: access %q, and whose receipts count must be named for %q only", t.Access, AccessReceipt)
	}
	if err := t.Receipts.validate(); err != nil {
		return err
	}
	if err := t.Code.validate(); err != nil {
		return err
	}
	if err := t.Buyers.validate(t.Access); err != nil {
		return err
	}
	if err := t.Licence.Validate(); err != nil {
		return invalid("terms: %v", err)
	}
	return t.Privacy.validate()
}

func (c *Code) validate() error {
	switch {
	case c.Manifests == nil || c.Owners == nil || len(c.Manifests) > MaxList || len(c.Owners) > MaxList:
		return invalid("terms: code: lists are missing or too long")
	case c.Any == (len(c.Manifests)+len(c.Owners) > 0):
		return invalid("terms: code: want any, or a list of manifests or owners")
	case !ordered(c.Manifests, envelope.Digest.String) || !ordered(c.Owners, envelope.PublicKey.String):
		return invalid("terms: code: lists must be sorted and distinct")
	}
	for _, d := range c.Manifests {
		if d.IsZero() {
			return invalid("terms: code: zero manifest")
		}
	}
	return nil
}

func (b *Buyers) validate(access string) error {
	switch {
	case b.Keys == nil || b.Require == nil || len(b.Keys) > MaxList || len(b.Require) > MaxList:
		return invalid("terms: buyers: lists are missing or too long")
	case b.Any == (len(b.Keys) > 0):
		return invalid("terms: buyers: want any, or a list of keys")
	case !ordered(b.Keys, envelope.PublicKey.String) || !ordered(b.Require, func(a Attribute) string { return a.Name }):
		return invalid("terms: buyers: lists must be sorted and distinct")
	case b.MaxUses < 1 || b.MaxUses > MaxAmount:
		return invalid("terms: %d uses for one buyer", b.MaxUses)
	case len(b.Require) > 0 && access != AccessReceipt:
		return invalid("terms: buyers: attributes are stated by receipts, and access is %q", access)
	}
	for _, a := range b.Require {
		if !attributeName.MatchString(a.Name) || len(a.AnyOf) == 0 || len(a.AnyOf) > MaxList || !ordered(a.AnyOf, text) {
			return invalid("terms: buyers: attribute %q", a.Name)
		}
	}
	return nil
}

func (r *Receipts) validate() error {
	switch {
	case r == nil:
		return nil
	case r.Issuer == "" || r.Audience == "" || r.Payee == "" || max(len(r.Issuer), len(r.Audience), len(r.Payee)) > MaxText:
		return invalid("terms: receipts without issuer, audience or payee")
	case len(r.Keys) == 0 || len(r.Keys) > MaxList:
		return invalid("terms: receipts: no pinned keys, or too many")
	case r.MinAmount < 0 || r.MinAmount > MaxAmount:
		return invalid("terms: receipts: amount %d", r.MinAmount)
	}
	for i := range r.Keys {
		if err := r.Keys[i].Validate(); err != nil {
			return invalid("terms: receipts: key %d: %v", i+1, err)
		}
	}
	return nil
}

func (p *Privacy) validate() error {
	switch {
	case !population.MatchString(p.Population):
		return invalid("terms: population %q", p.Population)
	case p.Unit != UnitRecord && p.Unit != UnitContributor:
		return invalid("terms: privacy unit %q, want %q or %q", p.Unit, UnitRecord, UnitContributor)
	case p.Adjacency != AddOrRemove && p.Adjacency != ReplaceOne:
		return invalid("terms: adjacency %q, want %q or %q", p.Adjacency, AddOrRemove, ReplaceOne)
	case p.Epsilon < 0 || p.Epsilon > MaxAmount || p.BuyerEpsilon < 0 || p.BuyerEpsilon > p.Epsilon:
		return invalid("terms: epsilon %d for all, %d for one buyer", p.Epsilon, p.BuyerEpsilon)
	case p.Delta < 0 || p.Delta >= 1_000_000_000_000:
		return invalid("terms: delta %d", p.Delta)
	}
	return nil
}

// validateUnits: units are whole segments of one version, in order; a contributor has one in a version. Where terms ask
// for consent, or count privacy by contributors, no record is without one.
func (m *Manifest) validateUnits() error {
	next, inUnits := int64(0), int64(0)
	type mark struct {
		id      envelope.Digest
		version int64
	}
	seen := make(map[mark]bool, len(m.Units))
	for i := range m.Units {
		u := &m.Units[i]
		if u.ID.IsZero() || u.Count < 1 || u.First < next || u.First > int64(len(m.Segments))-u.Count {
			return invalid("unit %d is of nothing, or out of order", i)
		}
		next = u.First + u.Count
		segments := m.Segments[u.First:next]
		of := mark{u.ID, segments[0].Version}
		if segments[u.Count-1].Version != of.version || seen[of] {
			return invalid("unit %d spans versions, or is the contributor's second in one", i)
		}
		seen[of] = true
		if m.Erased(int(u.First)) == nil {
			for k := range segments {
				inUnits += segments[k].Records
			}
		}
		if err := u.Consent.validate(); err != nil {
			return err
		}
	}
	switch {
	case m.Units != nil && len(m.Units) == 0, m.Units != nil && m.Kind == KindCode:
		return invalid("a list of no units, or units of code")
	case m.Terms.Consent && inUnits != m.Records:
		return invalid("terms ask for consent, and %d records have no contributor", m.Records-inUnits)
	case m.Terms.Private != nil && m.Terms.Privacy.Unit == UnitContributor && inUnits != m.Records:
		return invalid("terms hide one contributor among the others, and %d records have none", m.Records-inUnits)
	}
	return nil
}

func (c *Consent) validate() error {
	switch {
	case c == nil:
		return nil
	case c.Reference == "" || len(c.Reference) > MaxReference || c.NotAfter < 1 || c.NotAfter > MaxAmount:
		return invalid("consent without reference or end")
	case c.Purposes == nil || len(c.Purposes) > MaxList || !ordered(c.Purposes, text):
		return invalid("consent: purposes must be sorted and distinct")
	}
	for _, p := range c.Purposes {
		if !term.MatchString(p) {
			return invalid("consent: purpose %q", p)
		}
	}
	return nil
}

func text(s string) string { return s }

// ordered reports whether a list is sorted by its texts and without repetition.
func ordered[T any](list []T, text func(T) string) bool {
	for i := 1; i < len(list); i++ {
		if cmp.Compare(text(list[i-1]), text(list[i])) >= 0 {
			return false
		}
	}
	return true
}
