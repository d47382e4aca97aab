// SPDX-License-Identifier: Apache-2.0

package dataset

import "github.com/glovebox-dev/glovebox/internal/licence"

// Conflicts lists what in the licences of a job's datasets stands in the way of using them together, by the datasets'
// names. Brokers see one package each: only who has every manifest can tell. What the job itself wants of one of them is
// that owner's to refuse, with all reasons.
func Conflicts(use licence.Use, datasets []*Manifest) []licence.Conflict {
	names := map[string]int{}
	for _, m := range datasets {
		names[m.Name]++
	}
	var uses []licence.Named
	for _, m := range datasets {
		n := licence.Named{Name: m.Name, Licence: m.Terms.Licence, Purposes: m.Terms.Purposes}
		if names[m.Name] > 1 {
			n.Name += " " + m.Dataset.String()[:8]
		}
		uses = append(uses, n)
	}
	return licence.Compatible(uses, use.Derive)
}
