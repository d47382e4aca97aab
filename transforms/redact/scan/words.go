// SPDX-License-Identifier: Apache-2.0

package scan

import "github.com/glovebox-dev/glovebox/transforms/redact/context"

// What words near a finding speak of.
const (
	topicPhone context.Topic = iota
	topicCard
	topicBank
	topicBIC
	topicIP
	topicMAC
	topicBorn
	topicDate
	topicAge
	topicPlace
	topicCoin
	topicSite
	topicOther   // a number of another kind: orders, parts, books, money
	topicVersion // releases, which have the form of addresses and dates
	topicCode    // programs
	topicNone    // no phrase has it
)

// entries are the phrases, in the languages that the recognisers know: English, German, French, Spanish, Italian, Portuguese, Dutch,
// and for telephones some of the Nordic, Slavic, Turkish and East Asian words too.
var entries = [...]context.Entry{
	{Topic: topicPhone, Phrases: "phone|phones|telephone|tel|ph|mobile|mob|cell|cellphone|fax|faxes|call|calls|called|calling|dial|dialed|dialled|ring|reach|text|sms|whatsapp|viber|telegram|signal|contact|contacts|voicemail|hotline|helpline|" +
		"landline|extension|ext|callback|answering|answer|office|switchboard|reception|toll free|freephone|pager|paging|imessage|telefax|reached|phoned|phoning|emergency line|my number|your number|main line|direct line|desk|call me at|home number|work number|day time number|" +
		"telefon|telefonnummer|rufnummer|handy|handynummer|mobil|mobilnummer|mobiltelefon|festnetz|anrufen|anruf|ruf|rufen|durchwahl|fon|fernruf|erreichbar|erreichen|faxnummer|" +
		"telephoner|appeler|appelez|appel|portable|mobile|fixe|numero de telephone|joindre|joignable|telecopie|telecopieur|" +
		"telefono|llamar|llame|llamame|llama|movil|celular|fijo|numero de telefono|contacto|contactar|telefonos|" +
		"cellulare|chiamare|chiamami|chiama|chiamate|recapito|fisso|recapiti|numero verde|centralino|" +
		"telefone|telemovel|ligar|ligue|telemoveis|whats|zap|contato|fone|" +
		"telefoon|telefoonnummer|mobiel|bellen|bel|gsm|vast|bereikbaar|06 nummer|" +
		"puhelin|puh|puhelinnumero|matkapuhelin|soita|tlf|tlf nr|ring|ringe|ringa|mobilnummer|telefonnr|tfn|tel nr|telefonszam|telefonu|telefonum|cep|cep tel|ara|zadzwon|komorka|komorkowy|numer telefonu|telefonni cislo|volat|volejte|zavolat|" +
		"телефон|тел|моб|мобильный|звоните|звонить|позвонить|факс|τηλεφωνο|κινητο|τηλ|电话|電話|手机|手機|携帯|联系|連絡|联络|傳真|传真|전화|휴대폰|연락처|핸드폰|फोन|मोबाइल|هاتف|جوال|טלפון|נייד|โทร|điện thoại|di động|sđt"},
	{Topic: topicCard, Phrases: "card|cards|credit|debit|visa|mastercard|master card|amex|american express|discover|diners|jcb|maestro|unionpay|cc|ccn|pan|cvv|cvc|card number|charged|payment|expires|expiry|exp|pay|paid|" +
		"kreditkarte|kreditkartennummer|karte|kartennummer|carte|carte bancaire|carte de credit|cb|tarjeta|tarjeta de credito|carta|carta di credito|cartao|cartao de credito|creditcard|kaart|karta|kort|kortti|kredi karti|карта|卡号|信用卡|银行卡|カード|카드"},
	{Topic: topicBank, Phrases: "iban|account|bank|bank account|account number|wire|transfer|konto|kontonummer|bankverbindung|uberweisung|ueberweisung|compte|virement|rib|cuenta|transferencia|conto|bonifico|coordinate bancarie|conta|rekening|rekeningnummer|overschrijving|sepa|beneficiary|remit|deposit|konto nr|rachunek|numer konta|счет|счёт|账号|口座"},
	{Topic: topicBIC, Phrases: "swift|bic|swift code|bic code|swiftcode|bank code|bank identifier|codigo swift|code swift|codice swift|codice bic|iban"},
	{Topic: topicIP, Phrases: "ip|ips|ipv4|ipv6|ip address|address|addr|host|hosts|server|servers|dns|nameserver|gateway|router|subnet|netmask|network|ping|traceroute|login|logged|client|remote|peer|proxy|vpn|lan|wan|relay|received|connect|connected|connection|adresse|direccion|indirizzo|endereco|adres|blocked|ip adresse|adresse ip|direccion ip"},
	{Topic: topicMAC, Phrases: "mac|mac address|ethernet|hardware|hwaddr|ether|bssid|bluetooth|wifi|wlan|nic|adapter|device|physical address|lladdr|eui"},
	{Topic: topicBorn, Phrases: "born|birth|dob|d o b|birthday|birthdate|date of birth|born on|yob|year of birth|geboren|geburtsdatum|geb|geburtstag|ne le|nee le|naissance|date de naissance|nacido|nacida|nacimiento|fecha de nacimiento|nato|nata|nascita|data di nascita|nascido|nascida|nascimento|geboortedatum|geboorte|fodd|fodt|fodelsedatum|fodselsdato|syntynyt|syntymaaika|urodzony|urodzona|urodzenia|narozen|narozeni|nascut|dogum|dogum tarihi|рождения|родился|родилась|出生|生年月日|생년월일"},
	{Topic: topicDate, Phrases: "date|dated|since|when|expires|expiry|expiration|valid until|issued|admitted|discharged|deceased|died|death|visit|datum|fecha|data|am|on"},
	{Topic: topicAge, Phrases: "age|aged|ages|age of|alter|alt|age de|agee de|ages de|edad|eta|idade|leeftijd|oud|ikä|wiek|возраст|年齢|年龄|years|patient|birthday|turned|turns|turning|born|male|female"},
	{Topic: topicPlace, Phrases: "gps|lat|lon|lng|long|latitude|longitude|coord|coords|coordinates|coordinate|position|location|located|geo|geolocation|map|maps|waypoint|koordinaten|standort|breite|lange|breitengrad|langengrad|coordonnees|latitud|longitud|coordenadas|ubicacion|coordinate geografiche|latitudine|longitudine|breedtegraad|lengtegraad|坐标|座標"},
	{Topic: topicCoin, Phrases: "bitcoin|btc|wallet|ethereum|eth|crypto|cryptocurrency|litecoin|ltc|dogecoin|doge|monero|xmr|address|donate|donation|tip|usdt|tether|tron|trx|ripple|xrp|dash|zcash|coin|coins|blockchain|satoshi|send"},
	{Topic: topicSite, Phrases: "website|web site|site|url|homepage|home page|visit|domain|domains|www|web|webseite|internet|link|links|site web|sitio web|sitio|pagina|pagina web|sito|sito web|hostname|host|whois|blog|http|https|browse|online"},
	{Topic: topicOther, Phrases: "isbn|isbn 10|isbn 13|issn|doi|ean|upc|gtin|asin|sku|part|part no|part number|part num|product|product code|model|model no|serial|serial number|serial no|s n|order|order no|order number|order id|orders|invoice|invoice no|invoice number|ticket|ticket id|case no|case number|ref|ref no|reference|tracking|tracking number|shipment|parcel|item|item number|catalog|catalogue|article|lot|batch|inventory|inventory code|barcode|" +
		"uuid|guid|trace|trace id|request id|session id|message id|transaction id|hash|checksum|md5|sha1|sha256|commit|revision|bug|issue|pr|rfc|cve|zip|zip code|postcode|postal code|zipcode|sequence|token|build|build id|identifier|identifiers|id|pid|uid|gid|port|bytes|offset|page|pages|pp|vol|volume|chapter|section|line|lines|price|cost|total|amount|usd|eur|gbp|dollars|euros|pounds|population|votes|timestamp|unix time|epoch|ticks|" +
		"bestellnummer|bestellung|rechnungsnummer|rechnung|artikelnummer|artikel|seriennummer|auftrag|auftragsnummer|kundennummer|teilenummer|plz|postleitzahl|sendungsnummer|commande|numero de commande|facture|reference|numero de serie|suivi|code postal|colis|pedido|factura|numero de pedido|numero de serie|seguimiento|codigo postal|ordine|fattura|numero d ordine|numero di serie|spedizione|cap|fatura|nota fiscal|encomenda|rastreio|cep|bestelling|bestelnummer|factuur|factuurnummer|serienummer|artikelnummer|postcode"},
	{Topic: topicVersion, Phrases: "version|versions|ver|v|release|released|releases|build|firmware|software|upgrade|upgraded|update|updated to|patch|kernel|driver|oid|section|chapter|figure|clause|rev|revision|snapshot|package|rpm|versie|versao|versione|ausgabe"},
	{Topic: topicCode, Phrases: "import|class|function|method|file|files|module|package|script|filename|namespace|include|object|attribute|folder|directory|open|edit|newsgroup|newsgroups"},
}
