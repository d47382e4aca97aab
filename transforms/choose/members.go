// SPDX-License-Identifier: Apache-2.0

package choose

// FilterMembers are the members of the configuration of filter, for the documentation.
func FilterMembers() [][2]string {
	return [][2]string{
		{"where", "conditions that must all hold: {\"field\", and one of \"equals\", \"in\", \"exists\", \"range\": {\"min\", \"max\"}, \"not\"}; files have the fields name, folder and extension"},
		{"consent", "{\"field\", \"scopes\", \"separator\"}: all scopes must be in the field, an array or a text that lists them (\";\")"},
		{"length", "{\"field\", \"min\", \"max\"} in code points; without a field of the whole record"},
		{"language", "{\"fields\", \"in\", \"unknown\"}: ISO 639-1 codes; what becomes of texts that nobody can tell: \"drop\" (default) or \"keep\""},
	}
}

// SampleMembers are those of sample.
func SampleMembers() [][2]string {
	return [][2]string{
		{"fraction", "the probability that a record stays: \"1/8\" or \"0.125\""},
		{"by", "field whose value decides, e.g. a patient's number; the whole record unless given"},
		{"seed", "takes the place of the dataset's key: whoever knows it can tell which records are in"},
	}
}

// DeduplicateMembers are those of deduplicate.
func DeduplicateMembers() [][2]string {
	return [][2]string{
		{"fields", "that are compared; all unless given"},
		{"near", "{\"threshold\", \"shingle\"}: also leaves out what is nearly the same, by MinHash of runs of words: 0.5 to 1; 3 words unless given"},
		{"maxRecords", "that may stay, about a kilobyte of memory each; 100000 unless given"},
	}
}
