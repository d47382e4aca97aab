// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms/choose"
	"github.com/glovebox-dev/glovebox/transforms/media"
	"github.com/glovebox-dev/glovebox/transforms/redact"
)

// catalogue lists the built-ins. It is a function, not a variable: nobody can change it.
func catalogue() []Entry {
	return append([]Entry{
		{
			Name: "redact", Version: redact.Version, Shape: dataset.ShapeFilter, Needs: "keys", New: redact.New, Tables: redact.Tables,
			What:    "finds personal data in texts, numbers, names of members and of files, and removes, masks or replaces it",
			Members: members(redact.Members()),
		},
		{
			Name: "scan", Version: redact.Version, Shape: dataset.ShapeFilter, New: redact.NewScan, Tables: redact.Tables,
			What:    "finds personal data and changes nothing: reports it, quarantines the record, or ends the run",
			Members: members(redact.ScanMembers()),
		},
		{
			Name: "media", Version: media.Version, Shape: choose.Shape, Needs: "keys", New: media.New,
			What:    "writes JPEG and PNG files anew without metadata, and quarantines every other file",
			Members: members(media.Members()),
		},
		{
			Name: "filter", Version: choose.FilterVersion, Shape: choose.Shape, New: choose.NewFilter,
			What:    "keeps records by conditions on fields, consent, length and language",
			Members: members(choose.FilterMembers()),
		},
		{
			Name: "sample", Version: choose.SampleVersion, Shape: choose.Shape, Needs: "keys", New: choose.NewSample,
			What:    "keeps each record with one probability, decided by a keyed hash of it",
			Members: members(choose.SampleMembers()),
		},
		{
			Name: "deduplicate", Version: choose.DeduplicateVersion, Shape: choose.Shape, New: choose.NewDeduplicate,
			What:    "keeps the first of records that say the same, or nearly the same",
			Members: members(choose.DeduplicateMembers()),
		},
	}, fieldSteps()...)
}

// members makes the documentation's form of pairs of name and meaning.
func members(pairs [][2]string) []Member {
	out := make([]Member, 0, len(pairs))
	for _, p := range pairs {
		out = append(out, Member{p[0], p[1]})
	}
	return out
}
