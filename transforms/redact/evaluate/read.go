// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrFormat is a file with labels that is in none of the forms that [Read] knows, or contradicts itself.
var ErrFormat = errors.New("evaluate: not a labelled text")

// document is the union of the forms of labelled sets. Offsets are code points in all of them.
type document struct {
	// Ours, one object a line: {"doc", "text", "spans": [{"type","start","end"}]}.
	Doc  string `json:"doc"`
	Text string `json:"text"`
	// Presidio research.
	FullText string `json:"full_text"`
	Spans    []struct {
		Type       string `json:"type"`
		EntityType string `json:"entity_type"`
		Value      string `json:"entity_value"`
		Start      int    `json:"start"`
		End        int    `json:"end"`
		From       int    `json:"start_position"`
		To         int    `json:"end_position"`
	} `json:"spans"`
	// DataFog.
	ID       string `json:"id"`
	Input    string `json:"input"`
	Entities []struct {
		Type  string `json:"type"`
		Text  string `json:"text"`
		Start int    `json:"start"`
		End   int    `json:"end"`
	} `json:"expected_entities"`
}

// Read reads labelled texts: a JSON array or JSON Lines, of Presidio's research repository, of DataFog's, or of our own form.
// Labels of the types in ignored become [Document.Ignored].
func Read(b []byte, ignored ...string) ([]Document, error) {
	var raw []document
	if err := json.Unmarshal(b, &raw); err != nil {
		raw = nil
		d := json.NewDecoder(strings.NewReader(string(b)))
		for d.More() {
			var x document
			if err := d.Decode(&x); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrFormat, err)
			}
			raw = append(raw, x)
		}
	}
	out := make([]Document, 0, len(raw))
	for i := range raw {
		d, err := raw[i].document(i)
		if err != nil {
			return nil, err
		}
		kept := d.Labels[:0]
		for _, s := range d.Labels {
			if contains(ignored, s.Type) {
				d.Ignored = append(d.Ignored, s)
			} else {
				kept = append(kept, s)
			}
		}
		d.Labels = kept
		out = append(out, d)
	}
	return out, nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (x *document) document(i int) (Document, error) {
	d := Document{ID: x.Doc + x.ID, Text: x.Text + x.FullText + x.Input}
	if d.ID == "" {
		d.ID = strconv.Itoa(i)
	}
	for _, s := range x.Spans {
		d.Labels = append(d.Labels, Span{s.Type + s.EntityType, s.Start + s.From, s.End + s.To})
	}
	for _, s := range x.Entities {
		d.Labels = append(d.Labels, Span{s.Type, s.Start, s.End})
	}
	n := utf8.RuneCountInString(d.Text)
	for _, s := range d.Labels {
		if s.Type == "" || s.Start < 0 || s.End <= s.Start || s.End > n {
			return d, fmt.Errorf("%w: document %s has a label at %d to %d of %d", ErrFormat, d.ID, s.Start, s.End, n)
		}
	}
	return d, nil
}

// synonyms are names that labelled sets have for types of ours. Parts of addresses are one with places: sets do not agree where
// a place ends and an address begins.
var synonyms = map[string]string{
	"EMAIL": "EMAIL_ADDRESS", "PHONE": "PHONE_NUMBER", "SSN": "US_SSN", "DATE": "DATE_TIME", "TIME": "DATE_TIME", "DOB": "DATE_TIME", "AGE": "DATE_TIME",
	"DOMAIN_NAME": "URL", "GPE": "LOCATION", "LOC": "LOCATION", "ADDRESS": "LOCATION", "STREET_ADDRESS": "LOCATION", "ZIP_CODE": "LOCATION",
	"CITY": "LOCATION", "COUNTRY": "LOCATION", "STATE": "LOCATION", "STREET": "LOCATION", "FAC": "LOCATION", "US_ZIP_CODE": "LOCATION", "UK_POSTCODE": "LOCATION", "ORG": "ORGANIZATION", "PER": "PERSON", "NAME": "PERSON",
	"IBAN": "IBAN_CODE", "DE_IBAN": "IBAN_CODE", "BIC": "SWIFT_CODE", "IPV4": "IP_ADDRESS", "IPV6": "IP_ADDRESS", "CARD": "CREDIT_CARD",
}

// Canonical gives a type's name in comparisons.
func Canonical(kind string) string {
	if s, ok := synonyms[kind]; ok {
		return s
	}
	return kind
}
