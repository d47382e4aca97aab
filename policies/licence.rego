# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Licence
# description: |
#   The clauses of the owner's licence that a job's declared use must keep. They bind what is made of data; code is used
#   by its own owner. That outputs are what the licence is for is decided in egress.
package glovebox.licence

default ok := false

ok if {
	commercial_ok
	derivatives_ok
	prohibited_ok
	territory_ok
}

default commercial_ok := false

commercial_ok if input.job.commercial == false

commercial_ok if input.terms.licence.commercial == true

commercial_ok if input.package.kind == "code"

default derivatives_ok := false

derivatives_ok if input.job.derive == false

derivatives_ok if input.terms.licence.derivatives == true

derivatives_ok if input.package.kind == "code"

# A purpose that is prohibited stays so where it is allowed too. The list must be there, if only empty.
default prohibited_ok := false

prohibited_ok if {
	input.job.purpose != ""
	is_array(input.terms.licence.prohibited)
	not input.job.purpose in input.terms.licence.prohibited
}

prohibited_ok if input.package.kind == "code"

default territory_ok := false

territory_ok if {
	input.terms.licence.territories == ["*"]
	input.job.territory in countries
}

territory_ok if {
	input.terms.licence.territories == ["*"]
	input.job.territory == "*"
}

territory_ok if {
	input.job.territory in countries
	input.job.territory in input.terms.licence.territories
}

territory_ok if input.package.kind == "code"

# ISO 3166-1 alpha-2: what is no country is nowhere.
countries := {
	"AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ", "BA", "BB", "BD",
	"BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS", "BT", "BV", "BW", "BY", "BZ", "CA",
	"CC", "CD", "CF", "CG", "CH", "CI", "CK", "CL", "CM", "CN", "CO", "CR", "CU", "CV", "CW", "CX", "CY", "CZ", "DE",
	"DJ", "DK", "DM", "DO", "DZ", "EC", "EE", "EG", "EH", "ER", "ES", "ET", "FI", "FJ", "FK", "FM", "FO", "FR", "GA",
	"GB", "GD", "GE", "GF", "GG", "GH", "GI", "GL", "GM", "GN", "GP", "GQ", "GR", "GS", "GT", "GU", "GW", "GY", "HK",
	"HM", "HN", "HR", "HT", "HU", "ID", "IE", "IL", "IM", "IN", "IO", "IQ", "IR", "IS", "IT", "JE", "JM", "JO", "JP",
	"KE", "KG", "KH", "KI", "KM", "KN", "KP", "KR", "KW", "KY", "KZ", "LA", "LB", "LC", "LI", "LK", "LR", "LS", "LT",
	"LU", "LV", "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK", "ML", "MM", "MN", "MO", "MP", "MQ", "MR", "MS",
	"MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA", "NC", "NE", "NF", "NG", "NI", "NL", "NO", "NP", "NR", "NU", "NZ",
	"OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM", "PN", "PR", "PS", "PT", "PW", "PY", "QA", "RE", "RO", "RS",
	"RU", "RW", "SA", "SB", "SC", "SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL", "SM", "SN", "SO", "SR", "SS", "ST",
	"SV", "SX", "SY", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO", "TR", "TT", "TV", "TW",
	"TZ", "UA", "UG", "UM", "US", "UY", "UZ", "VA", "VC", "VE", "VG", "VI", "VN", "VU", "WF", "WS", "YE", "YT", "ZA",
	"ZM", "ZW",
}
