// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Some values are personal only because of what they are called: a user name, a password, "Li" under lastName. The name of a column or a
// member says it, or in a text a word before a colon.

const ruleLabel = "label"

// labels are names of values, in words of small letters, by the type that they say. What stands before such a name may be anything.
var labels = func() map[string]span.Type {
	m := map[string]span.Type{}
	for _, l := range [...]struct {
		kind  span.Type
		names string
	}{
		{span.Person, "first name|firstname|fname|given name|givenname|forename|last name|lastname|lname|family name|familyname|surname|middle name|middlename|" +
			"maiden name|full name|fullname|customer name|client name|patient name|employee name|contact name|person name|owner name|cardholder|cardholder name|" +
			"account holder|student name|vorname|nachname|prenom|nom de famille|nombre completo|apellido|apellidos|cognome|achternaam|voornaam"},
		{span.Username, "username|user name|login|login name|screen name|handle|nickname|twitter|instagram|benutzername"},
		{span.Password, "password|passwd|pwd|passphrase|passwort|contrasena|mot de passe|api key|apikey|secret key|access token"},
		{span.Medical, "mrn|medical record|medical record number|medical record no|patient id|patient number"},
		{span.IDNumber, "customer id|customer number|customer no|client id|client number|employee id|employee number|member id|member number|policy number|policy no|" +
			"account number|account no|account id|student id|kundennummer|personalnummer"},
		{span.CVV, "cvv|cvv2|cvc|cvc2|csc|card security code"},
		{span.Date, "dob|birth date|birthdate|date of birth|birthday|birth year|year of birth|geburtsdatum|date de naissance|fecha de nacimiento"},
		{span.GPS, "lat|latitude|lon|lng|long|longitude"},
		{span.Address, "zip|zip code|zipcode|postal code|postalcode|postcode|post code|plz|postleitzahl|code postal|codigo postal"},
		{span.Phone, "phone|phone number|telephone|tel|mobile|cell|cell phone|fax|telefon|telefono|handy"},
	} {
		for _, name := range strings.Split(l.names, "|") {
			m[name] = l.kind
		}
	}
	return m
}()

// silent are names of values that say nothing of what is in them: a "text" is no telephone number for that.
var silent = func() map[string]bool {
	m := map[string]bool{}
	for _, name := range strings.Split("text|note|notes|message|messages|msg|body|content|contents|comment|comments|description|value|values|data|line|lines", "|") {
		m[name] = true
	}
	return m
}()

// labelWords is a label in words of small letters: "patientFirst_Name2" is "patient first name".
func labelWords(label string) string {
	var b []byte
	lower, gap := false, false
	for i := 0; i < len(label); {
		r, n := utf8.DecodeRuneInString(label[i:])
		i += n
		if !unicode.IsLetter(r) {
			gap = gap || r != '\''
			lower = false
			continue
		}
		if (gap || lower && unicode.IsUpper(r)) && len(b) > 0 {
			b = append(b, ' ')
		}
		gap, lower = false, unicode.IsLower(r)
		b = utf8.AppendRune(b, unaccented(unicode.ToLower(r)))
	}
	return string(b)
}

// unaccented takes the accents off the letters that the labels above have.
func unaccented(r rune) rune {
	switch r {
	case 'á':
		return 'a'
	case 'é', 'è', 'ê':
		return 'e'
	case 'ó', 'ô':
		return 'o'
	case 'ñ':
		return 'n'
	}
	return r
}

// says is the type that a label says, "" if none.
func says(words string) span.Type {
	for {
		if kind, ok := labels[words]; ok {
			return kind
		}
		_, rest, more := strings.Cut(words, " ")
		if !more {
			return ""
		}
		words = rest
	}
}

// labelledWhole replaces findings by one of the whole value, if its label says what it is, it looks like that, and nothing else is the whole.
func (d *Detector) labelledWhole(found []span.Finding, words string, text []byte) []span.Finding {
	kind := says(words)
	start, end := trimSpace(text)
	if words == "name" && len(found) > 0 && found[0].Type == span.Person { // of a person, then
		kind = span.Person
	}
	least, wanted := d.least[kind]
	if kind == "" || !wanted || least > span.Strong || !fits(kind, text[start:end]) {
		return found
	}
	for i := range found {
		if found[i].Start <= start && found[i].End >= end && found[i].Type != span.Location && found[i].Type != span.Organisation {
			return found
		}
	}
	whole := d.disallow([]span.Finding{{Type: kind, Start: start, End: end, Score: span.Strong, Rule: ruleLabel, Why: span.ByContext}}, text)
	if len(whole) == 0 {
		return found
	}
	return append(found[:0], whole...)
}

func trimSpace(text []byte) (start, end int) {
	start = len(text) - len(bytes.TrimLeft(text, " \t\r\n"))
	return start, start + len(bytes.TrimSpace(text))
}

// fits reports whether a value may be what its label says.
func fits(kind span.Type, v []byte) bool {
	digits, letters, spaces, others := tally(v)
	switch kind {
	case span.Person:
		return digits == 0 && letters > 0 && spaces < 6 && others < 6 && !bytes.ContainsAny(v, "@<>{}/:;\\")
	case span.Username:
		return digits+letters > 0 && spaces == 0
	case span.Password:
		return len(v) > 0
	case span.Medical, span.IDNumber:
		return digits > 2 && spaces < 3 && len(v) <= 32
	case span.CVV:
		return digits == len(v) && digits >= 3 && digits <= 4
	case span.Date:
		return digits == len(v) && (digits == 4 || digits == 6 || digits == 8)
	case span.GPS:
		return digits > 2 && letters+spaces == 0 && others <= 2 && bytes.IndexByte(v, '.') >= 0
	case span.Address:
		return digits >= 2 && len(v) <= 11
	case span.Phone:
		return digits >= 7 && digits <= 16 && letters <= 1 && len(v) <= 24
	}
	return false
}

func tally(v []byte) (digits, letters, spaces, others int) {
	for _, c := range v {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c|0x20 >= 'a' && c|0x20 <= 'z' || c >= utf8.RuneSelf:
			letters++
		case c == ' ':
			spaces++
		default:
			others++
		}
	}
	return digits, letters, spaces, others
}
