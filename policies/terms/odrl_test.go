// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/licence"
)

// anOffer is an offer to use data, with more rules and parts of the permission to use.
func anOffer(permission, more string) string {
	return fmt.Sprintf(`{"@context":"http://www.w3.org/ns/odrl.jsonld","@type":"Offer","uid":"urn:x:1",
	"permission":[{"target":"urn:x:data","action":"use"%s}%s}`, permission, more)
}

func constraints(s string) string { return anOffer(`,"constraint":[`+s+`]`, "]") }

func duties(s string) string { return anOffer(`,"duty":[`+s+`]`, "]") }

func TestOffer(t *testing.T) {
	for name, c := range map[string]struct {
		offer string
		check func(s source) bool
	}{
		"the least": {anOffer("", "]"), func(s source) bool {
			return !s.answers[commercial].yes && !s.answers[derivatives].yes && s.purposes == nil
		}},
		"commercial": {anOffer("", `,{"target":"urn:x:data","action":"commercialize"}]`), func(s source) bool {
			return s.answers[commercial].yes && s.answers[commercial].firm && !s.answers[derivatives].yes
		}},
		"several actions": {`{"@type":"odrl:Offer","odrl:permission":{"odrl:action":["gb:train",{"@id":"odrl:derive"},"cc:CommercialUse"]}}`, func(s source) bool {
			return s.answers[commercial].yes && s.answers[derivatives].yes
		}},
		"full names": {`{"@type":"http://www.w3.org/ns/odrl/2/Offer","http://www.w3.org/ns/odrl/2/permission":[{"http://www.w3.org/ns/odrl/2/action":"http://www.w3.org/ns/odrl/2/use"}]}`, func(s source) bool { return true }},
		"prohibited": {anOffer("", `],"prohibition":[{"action":"derive"},{"action":["sell","distribute"]},{"action":"use","constraint":{"leftOperand":"purpose","operator":"eq","rightOperand":"ads"}}]`), func(s source) bool {
			return !s.answers[derivatives].yes && s.answers[derivatives].firm && len(s.prohibited) == 1 && s.prohibited[0].value == "ads"
		}},
		"purposes":    {constraints(`{"leftOperand":"purpose","operator":"isAnyOf","rightOperand":["research","care"]}`), func(s source) bool { return slices.Equal(s.purposes.value, []string{"care", "research"}) }},
		"own names":   {constraints(`{"leftOperand":"purpose","operator":"isAnyOf","rightOperand":["gb:research","https://glovebox.dev/ns#care","care"]}`), func(s source) bool { return slices.Equal(s.purposes.value, []string{"care", "research"}) }},
		"no purposes": {constraints(`{"leftOperand":"purpose","operator":"isNoneOf","rightOperand":["ads","war"]}`), func(s source) bool { return len(s.prohibited) == 2 }},
		"places": {constraints(`{"leftOperand":"spatial","operator":"isAnyOf","rightOperand":["DACH","urn:iso:std:iso:3166:-1:FR"]}`), func(s source) bool {
			return slices.Equal(s.territories.value, []string{"AT", "CH", "DE", "FR"})
		}},
		"not there": {anOffer("", `],"prohibition":[{"action":"use","constraint":{"leftOperand":"spatial","operator":"eq","rightOperand":"US"}}]`), func(s source) bool {
			return s.territories.value[0] == "*" && s.excluded[0].value == "US"
		}},
		"until a day":    {constraints(`{"leftOperand":"dateTime","operator":"lteq","rightOperand":{"@value":"2030-01-01","@type":"xsd:date"}}`), func(s source) bool { return s.notAfter.value == 1893542400 }},
		"before a day":   {constraints(`{"leftOperand":"dateTime","operator":"lt","rightOperand":"2030-01-01"}`), func(s source) bool { return s.notAfter.value == 1893456000 }},
		"until a moment": {constraints(`{"leftOperand":"dateTime","operator":"lteq","rightOperand":"2030-01-01T01:00:00+01:00"}`), func(s source) bool { return s.notAfter.value == 1893456000 }},
		"count":          {constraints(`{"leftOperand":"count","operator":"lteq","rightOperand":5}`), func(s source) bool { return s.uses.value == 5 }},
		"fewer than":     {constraints(`{"leftOperand":"count","operator":"lt","rightOperand":{"@value":"5","@type":"xsd:integer"}}`), func(s source) bool { return s.uses.value == 4 }},
		"price": {duties(`{"action":"compensate","constraint":[{"leftOperand":"payAmount","operator":"eq","rightOperand":"12.50","unit":"EUR"}]}`), func(s source) bool {
			return s.perUse.value == price{"EUR", 12_500_000}
		}},
		"royalty":     {duties(`{"action":"compensate","constraint":{"leftOperand":"percentage","operator":"eq","rightOperand":2.5}}`), func(s source) bool { return s.royalty.value == 25_000 }},
		"attribution": {duties(`{"action":"attribute"},{"action":"cc:ShareAlike"}`), func(s source) bool { return s.answers[attribution].yes && s.answers[shareAlike].yes }},
	} {
		s, err := fromODRL([]byte(c.offer), "offer")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !c.check(s) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestOfferRefusesWhatItDoesNotUnderstand: each error names the path.
func TestOfferRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for name, c := range map[string]struct{ offer, path string }{
		"not JSON":                  {`{`, "$"},
		"null":                      {`{"@type":null}`, "$.@type"},
		"twice":                     {`{"@type":"odrl:Offer","@type":"odrl:Offer"}`, `key "@type" is there twice`},
		"twice by another name":     {`{"@type":"odrl:Offer","@context":"http://www.w3.org/ns/odrl.jsonld","type":"Offer"}`, "$.type"},
		"trailing":                  {anOffer("", "]") + "{}", "something follows"},
		"deep":                      {strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40), "nested deeper"},
		"an agreement":              {`{"@type":"odrl:Agreement","odrl:permission":{"odrl:action":"odrl:use"}}`, "$:"},
		"no permission":             {`{"@type":"odrl:Offer"}`, "permits neither"},
		"a context elsewhere":       {`{"@context":"https://evil.example/ctx","@type":"odrl:Offer"}`, "$.@context"},
		"a prefix bent":             {`{"@context":{"odrl":"https://evil.example/"},"@type":"odrl:Offer"}`, "$.@context.odrl"},
		"bare terms, no context":    {`{"@type":"Offer","permission":[]}`, "$.permission"},
		"inheritance":               {anOffer("", `],"inheritFrom":"urn:x:2"`), "$.inheritFrom"},
		"a profile":                 {anOffer("", `],"profile":"urn:x:p"`), "$.profile"},
		"obligations":               {anOffer("", `],"obligation":[]`), "$.obligation"},
		"permissions win":           {anOffer("", `],"conflict":"perm"`), "$.conflict"},
		"an unknown action":         {anOffer("", `,{"action":"play"}]`), "$.permission[1]"},
		"data leaves":               {anOffer("", `,{"action":"distribute"}]`), "$.permission[1]"},
		"another target":            {anOffer("", `,{"target":"urn:x:other","action":"derive"}]`), "$.permission[1].target"},
		"two permissions to use":    {anOffer("", `,{"action":"gb:train"}]`), "$.permission[1]"},
		"an assignee":               {anOffer(`,"assignee":"urn:x:bob"`, "]"), "$.permission[0].assignee"},
		"a refinement":              {`{"@type":"odrl:Offer","odrl:permission":{"odrl:action":{"rdf:value":"odrl:use","odrl:refinement":[]}}}`, "$.odrl:permission.odrl:action"},
		"constrained derivation":    {anOffer("", `,{"action":"derive","constraint":[{"leftOperand":"count","operator":"lteq","rightOperand":1}]}]`), "$.permission[1].constraint"},
		"an unknown constraint":     {constraints(`{"leftOperand":"industry","operator":"eq","rightOperand":"x"}`), "$.permission[0].constraint[0]"},
		"a logical constraint":      {constraints(`{"or":[]}`), "$.permission[0].constraint[0].or"},
		"an unknown operator":       {constraints(`{"leftOperand":"purpose","operator":"isAllOf","rightOperand":["x"]}`), "$.permission[0].constraint[0]"},
		"no operand":                {constraints(`{"leftOperand":"purpose","operator":"eq"}`), "has no odrl:rightOperand"},
		"a beginning":               {constraints(`{"leftOperand":"dateTime","operator":"gteq","rightOperand":"2030-01-01"}`), "$.permission[0].constraint[0]"},
		"an exact count":            {constraints(`{"leftOperand":"count","operator":"eq","rightOperand":5}`), "$.permission[0].constraint[0]"},
		"count of 1e3":              {constraints(`{"leftOperand":"count","operator":"lteq","rightOperand":1e3}`), "not a number"},
		"count below none":          {constraints(`{"leftOperand":"count","operator":"lt","rightOperand":0}`), "less than none"},
		"a constraint twice":        {constraints(`{"leftOperand":"count","operator":"lteq","rightOperand":5},{"leftOperand":"count","operator":"lteq","rightOperand":4}`), "a second time"},
		"a country that is none":    {constraints(`{"leftOperand":"spatial","operator":"eq","rightOperand":"UK"}`), `"GB"`},
		"a purpose that is none":    {constraints(`{"leftOperand":"purpose","operator":"eq","rightOperand":"Any Thing"}`), "purpose"},
		"a prefix twice":            {constraints(`{"leftOperand":"purpose","operator":"eq","rightOperand":"gb:gb:research"}`), "gb:gb:research"},
		"a flag for a value":        {constraints(`{"leftOperand":"purpose","operator":"eq","rightOperand":true}`), "rightOperand"},
		"an unknown duty":           {duties(`{"action":"inform"}`), "$.permission[0].duty[0]"},
		"a constrained duty":        {duties(`{"action":"attribute","constraint":[]}`), "$.permission[0].duty[0].constraint"},
		"payment of nothing":        {duties(`{"action":"compensate"}`), "how much"},
		"payment in gold":           {duties(`{"action":"compensate","constraint":[{"leftOperand":"payAmount","operator":"eq","rightOperand":"1","unit":"gold"}]}`), "ISO 4217"},
		"payment of more digits":    {duties(`{"action":"compensate","constraint":[{"leftOperand":"payAmount","operator":"eq","rightOperand":"0.0000001","unit":"EUR"}]}`), "more than 6 decimals"},
		"payment of about":          {duties(`{"action":"compensate","constraint":[{"leftOperand":"payAmount","operator":"gteq","rightOperand":"1","unit":"EUR"}]}`), "odrl:eq"},
		"royalty above all":         {duties(`{"action":"compensate","constraint":[{"leftOperand":"percentage","operator":"eq","rightOperand":101}]}`), "whole revenue"},
		"prohibited and permitted":  {anOffer("", `,{"action":"derive"}],"prohibition":[{"action":"derive"}]`), "contradicts"},
		"use prohibited":            {anOffer("", `],"prohibition":[{"action":"use"}]`), "as a whole"},
		"prohibited by two":         {anOffer("", `],"prohibition":[{"action":"use","constraint":[{"leftOperand":"purpose","operator":"eq","rightOperand":"x"},{"leftOperand":"spatial","operator":"eq","rightOperand":"US"}]}]`), "want one constraint"},
		"prohibited by count":       {anOffer("", `],"prohibition":[{"action":"use","constraint":[{"leftOperand":"count","operator":"lteq","rightOperand":"1"}]}]`), "cannot be expressed"},
		"prohibited but for":        {anOffer("", `],"prohibition":[{"action":"use","constraint":{"leftOperand":"spatial","operator":"isNoneOf","rightOperand":["DE"]}}]`), "say it as a permission"},
		"a remedy":                  {anOffer("", `],"prohibition":[{"action":"derive","remedy":[]}]`), "$.prohibition[0].remedy"},
		"an unknown prohibition":    {anOffer("", `],"prohibition":[{"action":"play"}]`), "$.prohibition[0]"},
		"a conditional prohibition": {anOffer("", `],"prohibition":[{"action":"commercialize","constraint":[]}]`), "$.prohibition[0].constraint"},
	} {
		_, err := fromODRL([]byte(c.offer), "offer")
		if !errors.Is(err, ErrODRL) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %v, want %q", name, err, c.path)
		}
	}
}

// TestProhibitionByPrefixOrIRI: prohibited under our own name is prohibited as jobs state it, and a name of another vocabulary,
// which no job states, is refused and does not prohibit nothing.
func TestProhibitionByPrefixOrIRI(t *testing.T) {
	offer := func(purpose string) []byte {
		return []byte(anOffer("", `],"prohibition":[{"action":"use","constraint":[{"leftOperand":"purpose","operator":"isAnyOf","rightOperand":[`+purpose+`]}]}]`))
	}
	for _, purpose := range []string{`"advertising"`, `"gb:advertising"`, `"https://glovebox.dev/ns#advertising"`, `{"@id":"gb:advertising"}`, `"advertising","gb:advertising"`} {
		s, err := fromODRL(offer(purpose), "offer")
		if err != nil || len(s.prohibited) != 1 || s.prohibited[0].value != "advertising" {
			t.Errorf("%s: %+v, %v", purpose, s.prohibited, err)
		}
	}
	for _, purpose := range []string{
		`"https://example.org/purposes/weapons"`, `"dpv:weapons"`, `"odrl:weapons"`, `"urn:x:weapons"`, `"//example.org/weapons"`, `"gb:"`, `"gb:Weapons"`,
		`"https://glovebox.dev/ns/weapons"`, `"http://glovebox.dev/ns#weapons"`, `"research","dpv:weapons"`,
	} {
		if s, err := fromODRL(offer(purpose), "offer"); !errors.Is(err, ErrODRL) || !strings.Contains(err.Error(), "$.prohibition[0]") {
			t.Errorf("%s: %+v, %v", purpose, s.prohibited, err)
		}
	}
	if err := purposeWord("gb:advertising"); err == nil {
		t.Error("terms allow gb:advertising, and an offer that prohibits it prohibits advertising")
	}
}

func offerSeeds() []string {
	return []string{
		anOffer("", "]"), constraints(`{"leftOperand":"purpose","operator":"isAnyOf","rightOperand":["research"]}`),
		constraints(`{"leftOperand":"spatial","operator":"isNoneOf","rightOperand":["US"]}`),
		duties(`{"action":"compensate","constraint":[{"leftOperand":"payAmount","operator":"eq","rightOperand":"12.50","unit":"EUR"}]}`),
		anOffer("", `],"prohibition":[{"action":"derive"}]`), `{"@type":"odrl:Offer"}`, `[]`, `{"a":{"a":1}}`,
	}
}

// FuzzOffer: an offer that is taken is JSON, and a member that is added anywhere near its top is never passed over.
func FuzzOffer(f *testing.F) {
	if len(offerSeeds()) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range offerSeeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := fromODRL(b, "offer"); err != nil {
			if !errors.Is(err, ErrODRL) {
				t.Fatalf("%q: %v", b, err)
			}
			return
		}
		var m map[string]json.RawMessage
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatalf("%q is taken: %v", b, err)
		}
		m["odrl:whatever"] = json.RawMessage(`{"x":1}`)
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fromODRL(again, "offer"); err == nil {
			t.Fatalf("%s is taken", again)
		}
	})
}

// TestOwnOfferIsReadBack: the licence that a manifest's offer says is the one in its terms.
func TestOwnOfferIsReadBack(t *testing.T) {
	for name, l := range map[string]licence.Licence{
		"open":   {Commercial: true, Derivatives: true, Prohibited: []string{}, Territories: []string{"*"}},
		"closed": {Prohibited: []string{"ads", "war"}, Territories: []string{"DE", "FR"}, TrainingOnly: true, Revocable: true},
		"alike":  {Commercial: true, Derivatives: true, ShareAlike: true, Attribution: true, RoyaltyPPM: 25_000, Prohibited: []string{}, Territories: []string{"CH"}},
		"CC":     {SPDX: "CC-BY-NC-SA-4.0", Derivatives: true, ShareAlike: true, Attribution: true, Prohibited: []string{}, Territories: []string{"*"}},
	} {
		b, unread := publishedOffer(t, l)
		s, err := fromODRL(b, "usageInfo")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		out := combine([]source{s})
		want := l
		want.SPDX = "" // the offer says the clauses; the name is beside them
		if fmt.Sprintf("%+v", out.licence) != fmt.Sprintf("%+v", want) || len(out.contradictions) != 0 {
			t.Errorf("%s: read back as %+v, %v", name, out.licence, out.contradictions)
		}
		if s.purposes == nil || s.uses.value != 100 || s.perUse.value != (price{"EUR", 1000}) || s.notAfter.value != 4_000_000_000 {
			t.Errorf("%s: %+v", name, s)
		}
		if unread < 10 {
			t.Errorf("%s: only %d constraints were left out: the offer is not a manifest's", name, unread)
		}
	}
}

// publishedOffer packs a package under a licence and takes the offer out of its manifest, without the constraints on how
// the enclave runs, which are no licence and for an importing creator to say anew.
func publishedOffer(t *testing.T, l licence.Licence) (offer []byte, unread int) {
	t.Helper()
	owner, err := envelope.GenerateSigner(envelope.RoleOwner)
	if err != nil {
		t.Fatal(err)
	}
	broker, err := envelope.GenerateSigner(envelope.RoleBroker)
	if err != nil {
		t.Fatal(err)
	}
	store, err := dataset.NewDirStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tm := dataset.Terms{
		Modes: []string{dataset.ModeRaw}, Purposes: []string{"research"}, Outputs: []string{"metrics"}, MaxOutputBytes: 1 << 20, MaxEpochs: 10, MaxUses: 100,
		Logs: dataset.LogsOff, Allowance: 16, LeaseSeconds: 600, BrokerAway: dataset.AwayWait, Price: dataset.Price{Currency: "EUR", PerRecord: 10, PerUse: 1000},
		NotAfter: 4_000_000_000, MinAssurance: "simulated",
	}.ForAnyone()
	tm.Licence = l
	p, err := dataset.Pack(t.Context(), dataset.PackConfig{
		Store: store, Source: strings.NewReader("a\n1\n"), Signer: owner, Key: dataset.NewKey(),
		Manifest: dataset.Manifest{Kind: dataset.KindDataset, Name: "x", Format: dataset.FormatCSV, Test: true, Broker: dataset.Broker{Address: "http://localhost", Key: broker.Public()}, Terms: tm},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := p.Manifest.Metadata.UsageInfo
	keep := func(list []dataset.Constraint) []dataset.Constraint {
		var out []dataset.Constraint
		for _, c := range list {
			switch c.LeftOperand {
			case "gb:access", "gb:buyerUses", "gb:logs", "gb:allowance", "gb:leaseSeconds", "gb:brokerAway", "gb:population", "gb:privacyUnit", "gb:adjacency",
				"gb:epsilonMicros", "gb:buyerEpsilonMicros", "gb:deltaPicos":
				unread++
			default:
				out = append(out, c)
			}
		}
		return out
	}
	o.Permission[0].Constraint, o.License, o.Assigner = keep(o.Permission[0].Constraint), "", ""
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return b, unread
}
