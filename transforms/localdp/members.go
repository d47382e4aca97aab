// SPDX-License-Identifier: Apache-2.0

package localdp

// Members of the configurations, for the documentation: a name and what it says.

func ref(more ...[2]string) [][2]string {
	return append([][2]string{
		{"fields[].field", "column, or member of the JSON record itself"},
		{"fields[].optional", "true: no error if no record has it"},
		{"fields[].epsilon", "what a record spends on the field: at most six digits after the point"},
		{"fields[].default", "stands for a value that is missing, unknown or of another type"},
	}, more...)
}

// KRRMembers are those of k-rr.
func KRRMembers() [][2]string {
	return ref([2]string{"fields[].categories", "all values that come out: 2 to 1024"})
}

// LaplaceMembers are those of discrete-laplace.
func LaplaceMembers() [][2]string {
	return ref([][2]string{
		{"fields[].lower", "least value; what is below becomes it"},
		{"fields[].upper", "largest value; what is above becomes it"},
		{"fields[].resolution", "values are rounded to steps of it from lower on; by default 1"},
		{"fields[].clamp", "true: what comes out is cut to the bounds"},
	}...)
}

// GaussianMembers are those of discrete-gaussian.
func GaussianMembers() [][2]string {
	return append(LaplaceMembers(), [2]string{"fields[].delta", "chance that epsilon does not hold: at most 0.01"})
}
