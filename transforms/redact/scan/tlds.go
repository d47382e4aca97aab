// SPDX-License-Identifier: Apache-2.0

package scan

// Kinds of last labels. 0 is none of them.
const (
	commonTLD  = iota + 1
	countryTLD // ISO 3166-1 alpha-2, and eu, uk, su
	genericTLD
	wordTLD // also an English word
	fileTLD // also a common ending of file names, or of members in programs
	notTLD  // such an ending only: "logo@2x.png"
)

// tldLists have the last labels of domain names, by kind: the country codes that are delegated, and the generic ones that are in
// use. An address at another one is still found, with a lower score; a bare name is not.
var tldLists = [...]struct {
	kind   uint8
	labels string
}{
	{commonTLD, "com org net edu gov mil int"},
	{countryTLD, "ad ae af ag ai al ao aq ar au aw ax az ba bb bd bf bg bh bi bj bm bn bo br bs bt bv bw by bz ca cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz " +
		"de dj dk dm dz ec ee eg er es et eu fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im io iq ir je jm jo jp ke kg kh ki km kn kp kr kw ky kz " +
		"la lb lc li lk lr ls lt lu lv ly ma mc md mg mh mk mm mn mo mp mq mr ms mt mu mv mw mx mz na nc ne nf ng ni nl np nr nu nz om pa pe pf pg ph pk pm pn pr pt pw qa re ro ru rw " +
		"sa sb sc sd se sg si sj sk sl sm sn sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw"},
	{wordTLD, "ac am as at be do in is it me mo my no to app dev pro page link live news one top"},
	{fileTLD, "cc md ml pl ps py rs sh so name zip mov"},
	{genericTLD, "info aero arpa asia biz cat coop jobs mobi museum post tel travel xxx academy accountant actor adult agency apartments art associates attorney auction audio auto baby band bank bar " +
		"bargains bayern beauty beer berlin best bet bid bike bingo bio blog blue boutique brussels build builders business buzz cab cafe cam camera camp capital car cards care career careers casa cash casino " +
		"catering center ceo chat cheap church city claims cleaning click clinic clothing cloud club coach codes coffee college community company computer condos construction consulting contact contractors cooking cool country " +
		"coupons courses credit cricket cruises cymru dance date dating deals degree delivery democrat dental dentist design diamonds diet digital direct directory discount doctor dog domains download earth education email energy " +
		"engineer engineering enterprises equipment estate events exchange expert exposed express fail faith family fan fans farm fashion film finance financial fish fishing fit fitness flights florist flowers football forsale foundation " +
		"frl fun fund furniture fyi gal gallery game games garden gdn gift gifts gives glass global gmbh gold golf google graphics gratis green gripe group guide guitars guru hair hamburg haus health healthcare help hiphop hiv hockey holdings " +
		"holiday homes horse hospital host hosting house icu immo industries ink institute insurance insure international investments irish jewelry juegos kaufen kim kitchen kiwi koeln land lat law lawyer lease legal lgbt life lighting " +
		"limited limo loan loans lol london love ltd ltda luxury maison management market marketing markets mba media melbourne memorial men menu miami moda moe mom monster mortgage moscow movie network ngo ninja nrw nyc observer okinawa online ooo " +
		"organic paris partners parts party pet pharmacy photo photography photos physio pics pictures pink pizza place plumbing plus poker porn press productions promo properties property pub quebec racing realtor recipes red rehab reise reisen " +
		"rent rentals repair report republican rest restaurant review reviews rip rocks rodeo run ruhr saarland sale salon sarl school science scot security services sex sexy shiksha shoes shop shopping show singles site ski soccer social " +
		"software solar solutions soy space sport store stream studio study style supplies supply support surf surgery swiss sydney systems taipei tattoo tax taxi team tech technology tennis theater tickets tienda tips tires today tokyo tools tours town " +
		"toys trade trading training tube university uno vacations vegas ventures vet viajes video villas vin vip vision vlaanderen vodka vote voyage wales wang watch webcam website wedding wien wiki win wine work works world wtf xin xyz yoga " +
		"yokohama zone"},
	{notTLD, "png jpg jpeg gif svg webp bmp ico css js mjs ts tsx jsx html htm php json xml yml yaml txt csv pdf doc docx xls xlsx ppt pptx tar gz tgz log conf cfg ini exe dll bin"},
}

// tldTable finds last labels: those of two letters by an array, longer ones by open addressing.
type tldTable struct {
	two  [26 * 26]uint8
	keys [1024]uint64 // hashes; 0 is an empty place
	vals [1024]uint8
}

func newTLDs() *tldTable {
	t := new(tldTable)
	for _, list := range tldLists {
		for label := range fields(list.labels) {
			if len(label) == 2 {
				t.two[int(label[0]-'a')*26+int(label[1]-'a')] = list.kind
				continue
			}
			h := hashWord([]byte(label))
			p := h & 1023
			for t.keys[p] != 0 {
				p = (p + 1) & 1023
			}
			t.keys[p], t.vals[p] = h, list.kind
		}
	}
	return t
}

// fields gives the words of a list.
func fields(list string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := 0; i < len(list); {
			j := i
			for j < len(list) && list[j] != ' ' {
				j++
			}
			if j > i && !yield(list[i:j]) {
				return
			}
			i = j + 1
		}
	}
}

// find is the kind of a label.
func (t *tldTable) find(label []byte) uint8 {
	switch n := len(label); {
	case n == 2 && isAlpha(label[0]) && isAlpha(label[1]):
		return t.two[int(label[0]|0x20-'a')*26+int(label[1]|0x20-'a')]
	case n < 3 || n > 63:
		return 0
	case label[0] >= 0x80, n > 4 && lower(label[0]) == 'x' && lower(label[1]) == 'n' && label[2] == '-' && label[3] == '-':
		return genericTLD // an internationalised one
	case n > maxWord:
		return 0
	}
	h := hashWord(label)
	for p := h & 1023; t.keys[p] != 0; p = (p + 1) & 1023 {
		if t.keys[p] == h {
			return t.vals[p]
		}
	}
	return 0
}
