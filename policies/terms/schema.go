// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"fmt"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/licence"
)

// Key is one key of a terms file.
type Key struct {
	Path     string // licence.spdx
	Form     string // what its value looks like, for people
	Required bool
	Default  string // what is meant where it is left out, if not simply nothing
	Says     string // in one line
	list     bool   // its value is a list; one entry may stand alone
}

// Schema are the keys of a terms file in the order they are explained. Modes have their own; see [Modes].
func Schema() []Key {
	return []Key{
		{Path: "version", Form: "1", Required: true, Says: "of this format"},
		{Path: "test", Form: "true or false", Default: "false", Says: "not real data: may be released to an enclave without hardware"},
		{Path: "purposes", Form: "words", Required: true, Says: "what the data may be used for; every job states one", list: true},
		{Path: "modes", Form: "names, or names with their parameters", Required: true, Says: "privacy modes that a job may ask for", list: true},
		{Path: "outputs.classes", Form: "metrics, model, table", Required: true, Says: "classes of output that may leave", list: true},
		{Path: "outputs.most", Form: "a size: 16MiB", Required: true, Says: "that may leave in one job"},
		{Path: "uses.jobs", Form: "a count", Required: true, Says: "jobs in all"},
		{Path: "uses.each-buyer", Form: "a count", Default: "uses.jobs", Says: "jobs of one buyer"},
		{Path: "uses.epochs", Form: "a count", Required: true, Says: "passes over the data in one job"},
		{Path: "uses.until", Form: "a day (its end in UTC), or a time with zone", Required: true, Says: "end of the offer"},
		{Path: "price.currency", Form: "an ISO 4217 code", Required: true, Says: "of all amounts"},
		{Path: "price.per-use", Form: "an amount: 12.50", Required: true, Says: "for one completed job; 0 is free"},
		{Path: "price.per-record", Form: "an amount", Required: true, Says: "for one record delivered in one epoch; 0 is free"},
		{Path: "buyers.any", Form: "true or false", Default: "false", Says: "any buyer"},
		{Path: "buyers.keys", Form: "did:key, several", Says: "only these buyers", list: true},
		{Path: "buyers.require", Form: "attributes, each with its values", Says: "what a receipt must state about the buyer, one value of each"},
		{Path: "code.any", Form: "true or false", Default: "false", Says: "anybody's code"},
		{Path: "code.manifests", Form: "sha256:…, several", Says: "only these code packages", list: true},
		{Path: "code.owners", Form: "did:key, several", Says: "only code that these owners signed", list: true},
		{Path: "access", Form: "open, receipt or permit", Required: true, Says: "how a buyer gets in: freely, by a marketplace's licence receipt, or by a permit that the creator signed"},
		{Path: "receipts.issuer", Form: "text", Says: "marketplace, as its receipts name it"},
		{Path: "receipts.audience", Form: "text", Says: "whom receipts must be made out for"},
		{Path: "receipts.payee", Form: "text", Says: "who must have been paid"},
		{Path: "receipts.minimum", Form: "an amount", Says: "that must have been paid"},
		{Path: "receipts.keys", Form: "file or https URL of a JWKS, or the keys", Says: "marketplace's keys, pinned when the data is packed", list: true},
		{Path: "receipts.pins", Form: "RFC 7638 thumbprints", Says: "of those keys, as the marketplace told you elsewhere; needed where keys are fetched by URL", list: true},
		{Path: "licence.spdx", Form: "an SPDX identifier", Says: "a listed licence; the other clauses may narrow it"},
		{Path: "licence.odrl", Form: "a file beside this one", Says: "an ODRL 2.2 offer in JSON-LD; the other clauses may narrow it"},
		{Path: "licence.commercial", Form: "true or false", Default: "false, or the licence's", Says: "results may serve a commercial end"},
		{Path: "licence.derivatives", Form: "true or false", Default: "false, or the licence's", Says: "results may be changed, built upon and passed on"},
		{Path: "licence.share-alike", Form: "true or false", Default: "false, or the licence's", Says: "… only under the same licence"},
		{Path: "licence.attribution", Form: "true or false", Default: "false, or the licence's", Says: "results must name the creator"},
		{Path: "licence.training-only", Form: "true or false", Default: "false, or the licence's", Says: "outputs are models and metrics, never tables"},
		{Path: "licence.prohibited", Form: "words", Says: "purposes that are never allowed", list: true},
		{Path: "licence.territories", Form: "everywhere, ISO 3166-1 codes, or " + strings.Join(licence.Groups(), ", "), Default: "none, or the licence's", Says: "where results may be used", list: true},
		{Path: "licence.revocable", Form: "true or false", Default: "false", Says: "results must be given up when the creator withdraws"},
		{Path: "licence.royalty", Form: "a percentage: 2.5 %", Default: "0 %", Says: "of revenue made with results"},
		{Path: "consent", Form: "required or none", Required: true, Says: "whether records without their contributor's consent for the job's purpose are left out"},
		{Path: "privacy.population", Form: "a word", Required: true, Says: "account for everything about the same people, also in the creator's other datasets"},
		{Path: "privacy.unit", Form: "record or contributor", Default: "record", Says: "what one person is in the data"},
		{Path: "privacy.adjacency", Form: "add-or-remove or replace-one", Default: "add-or-remove", Says: "what differs between data with and without one person"},
		{Path: "privacy.epsilon", Form: "a number, six decimals", Says: "that all jobs together may spend"},
		{Path: "privacy.each-buyer", Form: "a number, six decimals", Default: "privacy.epsilon", Says: "that one buyer may spend"},
		{Path: "privacy.delta", Form: "a number, twelve decimals", Says: "at which epsilon holds"},
		{Path: "run.logs", Form: "off or sealed", Default: "off", Says: "the code's own words: nowhere, or in the buyer's sealed result"},
		{Path: "run.lease", Form: "a time: 1h", Default: "1h", Says: "longest that one job may hold the key"},
		{Path: "run.allowance", Form: "a count", Default: "64", Says: "leaves (of 64 KiB) that one heartbeat allows"},
		{Path: "run.broker-away", Form: "wait or fail", Default: "wait", Says: "what a running job does while the creator's broker does not answer"},
		{Path: "run.assurance", Form: "tpm or tee; with test also simulated, software-tpm", Default: "tpm", Says: "least that an enclave must prove"},
	}
}

func lookup(path string) (Key, bool) {
	for _, k := range Schema() {
		if k.Path == path {
			return k, true
		}
	}
	return Key{}, false
}

// sections are the first parts of keys that have two.
func sections() []string {
	var out []string
	for _, k := range Schema() {
		if s, _, ok := strings.Cut(k.Path, "."); ok && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// below are the names that may follow a section.
func below(section string) []string {
	var out []string
	for _, k := range Schema() {
		first, rest, ok := strings.Cut(k.Path, ".")
		switch {
		case section == "" && !slices.Contains(out, first):
			out = append(out, first)
		case section != "" && ok && first == section:
			out = append(out, rest)
		}
	}
	return out
}

// shape refuses unknown keys and sections, and names required keys that are missing.
func (c *compiler) shape() {
	for _, k := range c.root.keys {
		c.known("", k, c.root.fields[k])
	}
	for _, k := range Schema() {
		if k.Required && c.get(k.Path) == nil {
			section, _, _ := strings.Cut(k.Path, ".")
			at := Origin{}
			if s := c.root.fields[section]; s != nil {
				at = s.at
			}
			c.problem(at, k.Path, "is missing: "+k.Says, "write "+k.Form)
		}
	}
}

func (c *compiler) known(parent, name string, v *value) {
	path := join(parent, name)
	spec, leaf := lookup(path)
	switch {
	case v.kind == "": // reported when it was read
	case parent == "" && slices.Contains(sections(), name):
		if v.kind != isSection {
			c.problem(v.at, path, "has keys below it", "these: "+strings.Join(below(name), ", "))
			return
		}
		for _, k := range v.keys {
			c.known(path, k, v.fields[k])
		}
	case !leaf:
		c.problem(v.at, path, "is not a key of terms", c.meant(parent, name))
	case path == "modes" || path == "buyers.require" || path == "receipts.keys": // read by their own functions
	case v.kind == isSection, v.kind == isList && !spec.list:
		c.problem(v.at, path, fmt.Sprintf("is %s", v.kind), "want "+spec.Form)
	}
}

// meant guesses which key was wanted, here or in another section.
func (c *compiler) meant(parent, name string) string {
	if n := near(name, below(parent)); len(n) > 0 {
		return "did you mean " + strings.Join(n, " or ") + "?"
	}
	for _, k := range Schema() {
		if _, last, ok := strings.Cut(k.Path, "."); ok && last == name || k.Path == name {
			return "it is called " + k.Path
		}
	}
	return "known here: " + strings.Join(below(parent), ", ")
}
