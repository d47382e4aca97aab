// SPDX-License-Identifier: Apache-2.0

package national

import (
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/transforms/redact/context"
)

// table is all recognisers. Where two are as likely as each other, the earlier one is taken.
var table = slices.Concat(unitedStates, english, europe, north, east, asia, latin, general)

// Recognisers are all that are known, for documents.
func Recognisers() []Recogniser {
	all := slices.Clone(table)
	for i := range all {
		for n, words := range shared {
			all[i].Words = strings.Replace(all[i].Words, "#"+string(rune('0'+n)), words, 1)
		}
	}
	return all
}

// Words that name such a number in English whatever the country. In a recogniser's words they stand by a sign and their place here, so that each
// is compiled once.
const (
	idWords       = "#0"
	taxWords      = "#1"
	vatWords      = "#2"
	passportWords = "#3"
	driverWords   = "#4"
	plateWords    = "#5"
	socialWords   = "#6"
	healthWords   = "#7"
	companyWords  = "#8"
)

var shared = [...]string{
	"national id|national identity|identity number|id number|identity card|id card|personal number|citizen id|resident id|" +
		"national identification number|identification number|identity no|id no|personal id|personal code|personal identification|" +
		"nin",
	"tax id|tax number|tax no|tax identification|taxpayer|taxpayer id|tax file|tin|tax code|tax reference|tax reg",
	"vat|vat number|vat id|vat no|vat reg|vat registration",
	"passport|passport number|passport no|travel document",
	"driver's license|drivers license|driver license|driver's licence|drivers licence|driver licence|driving licence|" +
		"driving license|license number|licence number|license no|licence no|dl number|dl no|dl|driver's lic|driver's permit",
	"license plate|licence plate|number plate|plate number|plate|plates|vehicle registration|registration plate|vehicle|" +
		"vehicle number|car registration",
	"social security|social security number|social insurance|social insurance number|insurance number",
	"health insurance|health card|health number|health insurance number|patient|patient id",
	"company number|company no|company registration|business number|registration number|business registration|company id|" +
		"enterprise number",
}

// Topics that are no recogniser's.
const (
	elsewhere   context.Topic = 255
	firstPlace  context.Topic = 205
	firstShared context.Topic = 195
)

// elsewhereWords say that a number is something else.
const elsewhereWords = "invoice|invoice number|order|order number|order no|order id|isbn|issn|ean|upc|gtin|asin|sku|part number|part no|model|item number|item" +
	"|product|product code|tracking|tracking number|shipment|ticket|ticket number|version|build|release|revision|commit|port|timestamp|size|bytes" +
	"|price|total|amount|usd|eur|gbp|phone|telephone|tel|fax|mobile|cell|call|whatsapp|telefon|telefono|téléphone|telefone|handy|hotline|extension|pmid|doi|arxiv" +
	"|message id|msg id|esmtp id|smtp id|esmtp|uidl|etag|checksum|md5|sha|hash|rechnung|rechnungsnummer|bestellnummer|bestellung|facture|commande|factura|pedido|fattura|ordine|fatura|faktura|case|page|pages|line|room"

// places are countries that more than one recogniser is of, or whose numbers look like another's.
var places = [...]struct{ country, words string }{
	{"US", "us|usa|united states|american|u s"},
	{"GB", "uk|british|united kingdom|england|hmrc|dvla|nhs"},
	{"DE", "german|germany|deutschland|deutsch|deutscher|deutsche"},
	{"IT", "italian|italy|italia|italiano|italiana"},
	{"ES", "spanish|spain|españa|español|española"},
	{"FR", "french|france|français|française"},
	{"PL", "polish|poland|polska|polski"},
	{"SG", "singapore|singaporean"},
	{"AU", "australian|australia"},
	{"NZ", "new zealand"},
	{"IN", "indian|india"},
	{"KR", "korean|korea|한국"},
	{"NG", "nigerian|nigeria"},
	{"PH", "philippine|philippines|filipino"},
	{"CA", "canadian|canada"},
	{"ZA", "south african|south africa|rsa"},
	{"TR", "turkish|turkey|türkiye"},
	{"SE", "swedish|sweden|sverige"},
	{"NO", "norwegian|norway|norge"},
	{"DK", "danish|denmark|danmark"},
	{"FI", "finnish|finland|suomi"},
	{"NL", "dutch|netherlands|nederland"},
	{"BE", "belgian|belgium|belgië|belgique"},
	{"CH", "swiss|switzerland|schweiz|suisse"},
	{"AT", "austrian|austria|österreich"},
	{"PT", "portuguese|portugal"},
	{"BR", "brazilian|brazil|brasil"},
	{"MX", "mexican|mexico"},
	{"AR", "argentine|argentina"},
	{"CL", "chilean|chile"},
	{"CO", "colombian|colombia"},
	{"PE", "peruvian|peru"},
	{"CN", "chinese|china|中国"},
	{"JP", "japanese|japan|日本"},
	{"TH", "thai|thailand"},
	{"ID", "indonesian|indonesia"},
	{"MY", "malaysian|malaysia"},
	{"IL", "israeli|israel"},
	{"IE", "irish|ireland"},
	{"CZ", "czech|česká|slovak|slovakia"},
	{"HU", "hungarian|hungary"},
	{"RO", "romanian|romania"},
	{"BG", "bulgarian|bulgaria"},
	{"GR", "greek|greece"},
	{"RU", "russian|russia"},
	{"UA", "ukrainian|ukraine"},
	{"VN", "vietnamese|vietnam"},
	{"TW", "taiwanese|taiwan"},
}

// placeOf is the country's topic.
func placeOf(country string) (context.Topic, bool) {
	for i := range places {
		if places[i].country == country {
			return firstPlace + context.Topic(i), true
		}
	}
	return 0, false
}
