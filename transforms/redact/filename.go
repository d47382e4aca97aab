// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// ofName is the path of findings in the name of a file. Their offsets are of the part between slashes.
const ofName = "{}"

// extensions say what a file is, and nothing of anybody. Any other ending may be the end of an address or of a number.
var extensions = func() map[string]bool {
	known := map[string]bool{}
	for _, e := range strings.Fields("avi bin bmp bz2 c cfg conf cpp cs csv css dat db dcm doc docx eml flac gif go gz h htm html ico ics ini ipynb " +
		"java jpeg jpg js json jsonl kt lock log lua m4a map mbox md mkv mov mp3 mp4 mpeg mpg msg ndjson nii odp ods odt ogg parquet pdf php pl " +
		"png ppt pptx proto ps py r rb rs rst rtf scala sh sql srt svg swift tar tex tif tiff toml ts tsv txt vcf wav webm webp wma wmv xls " +
		"xlsx xml xz yaml yml zip zst") {
		known["."+e] = true
	}
	return known
}()

// fileName redacts a file's name, part by part.
func (s *Redact) fileName(r *transforms.Record, t *transforms.Trace) (transforms.Verdict, error) {
	if r.Name == "" {
		return transforms.Keep, nil
	}
	parts := strings.Split(r.Name, "/")
	last, changed := "", false
	for i, p := range parts {
		found, ext := s.inName(p, i == len(parts)-1)
		last = ext
		p = strings.TrimSuffix(p, ext)
		if parts[i] = p; len(found) == 0 {
			continue
		}
		out, err := s.replace(r, ofName, []byte(p), found, t)
		if err != nil {
			t.Reason("unstable")
			return transforms.Quarantine, nil
		}
		parts[i], changed = strings.NewReplacer("/", "_", "\x00", "_").Replace(string(out)), true
		if parts[i] == "" || parts[i] == "." || parts[i] == ".." {
			parts[i] = "_"
		}
	}
	stem := strings.Join(parts, "/")
	name := stem + last
	for !s.alone && s.files[name] > 0 { // by another file, whether it had that name or was given it
		s.files[stem+last]++
		name, changed = stem+"_"+strconv.FormatInt(s.files[stem+last], 10)+last, true
	}
	if !s.alone { // else a name would tell of the files before it
		s.files[name]++
	}
	if changed {
		r.Name = name
	}
	return transforms.Keep, nil
}

// inName finds personal data in one part of a file's name, and gives the extension that may stay: a known one that is in no finding, but for
// those whose other letters are found without it.
func (s *step) inName(part string, last bool) (found []span.Finding, ext string) {
	whole := s.inPart(part)
	if ext = path.Ext(part); !last || !extensions[strings.ToLower(ext)] {
		return whole, ""
	}
	stem := strings.TrimSuffix(part, ext)
	found = s.inPart(stem)
	alone := len(found)
	for _, f := range whole {
		switch {
		case f.End <= len(stem):
			if !touches(found[:alone], f) {
				found = append(found, f)
			}
		case f.Why&span.ByModel != 0: // the tagger reads texts: to it "a.txt" alone may be a name, and the stem was shown to it
		case (f.Type == span.URL || f.Type == span.Domain) && f.Start == 0 && !strings.Contains(stem, "."): // "readme.md" is no domain in Moldova
		case !reaches(found[:alone], f.Start, len(stem)):
			return whole, ""
		}
	}
	return span.Resolve(found), ext
}

// inPart finds personal data in a part as it is, and in its words: points and underscores stand between them in names of files.
func (s *step) inPart(part string) []span.Finding {
	found := s.finder.Find(nil, []byte(part))
	words := strings.NewReplacer("_", " ", ".", "-").Replace(part)
	if words == part {
		return found
	}
	alone := len(found)
	for _, f := range s.finder.findInName(nil, []byte(words)) { // of the tagger only whole names of people that lists know
		if f.Type != span.Date && !touches(found[:alone], f) {
			found = append(found, f)
		}
	}
	return span.Resolve(found)
}

func touches(found []span.Finding, f span.Finding) bool {
	return slices.ContainsFunc(found, func(g span.Finding) bool { return g.Start < f.End && f.Start < g.End })
}

// reaches reports whether a finding covers a part of a text.
func reaches(found []span.Finding, start, end int) bool {
	return slices.ContainsFunc(found, func(f span.Finding) bool { return f.Start <= start && f.End >= end })
}
