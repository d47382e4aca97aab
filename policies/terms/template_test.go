// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/jwk"
)

// commentedKey is a key of the template that is a comment: what is left of # is its indentation.
var commentedKey = regexp.MustCompile(`^( *)# ( *)([a-z-]+):( |$)`)

// uncommented takes away the comment sign of those lines of the template that name one of the keys.
func uncommented(text string, keys ...string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if m := commentedKey.FindStringSubmatch(l); m != nil && slices.Contains(keys, m[3]) {
			lines[i] = m[1] + strings.TrimPrefix(l[len(m[1]):], "# ")
		}
	}
	return strings.Join(lines, "\n")
}

// TestUncommentedKeysParse: taking away the comment sign before a key is all that it takes to say it.
func TestUncommentedKeysParse(t *testing.T) {
	keys, err := jwk.ParseSet([]byte(`{"keys": [{"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
		"y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "kid": "m1"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	type story struct {
		keys []string          // to uncomment
		with map[string]string // what the comments say that they need
		want string            // problem left; "" for none
	}
	receipts := []string{"receipts", "issuer", "audience", "payee", "minimum", "keys"}
	open, paid := map[string]string{}, map[string]string{"access: open": "access: receipt"}
	paths := map[string]string{
		"require": "buyers.require", "receipts": "receipts", "issuer": "receipts.issuer", "audience": "receipts.audience", "payee": "receipts.payee",
		"minimum": "receipts.minimum", "keys": "receipts.keys", "royalty": "licence.royalty", "epsilon": "privacy.epsilon", "delta": "privacy.delta",
	}
	for name, s := range map[string]story{
		"receipts":              {receipts, paid, ""},
		"receipts with require": {append([]string{"require"}, receipts...), paid, ""},
		"require":               {[]string{"require"}, open, "buyers.require"},
		"royalty":               {[]string{"royalty"}, map[string]string{"commercial: false": "commercial: true"}, ""},
		"epsilon":               {[]string{"epsilon"}, open, "the mode gives no guarantee that an epsilon could bound"},
		"epsilon and delta":     {[]string{"epsilon", "delta"}, open, "the mode gives no guarantee that an epsilon could bound"},
		"delta":                 {[]string{"delta"}, open, "a delta is one of an epsilon"},
	} {
		text := uncommented(Template(testNow), s.keys...)
		for old, by := range s.with {
			text = replaceOnce(text, old, by)
		}
		d := Parse([]byte(text))
		for _, k := range s.keys {
			if d.get(paths[k]) == nil {
				t.Errorf("%s: %s is not where it belongs", name, paths[k])
			}
		}
		_, err := d.Compile(Config{Now: testNow, Keys: func(string, []string) ([]jwk.JWK, error) { return keys, nil }})
		switch {
		case s.want == "" && err != nil, s.want != "" && (err == nil || !strings.Contains(err.Error(), s.want) || strings.Count(err.Error(), "\n") > 0):
			t.Errorf("%s: %v, want %q", name, err, s.want)
		}
	}
	for _, l := range strings.Split(template, "\n") { // and none is forgotten here
		if m := commentedKey.FindStringSubmatch(l); m != nil && paths[m[3]] == "" && m[3] != "required" && m[3] != "open" {
			t.Errorf("no path for %q", l)
		}
	}
}

// TestModesOfThePage: the page's modes with parameters are written as they are read.
func TestModesOfThePage(t *testing.T) {
	b, err := os.ReadFile("../../docs/terms.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "```yaml\nmodes:\n")
	example, _, end := strings.Cut(rest, "```\n")
	if !ok || !end {
		t.Fatal("docs/terms.md shows no mode with parameters")
	}
	_, err = compile(t, replaceOnce(Template(testNow), "modes: [raw-in-tee]\n", "modes:\n"+example))
	if err != nil {
		t.Errorf("%v", err)
	}
}
