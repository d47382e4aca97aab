// SPDX-License-Identifier: Apache-2.0

package licence

import (
	"slices"
	"strings"
)

// countries are the codes that ISO 3166-1 assigns, by first letter. Codes that are only reserved (EU, UK) or left to
// users (XK) are no countries.
const countries = `
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ
BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ
DE DJ DK DM DO DZ
EC EE EG EH ER ES ET
FI FJ FK FM FO FR
GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY
HK HM HN HR HT HU
ID IE IL IM IN IO IQ IR IS IT
JE JM JO JP
KE KG KH KI KM KN KP KR KW KY KZ
LA LB LC LI LK LR LS LT LU LV LY
MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ
NA NC NE NF NG NI NL NO NP NR NU NZ
OM
PA PE PF PG PH PK PL PM PN PR PS PT PW PY
QA
RE RO RS RU RW
SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ
TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ
UA UG UM US UY UZ
VA VC VE VG VI VN VU
WF WS
YE YT
ZA ZM ZW`

// groups of countries that a creator may name; they are expanded when terms are compiled, so that a later member does
// not widen what was signed.
const (
	memberEU    = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
	memberEEA   = memberEU + " IS LI NO"
	memberDACH  = "AT CH DE"
	memberNORD  = "DK FI IS NO SE"
	memberBENE  = "BE LU NL"
	memberFVEY  = "AU CA GB NZ US"
	memberUSMCA = "CA MX US"
)

// mistaken are codes that people write for a country that has another.
const mistaken = "UK GB EL GR AN CW YU RS CS RS SU RU ZR CD BU MM TP TL FX FR DD DE"

var (
	territories = set(countries)
	groups      = map[string][]string{
		"BENELUX": strings.Fields(memberBENE), "DACH": strings.Fields(memberDACH), "EEA": strings.Fields(memberEEA),
		"EU": strings.Fields(memberEU), "FVEY": strings.Fields(memberFVEY), "NORDIC": strings.Fields(memberNORD), "USMCA": strings.Fields(memberUSMCA),
	}
)

func set(fields string) map[string]bool {
	out := map[string]bool{}
	for _, s := range strings.Fields(fields) {
		out[s] = true
	}
	return out
}

// IsTerritory reports whether code is assigned by ISO 3166-1 alpha-2.
func IsTerritory(code string) bool { return territories[code] }

// Groups are the names that [Expand] knows, sorted.
func Groups() []string {
	var out []string
	for g := range groups {
		out = append(out, g)
	}
	slices.Sort(out)
	return out
}

// Expand turns codes and names of groups into what [Licence] holds: sorted codes, or "*" alone.
func Expand(names []string) ([]string, error) {
	if len(names) == 1 && names[0] == Worldwide {
		return []string{Worldwide}, nil
	}
	var out []string
	for _, n := range names {
		switch members, ok := groups[n]; {
		case n == Worldwide:
			return nil, invalid("territory %q is everywhere and stands alone", n)
		case ok:
			out = append(out, members...)
		case IsTerritory(n):
			out = append(out, n)
		default:
			return nil, unknownTerritory(n)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return out, validateTerritories(out)
}

func unknownTerritory(n string) error {
	if up := strings.ToUpper(n); IsTerritory(up) || groups[up] != nil {
		return invalid("territory %q: write %q", n, up)
	}
	pairs := strings.Fields(mistaken)
	for i := 0; i < len(pairs); i += 2 {
		if strings.EqualFold(pairs[i], n) {
			return invalid("territory %q: ISO 3166-1 says %q", n, pairs[i+1])
		}
	}
	return invalid("territory %q is neither an ISO 3166-1 alpha-2 code nor one of the groups %s", n, strings.Join(Groups(), ", "))
}

// Countries are all codes that ISO 3166-1 assigns, sorted.
func Countries() []string { return strings.Fields(countries) }
