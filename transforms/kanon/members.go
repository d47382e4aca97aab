// SPDX-License-Identifier: Apache-2.0

package kanon

// Members are those of the configuration, for the documentation: a name and what it says.
func Members() [][2]string {
	return [][2]string{
		{"quasi", "fields that others may know of a person: field, optional"},
		{"k", "so many records, or contributors, share each combination of them: at least 2"},
		{"sensitive", "fields that have so many values in each combination: field, l (at least 2)"},
		{"unit", "field that names the contributor: field; k counts contributors then"},
		{"maxSuppressed", "share of the records that may be left out, from 0 (default) to 1"},
	}
}
