// SPDX-License-Identifier: Apache-2.0

package scan

import "github.com/glovebox-dev/glovebox/transforms/redact/span"

// ip4 is the end of the dotted quad at i.
func (c *cursor) ip4(i int) (end int, ok bool) {
	t := c.text[i:min(len(c.text), i+16)]
	value, digits, parts := 0, 0, 0
	for j, b := range t {
		switch {
		case b-'0' < 10:
			digits++
			if value = value*10 + int(b-'0'); digits > 3 || value > 255 {
				return 0, false
			}
			continue
		case digits == 0:
			return 0, false
		case parts == 3:
			return i + j, true
		case b != '.':
			return 0, false
		}
		value, digits = 0, 0
		parts++
	}
	return i + len(t), parts == 3 && digits > 0
}

// ipv4 handles a run of digits at s that a dot follows. It returns 0 if there is no address.
func (c *cursor) ipv4(s int) int {
	end, ok := c.ip4(s)
	if !ok || c.peek(s-1) == '.' && isAlnum(c.peek(s-2)) {
		return 0
	}
	f := span.Finding{Type: span.IP, Start: s, End: end, Score: 950, Rule: "ipv4", Why: span.ByForm}
	switch after := c.peek(end); {
	case isAlnum(after) || after == '_':
		return 0
	case (after == '.' || after == '-') && isDigit(c.peek(end+1)): // more than four parts: an object identifier, a version
		f.Score = 200
	case (after == '.' || after == '-') && isAlpha(c.peek(end+1)): // the name of a host that an address is part of
		f.Score = 450
	case after == '/':
		if j := c.digits(end+1, 2); j > end+1 && j-end <= 3 && c.number(end+1, j) <= 32 && !isAlnum(c.peek(j)) {
			f.End = j
		}
	}
	if c.number(s, c.digits(s, 3)) == 0 && end-s > 7 { // 0.x is a network that no host is in; a version may begin so
		f.Score = min(f.Score, 700)
	}
	if f.Score < 400 {
		c.weigh(f, span.Medium, topicIP, topicVersion)
		return 0 // the same digits may be something else
	}
	i := c.skipBack(s)
	if c.lexicon.find(c.text[c.wordBefore(i):i])&versionWord != 0 || c.peek(i-1) == 'v' && c.peek(i-2) == ',' && c.peek(s+1) == '.' {
		f.Score, f.Why = f.Score/2, span.ByForm|span.AgainstIt // RCS and CVS write "file.c,v 1.91.2.2"
	}
	c.dst = append(c.dst, f)
	c.busy = f.End
	return f.End
}

// hexAddress finds a MAC or IPv6 address that begins at s, and is 0 if there is none.
func (c *cursor) hexAddress(s int) int {
	if end := c.mac(s); end != 0 {
		return end
	}
	return c.ipv6(s)
}

// mac handles pairs of hexadecimal digits with colons or dashes: EUI-48 and EUI-64.
func (c *cursor) mac(s int) int {
	sep := c.peek(s + 2)
	if sep != ':' && sep != '-' || isAlnum(c.peek(s-1)) || c.peek(s-1) == sep {
		return 0
	}
	pairs := 0
	i := s
	for pairs < 9 && isHex(c.peek(i)) && isHex(c.peek(i+1)) {
		pairs++
		i += 2
		if c.peek(i) != sep {
			break
		}
		i++
	}
	if c.peek(i-1) == sep {
		i--
	}
	if pairs != 6 && pairs != 8 || isAlnum(c.peek(i)) || c.peek(i) == sep && isAlnum(c.peek(i+1)) {
		return 0
	}
	f := span.Finding{Type: span.MAC, Start: s, End: i, Score: 900, Rule: "mac"}
	if sep == '-' && c.onlyDigits(s, i) { // six pairs of digits may be anything
		f.Score = 450
	}
	c.weigh(f, span.Certain, topicMAC, topicOther)
	c.busy, c.floor = i, i
	return i
}

// cisco handles three groups of four hexadecimal digits with dots.
func (c *cursor) cisco(s int) int {
	const n = 14
	if c.peek(s+4) != '.' || c.peek(s+9) != '.' || isAlnum(c.peek(s+n)) || c.peek(s-1) == '.' || c.peek(s+n) == '.' && isAlnum(c.peek(s+n+1)) {
		return 0
	}
	for i := range n {
		if i != 4 && i != 9 && !isHex(c.peek(s+i)) {
			return 0
		}
	}
	f := span.Finding{Type: span.MAC, Start: s, End: s + n, Score: 800, Rule: "mac"}
	if c.onlyDigits(s, s+n) {
		f.Score = 300
	}
	c.weigh(f, 950, topicMAC, topicOther)
	if f.Score < span.Medium {
		return 0
	}
	c.busy, c.floor = s+n, s+n
	return s + n
}

// onlyDigits says whether no letter is in text[s:end].
func (c *cursor) onlyDigits(s, end int) bool {
	for _, b := range c.text[s:end] {
		if isAlpha(b) {
			return false
		}
	}
	return true
}

// ipv6 handles an address that begins at s, and is 0 if there is none.
func (c *cursor) ipv6(s int) int {
	before := c.peek(s - 1)
	if isLetter(before) || isDigit(before) || before == '_' || before == ':' {
		return 0
	}
	end, score := c.ip6(s)
	if end == 0 || isLetter(c.peek(end)) || c.peek(end) == '_' || c.peek(end) == ':' {
		return 0
	}
	f := span.Finding{Type: span.IP, Start: s, End: end, Score: score, Rule: "ipv6"}
	c.weigh(f, min(span.Certain, score+400), topicIP, topicOther)
	if score < span.Medium {
		return 0
	}
	c.busy, c.floor = end, end
	return end
}

// ip6 is the end of the IPv6 address at i, with its zone and the length of its prefix, and how likely it is one (RFC 4291, RFC 4007).
func (c *cursor) ip6(i int) (end int, score span.Score) {
	groups, digits, double := 0, 0, false
	s := i
	for groups < 9 {
		j := i
		for j < len(c.text) && j-i <= 4 && isHex(c.text[j]) {
			if isDigit(c.text[j]) {
				digits++
			}
			j++
		}
		if j-i > 4 {
			return 0, 0
		}
		if c.peek(j) == '.' && groups >= 1 && j > i {
			if e, ok := c.ip4(i); ok {
				groups, digits, i = groups+2, digits+8, e
				break
			}
		}
		if j > i {
			groups++
		}
		if c.peek(j) != ':' {
			i = j
			break
		}
		if c.peek(j+1) == ':' {
			if double {
				return 0, 0
			}
			double = true
			j++
		} else if j == i || !isHex(c.peek(j+1)) { // a colon at the beginning, or one that ends the sentence
			i = j
			break
		}
		i = j + 1
	}
	switch {
	case groups == 8 && !double:
		score = 950
	case groups > 7 || !double || i-s < 3:
		return 0, 0
	case digits >= 2 && groups >= 3:
		score = 900
	case digits >= 1 && (groups >= 2 || i-s == 3):
		score = 550
	default:
		score = 200
	}
	return c.zone(i), score
}

// zone is the end of the zone and prefix length at i.
func (c *cursor) zone(i int) int {
	if c.peek(i) == '%' && isAlnum(c.peek(i+1)) {
		j := i + 1
		for j-i <= 32 && (isAlnum(c.peek(j)) || c.peek(j) == '_' || c.peek(j) == '-') {
			j++
		}
		i = j
	}
	if c.peek(i) == '/' {
		if j := c.digits(i+1, 3); j > i+1 && j-i <= 4 && c.number(i+1, j) <= 128 && !isAlnum(c.peek(j)) {
			return j
		}
	}
	return i
}

// literal is the end of the address literal that an e-mail address has in brackets; 0 is none (RFC 5321).
func (c *cursor) literal(i int) int {
	if c.has(i, "ipv6:") {
		end, _ := c.ip6(i + 5)
		return end
	}
	end, _ := c.ip4(i)
	return end
}
