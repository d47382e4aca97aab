// SPDX-License-Identifier: Apache-2.0

package national

// Steps is how many steps Match takes.
func Steps(text []byte, start, end int) int {
	_, steps := all().match(text, start, end)
	return steps
}
