// SPDX-License-Identifier: Apache-2.0

package scan

import "github.com/glovebox-dev/glovebox/transforms/redact/span"

const (
	minCard = 12
	maxCard = 19
)

// brand is a range of issuer identification numbers (ISO/IEC 7812), the lengths that its cards have as bits, and whether the range
// is so wide that it says little.
type brand struct {
	low, high uint32 // the first six digits
	lengths   uint32
	wide      bool
}

const (
	len12to19 = 0xFF << 12
	len16to19 = 0xF << 16
)

var brands = [...]brand{
	{400000, 499999, 1<<13 | 1<<16 | 1<<19, false}, // Visa, with Elo, Dankort and Verve's shared ranges
	{510000, 559999, 1 << 16, false},               // Mastercard, Diners in North America
	{222100, 272099, 1 << 16, false},               // Mastercard
	{340000, 349999, 1 << 15, false},               // American Express
	{370000, 379999, 1 << 15, false},
	{601100, 601199, len16to19, false}, // Discover
	{644000, 659999, len16to19, false}, // Discover, RuPay, Verve
	{620000, 629999, len16to19, false}, // UnionPay
	{810000, 819999, len16to19, false}, // UnionPay, RuPay
	{300000, 305999, 1<<14 | len16to19, false},
	{309500, 309599, 1<<14 | len16to19, false}, // Diners Club
	{360000, 369999, 1<<14 | len16to19, false},
	{380000, 399999, 1<<14 | len16to19, false},
	{352800, 358999, len16to19, false}, // JCB
	{213100, 213199, 1 << 15, false},
	{180000, 180099, 1 << 15, false},
	{220000, 220499, len16to19, false}, // Mir
	{220500, 220599, 1 << 16, false},   // Borica
	{501800, 502099, len12to19, false}, // Maestro, Dankort
	{503800, 503899, len12to19, false},
	{561000, 561099, 1 << 16, false}, // Bankcard
	{589300, 589399, len12to19, false},
	{630400, 630499, len12to19, false}, // Maestro, Laser
	{675900, 676399, len12to19, false},
	{636000, 639999, 1<<16 | 1<<18 | 1<<19, false}, // InterPayment, Elo, InstaPayment
	{606282, 606282, 1 << 16, false},               // Hipercard
	{979200, 979299, 1 << 16, false},               // Troy
	{986000, 986099, 1 << 16, false},               // Humo
	{860000, 860099, 1 << 16, false},               // Uzcard
	{911200, 911299, 1 << 16, false},               // Belkart
	{508500, 508999, 1 << 16, false},               // RuPay
	{506099, 506198, 1<<16 | 1<<19, false},         // Verve
	{500000, 509999, len12to19, true},              // Maestro
	{560000, 589999, len12to19, true},
	{600000, 699999, len12to19, true},
	{100000, 199999, 1 << 15, true}, // UATP
}

// issuer finds the brand whose range and lengths the digits fit: a narrow one first, since they come first.
func issuer(d []byte) *brand {
	n := uint32(0)
	for _, b := range d[:6] {
		n = n*10 + uint32(b-'0')
	}
	for i := range brands {
		if b := &brands[i]; n >= b.low && n <= b.high && b.lengths>>len(d)&1 != 0 {
			return b
		}
	}
	return nil
}

// luhn checks the last digit (ISO/IEC 7812-1, annex B).
func luhn(d []byte) bool {
	sum := 0
	for i := range d {
		v := int(d[len(d)-1-i] - '0')
		if i&1 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}

// card handles a number that may be a payment card's.
func (c *cursor) card(g *groups) bool {
	if g.digits < minCard || g.glued {
		return false
	}
	var d [maxCard]byte
	n, last := 0, 0
	for i := range g.n {
		if i > 0 && (g.sep[i-1] != g.sep[0] || g.sep[0] != ' ' && g.sep[0] != '-' && !dottedCard(g)) || n+g.len(i) > maxCard {
			break
		}
		if i == 4 && n == 16 && g.len(i) != 3 { // four groups of four are whole
			break
		}
		n += copy(d[n:], c.text[g.start[i]:g.end[i]])
		last = i
		if i > 0 && n == 15 && amexGroups(g, i) {
			break
		}
	}
	start, end := g.start[0], g.end[last]
	if n < minCard || g.len(0) > maxCard || c.partOfMore(start, end) {
		return false
	}
	score, why := cardScore(d[:n], cardGroups(g, last))
	if score == 0 {
		return false
	}
	f := span.Finding{Type: span.CreditCard, Start: start, End: end, Score: score, Rule: "card", Why: why}
	high := span.Score(700)
	if score >= span.Medium {
		high = min(score+250, span.Certain)
	} else if why&span.ByChecksum != 0 {
		high = 850
	}
	if c.weigh(f, high, topicCard, topicOther) < span.Medium {
		return false
	}
	c.busy = end
	return true
}

// dottedCard says whether the groups are four of four, with stops or slashes between them: no decimal and no date is so.
func dottedCard(g *groups) bool {
	return (g.sep[0] == '.' || g.sep[0] == '/') && g.n == 4 && g.len(0) == 4 && g.len(1) == 4 && g.len(2) == 4 && g.len(3) == 4
}

// partOfMore says whether digits or letters go on around text[start:end].
func (c *cursor) partOfMore(start, end int) bool {
	before, after := c.peek(start-1), c.peek(end)
	return isAlnum(after) || after == '_' || after == '@' ||
		(after == '-' || after == '.' || after == ':') && isDigit(c.peek(end+1)) ||
		isAlnum(before) || before == '_' || (before == '-' || before == '.' || before == '+') && isDigit(c.peek(start-2)) || before == '+'
}

// How a card's digits are grouped.
const (
	oneGroup   = iota
	cardGrid   // as on the card: fours, or 4-6-5, 4-6-4
	otherGroup // otherwise
)

func amexGroups(g *groups, last int) bool {
	return last == 2 && g.len(0) == 4 && g.len(1) == 6 && g.len(2) == 5
}

func cardGroups(g *groups, last int) int {
	if last == 0 {
		return oneGroup
	}
	if amexGroups(g, last) || last == 2 && g.len(0) == 4 && g.len(1) == 6 && g.len(2) == 4 {
		return cardGrid
	}
	for i := range last {
		if g.len(i) != 4 {
			return otherGroup
		}
	}
	if last < 3 || g.len(last) > 4 {
		return otherGroup
	}
	return cardGrid
}

// cardScore weighs prefix, length, grouping and check digit. Zero is that nothing speaks for a card.
func cardScore(d []byte, grouping int) (span.Score, span.Why) {
	b := issuer(d)
	narrow := b != nil && !b.wide
	score := span.Score(200)
	switch {
	case narrow && grouping == cardGrid:
		score = 700
	case grouping == cardGrid && len(d) == 16:
		score = 550
	case narrow && grouping == oneGroup:
		score = 550
	case b != nil && grouping != otherGroup:
		score = 350
	case grouping == otherGroup && !narrow:
		return 0, 0
	}
	if !luhn(d) {
		if score < 300 && len(d) < 15 {
			return 0, 0
		}
		if narrow && len(d) != 16 && len(d) != 15 { // short numbers are frequent
			score -= 150
		}
		return score, span.NoChecksum
	}
	switch {
	case narrow && len(d) >= 15:
		score += 300
	case narrow:
		score += 100
	case b != nil:
		score += 200
	default:
		score += 150
	}
	return min(score, span.Certain), span.ByChecksum
}
