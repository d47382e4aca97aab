// SPDX-License-Identifier: Apache-2.0

// Package choose is the built-in steps that leave records out: filter, sample and deduplicate.
//
// Trust domain: the creator's side at ingest, the enclave process at run time; pure. Its one job: which records go on follows
// from the record, the configuration and the dataset's key alone, so that the same choice is made on every machine.
package choose

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
)

// Versions change whenever a step chooses otherwise.
const (
	FilterVersion      = "1"
	SampleVersion      = "1"
	DeduplicateVersion = "1"
)

// decode reads a step's configuration.
func decode(name string, config json.RawMessage, v any) error {
	if err := transforms.DecodeWords(config, dataset.MaxStepConfig, v); err != nil {
		return fmt.Errorf("%w: %s: %w", transforms.ErrConfig, name, err)
	}
	return nil
}

func wrong(name, f string, a ...any) error {
	return fmt.Errorf("%w: %s: %s", transforms.ErrConfig, name, fmt.Sprintf(f, a...))
}

// Fields of a file, beside its bytes: conditions name them as they name columns.
const (
	fieldName      = "name"
	fieldFolder    = "folder"
	fieldExtension = "extension"
)

// checkField refuses a field that no record of the schema can have. JSON records may have any.
func checkField(name, field string, in transforms.Schema) error {
	switch in.Format {
	case dataset.FormatCSV:
		for _, c := range in.Columns {
			if c == field {
				return nil
			}
		}
		return wrong(name, "no column is named %q; there are %s", field, strings.Join(in.Columns, ", "))
	case dataset.FormatFiles:
		if field != "" && field != fieldName && field != fieldFolder && field != fieldExtension {
			return wrong(name, "a file has no field %q; there are name, folder and extension, and \"\" for its bytes", field)
		}
	}
	return nil
}

// each calls f with the texts of a field until it returns false: of JSON arrays there are several, of what is missing none.
func each(r *transforms.Record, field string, f func(text []byte, k transforms.Kind) bool) {
	if field != "" && r.Name != "" {
		folder, last := "", r.Name
		if i := strings.LastIndexByte(r.Name, '/'); i >= 0 {
			folder, last = r.Name[:i], r.Name[i+1:]
		}
		switch field {
		case fieldName:
			f([]byte(last), transforms.Text)
		case fieldFolder:
			f([]byte(folder), transforms.Text)
		case fieldExtension:
			if i := strings.LastIndexByte(last, '.'); i >= 0 {
				f([]byte(last[i:]), transforms.Text)
			}
		}
		return
	}
	fields := r.Fields()
	for i := range fields {
		if fields[i].Path == field && !f(fields[i].Text, fields[i].Kind) {
			return
		}
	}
}

// fraction is a ratio of whole numbers, so that it means the same on every machine.
type fraction struct{ num, den uint64 }

// parseFraction reads "1/8" or "0.125".
func parseFraction(s string) (f fraction, ok bool) {
	if a, b, found := strings.Cut(s, "/"); found {
		num, err1 := strconv.ParseUint(a, 10, 32)
		den, err2 := strconv.ParseUint(b, 10, 32)
		return fraction{num, den}, err1 == nil && err2 == nil && den > 0
	}
	whole, digits, _ := strings.Cut(s, ".")
	if whole == "" || len(digits) > 9 || len(whole) > 9 {
		return f, false
	}
	n, err := strconv.ParseUint(whole+digits, 10, 64)
	f = fraction{n, 1}
	for range digits {
		f.den *= 10
	}
	return f, err == nil
}

// below reports whether x, of 2⁶⁴, is below the fraction.
func (f fraction) below(x uint64) bool {
	high, _ := bits.Mul64(x, f.den)
	return high < f.num
}
