// SPDX-License-Identifier: Apache-2.0

package national

import "strings"

// Steps is how many steps Match takes.
func Steps(text []byte, start, end int) int {
	if !all().may(text, start, end) {
		return reach
	}
	_, steps := all().match(text, start, end)
	return steps
}

// Misplaced are the types whose words name shared ones elsewhere than at their beginning.
func Misplaced() (types []string) {
	for i := range table {
		if own, _ := topicsOf(table[i].Words, 0); strings.Contains(own, "#") {
			types = append(types, string(table[i].Type))
		}
	}
	return types
}
