// SPDX-License-Identifier: Apache-2.0

package terms

import (
	_ "embed"
	"strings"
	"time"
)

//go:embed template.yaml
var template string

// templateEnd is the day that the template's offer ends; see [Template].
const templateEnd = "2027-12-31"

// Template is a commented terms file that compiles as it stands, with an offer of a year.
func Template(now time.Time) string {
	return replaceOnce(template, templateEnd, now.UTC().AddDate(1, 0, 0).Format(time.DateOnly))
}

// replaceOnce replaces what the template has exactly once.
func replaceOnce(s, old, by string) string {
	if strings.Count(s, old) != 1 {
		panic("terms: the template does not have " + old + " once")
	}
	return strings.Replace(s, old, by, 1)
}
