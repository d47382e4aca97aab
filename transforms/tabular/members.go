// SPDX-License-Identifier: Apache-2.0

package tabular

// Members of the configurations, for the documentation: a name and what it says.

// ref is what every field of a configuration has.
func ref(more ...[2]string) [][2]string {
	return append([][2]string{
		{"fields[].field", "column, or path in JSON"},
		{"fields[].optional", "true: no error if no record has it"},
	}, more...)
}

// DropMembers are those of drop.
func DropMembers() [][2]string { return ref() }

// KeepMembers are those of keep.
func KeepMembers() [][2]string { return ref() }

// RenameMembers are those of rename.
func RenameMembers() [][2]string {
	return ref([2]string{"fields[].to", "new name; of a path, of its last part"})
}

// GeneraliseMembers are those of generalise.
func GeneraliseMembers() [][2]string {
	return ref([][2]string{
		{"fields[].width", "numbers become ranges of this width"},
		{"fields[].ranges", "numbers become these ranges: from, to, label"},
		{"fields[].groups", "texts become the group that has them: name, values"},
		{"fields[].ignoreCase", "true: case does not matter in groups"},
		{"fields[].prefix", "texts keep so many characters"},
		{"fields[].pad", "character that stands for each that a prefix cuts"},
		{"fields[].date", "dates keep month, quarter, year or decade: keep, order"},
		{"fields[].otherwise", "quarantine (default) or suppress what fits none"},
	}...)
}

// CodeMembers are those of code.
func CodeMembers() [][2]string {
	return ref([][2]string{
		{"fields[].bottom", "least number; what is below becomes it"},
		{"fields[].bottomLabel", "text instead of the bottom"},
		{"fields[].top", "largest number; what is above becomes it"},
		{"fields[].topLabel", "text instead of the top"},
		{"fields[].otherwise", "quarantine (default) or suppress what is no number"},
	}...)
}

// SuppressMembers are those of suppress.
func SuppressMembers() [][2]string {
	return ref([][2]string{
		{"fields[].equals", "only values that are one of these"},
		{"fields[].except", "only values that are none of these"},
		{"fields[].below", "only numbers below it, and what is no number"},
		{"fields[].above", "only numbers above it, and what is no number"},
		{"fields[].longer", "only values of more characters"},
	}...)
}

// FPEMembers are those of fpe.
func FPEMembers() [][2]string {
	return ref([][2]string{
		{"fields[].alphabet", "digits (default), hex, lower, upper, lowerDigits, upperDigits or alphanumeric"},
		{"fields[].separators", "characters that stay; by default -./()+ and space"},
		{"fields[].domain", "fields of one domain encrypt alike; by default each is its own"},
		{"scope", "dataset (default) or grant: whose key"},
	}...)
}

// TokeniseMembers are those of tokenise.
func TokeniseMembers() [][2]string {
	return ref([][2]string{
		{"fields[].domain", "fields of one domain have equal tokens for equal values; by default each is its own"},
		{"fields[].trim", "true: spaces around do not matter"},
		{"fields[].ignoreCase", "true: case does not matter"},
		{"scope", "dataset (default) or grant: whose key"},
	}...)
}
