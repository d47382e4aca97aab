// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"bytes"

	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

const wordScore span.Score = 450

const (
	maxURL    = 8192
	maxScheme = 16
)

// colon handles the `:` at i: URLs, IPv6 and MAC addresses that begin without a digit, and geo URIs.
func (c *cursor) colon(i int) int {
	t := c.text
	switch {
	case c.peek(i+1) == '/' && c.peek(i+2) == '/':
		return c.url(i)
	case c.has(i-3, "geo") && !isAlnum(c.peek(i-4)):
		return c.geoURI(i)
	}
	start := i
	for start > c.floor && i-start <= 4 && isHex(t[start-1]) {
		start--
	}
	if i-start > 4 || start > 0 && isLetter(t[start-1]) {
		return i + 1
	}
	if end := c.hexAddress(start); end != 0 {
		return end
	}
	return i + 1
}

// url handles the scheme that ends at the `:` at i.
func (c *cursor) url(i int) int {
	t := c.text
	start := i
	if i >= c.address+8 {
		start -= after(notAlnums(load(t, i-8)))
	}
	for start > c.address && i-start < maxScheme && (isAlnum(t[start-1]) || t[start-1] == '+') {
		start--
	}
	for start < i && !isAlpha(t[start]) {
		start++
	}
	if first := c.peek(i + 3); i-start < 2 || !hostByte(first) && first != '[' && first != '/' {
		return i + 1
	}
	end := c.urlEnd(i + 3)
	if end-i <= 3 {
		return i + 1
	}
	f := span.Finding{Type: span.URL, Start: start, End: end, Score: 700, Rule: "url", Why: span.ByForm}
	if knownScheme(t[start:i]) {
		f.Score = span.Certain
	}
	c.retract(start)
	c.dst = append(c.dst, f)
	c.insideURL(i+3, end)
	c.floor, c.busy, c.address, c.host = end, end, end, end
	return end
}

func knownScheme(s []byte) bool {
	if n := len(s); (n == 4 || n == 5 && s[4]|0x20 == 's') && s[0]|0x20 == 'h' && s[1]|0x20 == 't' && s[2]|0x20 == 't' && s[3]|0x20 == 'p' {
		return true
	}
	switch len(s) {
	case 3, 4, 5, 6, 7:
		for _, k := range [...]string{"ftp", "ftps", "sftp", "ssh", "ws", "wss", "git", "svn", "ldap", "ldaps", "smb", "file", "imap", "imaps", "news", "nntp", "rtsp", "telnet", "redis", "mysql", "mongodb", "amqp"} {
			if len(k) == len(s) && bytes.EqualFold(s, []byte(k)) {
				return true
			}
		}
	}
	return false
}

// urlEnd is the end of the URL that goes on at i: what ends sentences and brackets that were not opened in it is left out.
func (c *cursor) urlEnd(i int) int {
	t := c.text
	end, depth := i, 0
	most := t[:min(len(t), i+maxURL)]
	for end < len(most) {
		if end+8 <= len(most) {
			if n := first(notAlnums(load(most, end))); n > 0 {
				end += n
				continue
			}
		}
		b := most[end]
		if class[b]&urlClass != 0 {
			end++
			continue
		}
		if b <= ' ' || b == '<' || b == '>' || b == '"' || b == '`' || b == '{' || b == '}' || b == '|' || b == '\\' || b == 0x7F {
			break
		}
		if b == '(' {
			depth++
		} else if b == ')' {
			if depth == 0 {
				break
			}
			depth--
		} else if b >= 0x80 && punctuation(t[end:]) != 0 || b == ',' && c.has(end+1, "http") {
			break
		}
		end++
	}
	for whole := end; end > i; {
		switch t[end-1] {
		case '.', ',', ';', ':', '!', '?', '\'', '*', '_', '(', '[':
		case ']':
			if bytes.IndexByte(t[i:whole], '[') >= 0 {
				return end
			}
		default:
			return runeEnd(t, i, end)
		}
		end--
	}
	return end
}

// runeEnd moves end back so that it does not split a character, where a bound cut the text.
func runeEnd(t []byte, start, end int) int {
	if end < len(t) && t[end]&0xC0 == 0x80 {
		for n := 0; n < 3 && end > start && t[end]&0xC0 == 0x80; n++ {
			end--
		}
	}
	return end
}

// insideURL finds what is personal data by itself in the URL that goes on at i: who redacts addresses need not redact URLs.
func (c *cursor) insideURL(i, end int) {
	whole := c.text
	c.text = whole[:end]
	c.address = i
	at := bytes.IndexByte(whole[i:end], '@')
	if h := i + at + 1; at >= 0 && bytes.IndexByte(whole[i:h], '/') < 0 {
		i = h // past the user's name
	}
	if e, ok := c.ip4(i); ok && (e == end || !isAlnum(whole[e]) && whole[e] != '.' && whole[e] != '-') {
		c.add(span.IP, i, e, 900, 0, "ipv4")
	} else if c.peek(i) == '[' {
		if e, _ := c.ip6(i + 1); e != 0 {
			c.add(span.IP, i+1, e, 900, 0, "ipv6")
		}
	}
	for j := i; at >= 0 && j < end; {
		k := bytes.IndexByte(whole[j:end], '@')
		if k < 0 {
			break
		}
		at := j + k
		j = at + 1
		if start := c.local(at); start < at && start > i {
			if e, tld := c.mailHost(at + 1); e > at+1 && tld < e {
				c.add(span.Email, start, e, 900, 0, "email")
				j, c.address = e, e
			}
		}
	}
	c.text = whole
}

// dot handles the `.` at i: domain names, with what follows them.
func (c *cursor) dot(i int) int {
	t := c.text
	if i < c.host || i == 0 || i+1 >= len(t) || !isLetter(t[i+1]) && !isDigit(t[i+1]) || !hostByte(t[i-1]) {
		return i + 1
	}
	if isDigit(t[i-1]) && isDigit(t[i+1]) { // a decimal, an address: what names there are follow
		return i + 1
	}
	start := i
	for start > c.address && i-start <= 63 && (hostByte(t[start-1]) || t[start-1] == '.' && start >= 2 && isDigit(t[start-2])) {
		start--
	}
	if i-start > 63 {
		return i + 1
	}
	start = c.quoteBefore(start, i)
	end, tld := c.hostEnd(start)
	c.host = end
	if c.peek(end) == '@' || tld <= start || !isAlpha(t[tld]) || c.peek(start-1) == '@' {
		return i + 1
	}
	for start < tld && !isAlnum(t[start]) && t[start] < 0x80 {
		start++
	}
	score := c.domainScore(start, tld, end)
	if score == 0 {
		return i + 1
	}
	return c.domain(start, end, score)
}

// domain takes up a domain name, and the path that may follow it.
func (c *cursor) domain(start, end int, score span.Score) int {
	f := span.Finding{Type: span.Domain, Start: start, End: end, Score: score, Rule: "domain", Why: span.ByForm}
	www := c.has(start, "www.")
	if www {
		f.Score = 900
	}
	next, port := c.peek(end), end
	if next == ':' && isDigit(c.peek(end+1)) {
		port = c.digits(end+1, 5)
		next = c.peek(port)
	}
	if next == '/' || next == '?' && www {
		f.Type, f.Rule, f.End = span.URL, "url-without-scheme", c.urlEnd(port)
		f.Score = min(f.Score+100, 900)
	} else if www {
		f.Type, f.Rule = span.URL, "url-without-scheme"
	}
	c.retract(start)
	if f.Score == wordScore { // its last label says little: the words near it may
		f.Score = c.weigh(f, 800, topicSite, topicCode)
	} else {
		c.dst = append(c.dst, f)
	}
	if f.Score < span.Medium { // a file's name: the digits in it may be something
		return max(end-1, start+1)
	}
	c.floor, c.busy, c.host, c.address = f.End, f.End, f.End, f.End
	return f.End
}

// domainScore says how likely text[start:end] is a domain name; 0 is not at all.
func (c *cursor) domainScore(start, tld, end int) span.Score {
	t := c.text
	if isUpper(t[tld]) && end-tld > 1 && !isUpper(t[tld+1]) { // a sentence without a space
		return 0
	}
	if tld-start < 3 && end-tld > 3 { // "a.b" with a long last label
		return 0
	}
	score := span.Score(0)
	switch c.tlds.find(t[tld:end]) {
	case commonTLD:
		score = 800
	case countryTLD:
		score = 600
	case genericTLD:
		score = 550
	case wordTLD:
		score = wordScore
	case fileTLD:
		score = 300
	}
	// Names of packages and of newsgroups begin with what domain names end with.
	first := bytes.IndexByte(t[start:tld], '.') + start
	if score != 0 && first < tld-1 && c.tlds.find(t[start:first]) == commonTLD {
		score = min(score, span.Weak)
	}
	if c.peek(end) == '(' { // a method
		score = min(score, span.Weak)
	}
	return score
}
