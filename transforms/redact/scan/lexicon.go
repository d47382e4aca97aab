// SPDX-License-Identifier: Apache-2.0

package scan

// What a word means in dates, times and ages. The low four bits are a month.
const (
	monthMask = 15
	weekday   = 1 << (4 + iota)
	doubtful  // the word is an ordinary one too, at least without a capital
	common    // even with a capital
	ordinal   // an ending of ordinal numbers
	linking   // "of", between a day, a month and a year
	meridiem  // am, pm
	zone
	yearUnit  // years: they are an age if "old" follows
	ageUnit   // years: in their languages people give ages so
	smallUnit // months, weeks, days: of infants, if "old" follows
	oldWord
	ageWord // before an age
	relative
	bornWord    // before a year of birth
	versionWord // before what has the form of an address
	ageSign     // a sign, not a word, that may make an age of a number
)

// months are names and their abbreviations, parted by '|' from month to month.
var months = [...]string{
	// English, and what German, Dutch and the Nordic languages share with it
	"january jan|february feb|april apr|june jun|july jul|august aug|september sep sept|october oct|november nov|december dec",
	"januar jänner jän januari|februar februari feber febr|april|juni|juli|augustus augusti|september|oktober okt|november|dezember dez desember",
	"janvier janv|février fevrier févr fevr fév|avril avr|juin|juillet juil|août aout|septembre|octobre|novembre|décembre decembre déc",
	"enero ene|febrero|abril abr|junio|julio|agosto|septiembre setiembre sept|octubre|noviembre|diciembre dic",
	"gennaio|febbraio febbr|aprile|giugno giu|luglio lug|agosto|settembre sett|ottobre ott|novembre|dicembre dic",
	"janeiro|fevereiro fev|abril|junho|julho|agosto|setembro|outubro|novembro|dezembro",
	"stycznia|lutego|kwietnia|czerwca|lipca|sierpnia|września|października|listopada|grudnia",
	"ocak|şubat|nisan|haziran|temmuz|ağustos|eylül|ekim|kasım|aralık",
	"января|февраля|апреля|июня|июля|августа|сентября|октября|ноября|декабря",
}

// numbers of the months in the lists above: March and May are listed apart, since they are words.
var monthNumbers = [...]uint32{1, 2, 4, 6, 7, 8, 9, 10, 11, 12}

var lexemes = [...]struct {
	meaning uint32
	words   string
}{
	{3, "märz maerz mär marzo março maart mrt marts marca марта"},
	{3 | doubtful, "march mar mars mart"},
	{5, "mai mayo maggio maio mei maj maja mayıs мая"},
	{5 | doubtful, "may"},
	{5 | doubtful | common, "mag"},
	{1 | doubtful | common, "gen"},
	{8 | doubtful | common, "ago"},
	{9 | doubtful | common, "set"},
	{10 | doubtful | common, "out"},
	{weekday, "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun " +
		"montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag lundi mardi mercredi jeudi vendredi samedi dimanche " +
		"lunes martes miércoles miercoles jueves viernes sábado sabado domingo lunedì lunedi martedì martedi mercoledì mercoledi giovedì giovedi venerdì venerdi sabato domenica " +
		"feira maandag dinsdag woensdag donderdag vrijdag zaterdag zondag"},
	{versionWord, "version versions ver release released releases build firmware software patch kernel driver oid section chapter rev revision snapshot versie versão versao versione"},
	{relative, "today yesterday"},
	{bornWord, "born birth yob dob geboren geb jahrgang né née nacido nacida nato nata nascido nascida född født urodzony urodzona"},
	{linking, "in en im nel em year"},
	{ordinal, "st nd rd th er ème eme º ª"},
	{linking, "of de del di do the den der von is"},
	{meridiem, "am pm"},
	{zone, "utc gmt z est edt cst cdt mst mdt pst pdt cet cest wet west eet eest bst ist jst kst msk aest aedt hst akst sgt hkt"},
	{yearUnit, "year years yr yrs"},
	{ageUnit, "ans años anni anos jahre jahren jahriger jaar år vuotta lat let лет года"},
	{smallUnit, "month months week weeks day days mo mos wk wks monate wochen tage mois semaines meses semanas mesi settimane maanden weken"},
	{oldWord, "old alt oud gammal gammel jährig jähriger jährige jährigen jahrig jarige"},
	{ageWord, "age aged alter edad eta età idade leeftijd âge âgé âgée agé agée ålder alder wiek turned turns turning"},
}

const slots = 1024

// lexicon finds what words mean, by open addressing.
type lexicon struct {
	keys  [slots]uint64
	vals  [slots]uint32
	edges [1024]uint32 // by the first and the last byte: how long words are
	first [1024]uint32 // by the low five bits of the first two bytes: which third ones words have
	last  [1024]uint32 // by the third and second last bytes: which last ones
}

func newLexicon() *lexicon {
	l := new(lexicon)
	for _, list := range months {
		for i, start := 0, 0; start <= len(list); i++ {
			end := start
			for end < len(list) && list[end] != '|' {
				end++
			}
			l.put(list[start:end], monthNumbers[i])
			start = end + 1
		}
	}
	for _, x := range lexemes {
		l.put(x.words, x.meaning)
	}
	for _, sign := range []byte("/.o") { // y/o, y.o., yo
		l.first['y'&31<<5|int(sign&31)] = 1<<32 - 1
	}
	return l
}

func (l *lexicon) put(words string, meaning uint32) {
	for w := range fields(words) {
		h, n := hashWord([]byte(w)), len(w)
		l.edges[edge(w[0], w[n-1])] |= 1 << n
		if meaning&(zone|weekday|relative|versionWord) == 0 && n > 1 {
			l.margins(w, n)
		}
		p := h % slots
		for l.keys[p] != 0 && l.keys[p] != h {
			p = (p + 1) % slots
		}
		l.keys[p], l.vals[p] = h, meaning
	}
}

// margins notes how a word begins and ends. What stands beside a word of two letters is any sign.
func (l *lexicon) margins(w string, n int) {
	if n == 2 {
		l.first[int(w[0]&31)<<5|int(w[1]&31)] = 1<<32 - 1
		l.last[int(w[0]&31)] |= 1 << (w[1] & 31) // after a space
		l.last[int('\n')<<5|int(w[0]&31)] |= 1 << (w[1] & 31)
		return
	}
	l.first[int(w[0]&31)<<5|int(w[1]&31)] |= 1 << (w[2] & 31)
	l.last[int(w[n-3]&31)<<5|int(w[n-2]&31)] |= 1 << (w[n-1] & 31)
}

// begins says whether a word that means something to a number may begin with the three bytes; ends, whether one may end so.
func (l *lexicon) begins(a, b, c byte) bool {
	return l.first[int(a&31)<<5|int(b&31)]>>(c&31)&1 != 0
}

func (l *lexicon) ends(a, b, c byte) bool {
	return l.last[int(a&31)<<5|int(b&31)]>>(c&31)&1 != 0
}

// edge is a word's place in edges: without regard to case, and to what letters beyond ASCII are.
func edge(a, b byte) int { return int(a&31)<<5 | int(b&31) }

// find is what a word means; 0 is nothing.
func (l *lexicon) find(w []byte) uint32 {
	if n := len(w); n == 0 || n > maxWord || l.edges[edge(w[0], w[n-1])]>>n&1 == 0 {
		return 0
	}
	return l.look(w)
}

// look finds a word that may be one of the lexicon's.
func (l *lexicon) look(w []byte) uint32 {
	h := hashWord(w)
	for p := h % slots; l.keys[p] != 0; p = (p + 1) % slots {
		if l.keys[p] == h {
			return l.vals[p]
		}
	}
	return 0
}

// hashWord is FNV-1a of a word without regard to the case of letters of Latin-1.
func hashWord(w []byte) uint64 {
	h, before := uint64(14695981039346656037), byte(0)
	for _, b := range w {
		if isUpper(b) || before == 0xC3 && b < 0x9F {
			b |= 0x20
		}
		h = (h ^ uint64(b)) * 1099511628211
		before = b
	}
	return h
}
