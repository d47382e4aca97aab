// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// address makes a whole postal address; lines of it are split by newline where multi is set, by commas or spaces where not.
func (g *generator) address(multi bool) string {
	parts := g.addressParts()
	if g.r.Intn(12) == 0 { // every break another one, as forms and exports make them
		var b strings.Builder
		for i, p := range parts {
			if i > 0 {
				b.WriteString(pick(g.r, []string{", ", ", ", " ", "\n", "\n", ",\n", " - ", " / "}))
			}
			b.WriteString(p)
		}
		return b.String()
	}
	if !multi {
		sep := pick(g.r, []string{", ", ", ", ", ", ", ", " ", " ", " - ", "; "})
		return strings.Join(parts, sep)
	}
	sep := pick(g.r, []string{"\n", "\n", "\n", "\n ", ",\n", "\n\t", "\n    "})
	return strings.Join(parts, sep)
}

// addressParts are the lines of an address in one of the world's usual orders.
func (g *generator) addressParts() []string {
	r := g.r
	var parts []string
	switch n := r.Intn(100); {
	case n < 38:
		parts = g.american()
	case n < 50:
		parts = g.british()
	case n < 72:
		parts = g.continental()
	case n < 80:
		parts = g.spanish()
	case n < 90:
		parts = g.loose()
	case n < 94:
		parts = []string{pick(r, []string{"P.O. Box ", "PO Box ", "Postfach ", "B.P. ", "Apartado ", "Box ", "Postbus "}) + g.number(), g.town(g.city(), g.zip())}
	case n < 96:
		return []string{pick(r, []string{"PSC " + g.digits(4) + ", Box " + g.digits(4), "Unit " + g.digits(4) + " Box " + g.digits(4), "USS " + g.family(), "USNS " + g.family()}), pick(r, []string{"APO", "FPO", "DPO"}) + " " + pick(r, []string{"AA", "AE", "AP"}) + " " + g.digits(5)}
	case n < 98:
		return []string{pick(g.r, []string{"the corner of ", "corner of ", ""}) + g.street() + " and " + g.street()}
	default:
		return []string{g.streetNumber()}
	}
	if r.Intn(100) < 35 {
		parts = append(parts, g.country())
	}
	return parts
}

func (g *generator) american() []string {
	line := g.house() + " " + g.street()
	parts := []string{line}
	if g.r.Intn(100) < 40 {
		unit := g.unit()
		switch g.r.Intn(3) {
		case 0:
			parts[0] += " " + unit
		case 1:
			parts[0] += ", " + unit
		default:
			parts = append(parts, unit)
		}
	}
	state := pick(g.r, states)
	if g.r.Intn(4) == 0 {
		state = g.region()
	}
	town := g.city()
	switch g.r.Intn(10) {
	case 0:
		return append(parts, town)
	case 1:
		return append(parts, town+" "+state)
	case 2:
		return append(parts, town+", "+state)
	case 3:
		return append(parts, town, state+" "+g.usZip())
	case 4:
		return append(parts, town+" "+state+" "+g.usZip())
	}
	return append(parts, town+", "+state+" "+g.usZip())
}

var states = strings.Fields("AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY DC ON QC BC AB NSW VIC QLD")

func (g *generator) usZip() string {
	if g.r.Intn(6) == 0 {
		return g.digits(5) + "-" + g.digits(4)
	}
	return g.digits(5)
}

func (g *generator) british() []string {
	code := g.pattern(pick(g.r, []string{"??# #??", "??## #??", "?# #??", "?## #??", "??#? #??", "?#? #?#"}))
	parts := []string{}
	if g.r.Intn(3) == 0 {
		parts = append(parts, pick(g.r, []string{"Flat " + g.number(), "Unit " + g.number(), g.family() + " House", "The Old " + capital(pick(g.r, g.nouns)), "Studio " + g.number()}))
	}
	parts = append(parts, g.house()+" "+g.street())
	switch g.r.Intn(4) {
	case 0:
		return append(parts, g.city(), code)
	case 1:
		return append(parts, g.city(), g.region(), code)
	case 2:
		return append(parts, g.city()+", "+code)
	}
	return append(parts, g.city()+" "+code)
}

// continental: the number comes after the street, the code before the town.
func (g *generator) continental() []string {
	line := g.street() + " " + g.house()
	if g.r.Intn(4) == 0 {
		line = g.house() + pick(g.r, []string{" ", ", ", " bis ", " ter "}) + pick(g.r, romanceStreets) + " " + g.streetName()
	}
	parts := []string{line}
	if g.r.Intn(5) == 0 {
		parts = append(parts, g.unit())
	}
	return append(parts, g.town(g.city(), g.zip()))
}

func (g *generator) town(city, zip string) string {
	switch g.r.Intn(10) {
	case 0:
		return city + " " + zip
	case 1:
		return pick(g.r, []string{"D-", "F-", "A-", "CH-", "B-", "NL-", "I-", "E-"}) + zip + " " + city
	case 2:
		return zip + " " + strings.ToUpper(city)
	case 3:
		return zip + " " + city + " (" + pick(g.r, states) + ")"
	case 4:
		return zip + " " + city + pick(g.r, []string{" Cedex", " Cedex 0" + g.digits(1), ""})
	}
	return zip + " " + city
}

func (g *generator) zip() string {
	return g.pattern(pick(g.r, []string{"#####", "#####", "#####", "####", "####", "#### ??", "## ###", "### ##", "##-###", "####-###", "######", "#####-###"}))
}

func (g *generator) spanish() []string {
	line := pick(g.r, romanceStreets) + " " + g.streetName() + pick(g.r, []string{" ", ", ", ", nº ", " n. "}) + g.number()
	if g.r.Intn(3) == 0 {
		line += ", " + pick(g.r, []string{g.number() + "º " + string(rune('A'+g.r.Intn(6))), "piso " + g.number(), "bajo", "interno " + g.number(), "apto. " + g.number(), "scala B"})
	}
	parts := []string{line}
	if g.r.Intn(3) == 0 {
		parts = append(parts, "Col. "+g.family())
	}
	return append(parts, g.town(g.city(), g.zip()))
}

// loose addresses are those of shops' databases: the parts are there, in any order, with or without commas.
func (g *generator) loose() []string {
	parts := []string{g.house() + " " + g.street()}
	if g.r.Intn(2) == 0 {
		parts = append(parts, g.unit())
	}
	parts = append(parts, g.city())
	if g.r.Intn(3) == 0 {
		parts[len(parts)-1] = strings.ToUpper(parts[len(parts)-1])
	}
	if g.r.Intn(3) == 0 {
		parts = append(parts, g.region())
	}
	switch g.r.Intn(3) {
	case 0:
		parts = append(parts, g.country()+" "+g.zip())
	case 1:
		parts = append(parts, g.zip())
	}
	return parts
}

func (g *generator) house() string {
	n := g.number()
	switch g.r.Intn(14) {
	case 0:
		return n + string(rune('a'+g.r.Intn(4)))
	case 1:
		return n + "-" + g.number()
	case 2:
		return n + "/" + g.number()
	case 3:
		return n + string(rune('A'+g.r.Intn(4)))
	}
	return n
}

func (g *generator) unit() string {
	n := pick(g.r, []string{g.number(), g.digits(3), string(rune('A' + g.r.Intn(8))), g.number() + string(rune('A'+g.r.Intn(4)))})
	return pick(g.r, []string{"Apt ", "Apt. ", "Apartment ", "Suite ", "Ste ", "Ste. ", "Unit ", "#", "Floor ", "Room ", "Building ", "Flat ", "Bldg. ", "Appartement ", "Wohnung ", "Etage "}) + n
}

var (
	englishStreets  = strings.Split("Street|Street|Street|St|St.|St|Road|Road|Rd|Rd.|Avenue|Avenue|Ave|Ave.|Boulevard|Blvd|Blvd.|Drive|Drive|Dr|Dr.|Lane|Lane|Ln|Court|Ct|Ct.|Place|Pl|Square|Terrace|Way|Way|Highway|Hwy|Parkway|Pkwy|Circle|Cir|Trail|Crescent|Close|Gardens|Grove|Hill|Mews|Row|Walk|Quay|Plaza|Park|Green|Heights|Loop|Ridge|Point|View|Parade", "|")
	romanceStreets  = strings.Split("rue|rue de|rue du|rue des|avenue|avenue de|boulevard|place|chemin|impasse|allée|quai|cours|Rue|Avenue|Place|Via|via|Viale|Piazza|Corso|Vicolo|Largo|Strada|Calle|Calle|C/|Avenida|Avda.|Av.|Paseo|Plaza|Camino|Carretera|Ronda|Rua|R.|Travessa|Praça|Alameda|Estrada|Carrera|ul.|ulica|aleja|al.|pl.|Jalan|Jl.|Strada|Bulevardul|str.|улица|ул.|проспект|Οδός", "|")
	germanicEnds    = strings.Split("straße|straße|strasse|str.|weg|gasse|platz|allee|ring|damm|ufer|straat|straat|laan|weg|plein|kade|gracht|dreef|steenweg|singel|gatan|gatan|vägen|väg|stigen|torget|gade|vej|vej|vænget|stræde|veien|vei|gata|gate|bakken|katu|tie|kuja|polku", "|")
	germanicApart   = strings.Split("Straße|Strasse|Str.|Weg|Allee|Platz|Ring|utca|út|tér|körút|u.|ulica|ulice|náměstí|trg|cesta|Sokak|Sok.|Caddesi|Cad.|Bulvarı|tänav|tee|iela|gatvė|g.|Vej|Allé|straat|laan", "|")
	directions      = strings.Split("N|S|E|W|North|South|East|West|N.|S.|E.|W.|NW|NE|SW|SE", "|")
	streetPlainWord = strings.Fields("Main Oak Park Elm Cedar Maple Pine Church High Station Mill Lake Hill Washington Victoria King Queen Market Bridge Spring River School Chestnut Walnut Garden Bahnhof Haupt Dorf Schul Kirch Garten Berg Wald Linden Kerk Dorps Molen Stor Kyrk Skol Nørre Vester Øster Grand Sunset Broadway Jefferson Lincoln Franklin First Second Third Fourth Fifth Ninth Tenth")
)

// streetName is what a street is called, without the word street.
func (g *generator) streetName() string {
	r := g.r
	switch n := r.Intn(100); {
	case n < 30:
		return g.family()
	case n < 45:
		return g.given() + " " + g.family()
	case n < 65:
		return pick(r, streetPlainWord)
	case n < 72:
		return pick(r, g.lex.streets)
	case n < 80:
		return g.city()
	case n < 85:
		return capital(pick(r, g.nouns)) + " " + capital(pick(r, g.nouns))
	case n < 90:
		return fmt.Sprintf("%d%s", 1+r.Intn(120), pick(r, []string{"th", "th", "st", "nd", "rd"}))
	}
	return g.invented(3)
}

func (g *generator) street() string {
	r := g.r
	switch n := r.Intn(100); {
	case n < 48:
		s := g.streetName() + " " + pick(r, englishStreets)
		if r.Intn(8) == 0 {
			s = pick(r, directions) + " " + s
		}
		if r.Intn(16) == 0 {
			s += " " + pick(r, directions)
		}
		return s
	case n < 65:
		name := pick(r, []string{g.family(), pick(r, streetPlainWord), g.city(), g.given(), g.invented(2)})
		return capital(strings.ToLower(strings.ReplaceAll(name, " ", "")) + pick(r, germanicEnds))
	case n < 76:
		return g.streetName() + " " + pick(r, germanicApart)
	case n < 92:
		return pick(r, romanceStreets) + " " + g.streetName()
	case n < 96:
		return g.streetName() // Broadway, Holmevej
	}
	return pick(r, []string{"Highway ", "Route ", "State Route ", "County Road ", "Autopista ", "Carretera ", "Interstate "}) + g.number()
}

func (g *generator) streetNumber() string {
	if g.r.Intn(2) == 0 {
		return g.house() + " " + g.street()
	}
	return g.street() + " " + g.house()
}

// namedStreet is a street without a number, one that its form shows to be a street.
func (g *generator) namedStreet() string {
	for range 20 {
		s := g.street()
		for _, end := range []string{" Street", " Road", " Avenue", " Lane", " Drive", " Boulevard", " Square", "straße", "strasse", "straat", "gatan", "vej", "laan", " út", " utca"} {
			if strings.HasSuffix(s, end) {
				return s
			}
		}
	}
	return g.streetName() + " Street"
}
