// SPDX-License-Identifier: Apache-2.0

package scan

import "github.com/glovebox-dev/glovebox/transforms/redact/span"

// Recogniser describes what finds a kind of data, for documents.
type Recogniser struct {
	Rule   string // as in span.Finding
	Type   span.Type
	Finds  string
	Source string // where the form is laid down
}

// Recognisers lists all rules of this package, by type.
func Recognisers() []Recogniser {
	return []Recogniser{
		{"email", span.Email, "addresses, also with a quoted local part, an address literal or letters beyond ASCII; names of messages score low", "RFC 5321, RFC 5322, RFC 6531"},
		{"url", span.URL, "any scheme with //; e-mail and IP addresses in it are found too", "RFC 3986, RFC 3987"},
		{"url-without-scheme", span.URL, "a domain name that begins with www. or that a path follows", "RFC 3986"},
		{"domain", span.Domain, "names whose last label is delegated; endings that are words or endings of file names score low", "RFC 1035, RFC 5890; IANA's root zone"},
		{"ipv4", span.IP, "dotted quads, with the length of a prefix", "RFC 791, RFC 4632"},
		{"ipv6", span.IP, "whole, shortened and mapped addresses, with zone and length of a prefix", "RFC 4291, RFC 4007, RFC 5952"},
		{"mac", span.MAC, "six or eight pairs with colons or dashes, three fours with dots", "IEEE 802, EUI-48 and EUI-64"},
		{"phone-international", span.Phone, "a + or 00, a calling code in use, up to 15 digits, extension", "ITU-T E.164, E.123; RFC 3966"},
		{"phone-national", span.Phone, "the forms of the North American plan; trunk prefix and groups, area code in parentheses, pairs; other forms by words near them", "ITU-T E.123; NANP"},
		{"card", span.CreditCard, "12 to 19 digits, in groups or not; the issuer's range, length, grouping and check digit move the score", "ISO/IEC 7812-1"},
		{"iban", span.IBAN, "the lengths of all countries, spaced or not, in either case; the check digits move the score", "ISO 13616, ISO 7064"},
		{"bic", span.BIC, "8 or 11 characters with the code of a country, where words near them or the form say so", "ISO 9362"},
		{"crypto-base58", span.Crypto, "Bitcoin, Litecoin, Dogecoin, Dash, Zcash, Tron, XRP, by their checksum", "Base58Check"},
		{"crypto-bech32", span.Crypto, "Bitcoin, Litecoin, Cardano, Cosmos, by their checksum", "BIP 173, BIP 350"},
		{"crypto-ethereum", span.Crypto, "0x and 40 hexadecimal digits", "EIP-55"},
		{"crypto-monero", span.Crypto, "95 or 106 characters of base58 that begin with 4 or 8", "the Monero address format"},
		{"crypto-stellar", span.Crypto, "56 characters of base32 that begin with G", "SEP-23"},
		{"date-numeric", span.Date, "year first or last, day and month in either order, with a time; time stamps that begin a line score low", "ISO 8601"},
		{"date-compact", span.Date, "eight digits, if words near them speak of birth", "ISO 8601, basic format"},
		{"date-named", span.Date, "names of months in ten languages, with weekday, time and zone; years, months and days of East Asia", "RFC 5322, CLDR's usual forms"},
		{"year-of-birth", span.Date, "a year after a word for birth", "usage"},
		{"weekday", span.Date, "an English weekday by itself; it scores below the usual threshold", "usage"},
		{"date-relative", span.Date, "today, yesterday; they score very low", "usage"},
		{"time", span.Date, "a time of day by itself; it scores low", "ISO 8601, usage"},
		{"age", span.Age, "a number of years with words that make it an age, in nine languages", "usage"},
		{"gps-decimal", span.GPS, "two decimal degrees with three digits after the point or more", "ISO 6709"},
		{"gps-degrees", span.GPS, "degrees and minutes, with seconds and sides", "ISO 6709"},
		{"gps-uri", span.GPS, "geo: URIs", "RFC 5870"},
	}
}
