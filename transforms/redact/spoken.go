// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"

	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

const ruleSpoken = "email-spoken"

// Bounds of an address in words.
const (
	maxParts = 6
	maxPart  = 32
)

// spoken appends e-mail addresses in words, "jane dot roe at acme dot com", and with spaces around the sign. Each place costs a bounded time.
func spoken(dst []span.Finding, text []byte) []span.Finding {
	for from := 0; ; {
		k := bytes.Index(text[from:], []byte(" @ "))
		if k < 0 {
			break
		}
		k += from
		from = k + 3
		start, end := wordBack(text, k), wordOn(text, from)
		if dot := bytes.LastIndexByte(text[from:end], '.'); start < k && dot > 0 && topLevel(text[from+dot+1:end]) {
			dst = append(dst, span.Finding{Type: span.Email, Start: start, End: end, Score: 800, Rule: ruleSpoken, Why: span.ByForm})
		}
	}
	for _, dot := range [...]string{" dot ", " DOT "} {
		at := " at "
		if dot[1] == 'D' {
			at = " AT "
		}
		for from := 0; ; {
			k := bytes.Index(text[from:], []byte(dot))
			if k < 0 {
				break
			}
			k += from
			from = k + len(dot)
			if start, end := spokenAt(text, k, at, dot); end > 0 {
				dst = append(dst, span.Finding{Type: span.Email, Start: start, End: end, Score: 800, Rule: ruleSpoken, Why: span.ByForm})
				from = end
			}
		}
	}
	return dst
}

// spokenAt reads the address whose host has its first "dot" at k; end is 0 if there is none.
func spokenAt(text []byte, k int, at, dot string) (start, end int) {
	host := wordBack(text, k)
	if host == k || host < len(at) || string(text[host-len(at):host]) != at {
		return 0, 0
	}
	end = k
	last := k
	for n := 0; n < maxParts && bytes.HasPrefix(text[end:], []byte(dot)); n++ {
		next := wordOn(text, end+len(dot))
		if next == end+len(dot) {
			break
		}
		last, end = end+len(dot), next
	}
	start = host - len(at)
	begin := wordBack(text, start)
	for n := 0; n < maxParts && begin < start; n++ {
		start = begin
		if begin < len(dot) || string(text[begin-len(dot):begin]) != dot {
			break
		}
		begin = wordBack(text, begin-len(dot))
	}
	if start == host-len(at) || !topLevel(text[last:end]) {
		return 0, 0
	}
	return start, end
}

// topLevel reports whether a word may be the last of a host's name.
func topLevel(word []byte) bool {
	for _, c := range word {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return len(word) >= 2 && len(word) <= 4
}

func addressByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_' || c == '+'
}

// wordBack is where the word that ends at i begins.
func wordBack(text []byte, i int) int {
	least := max(0, i-maxPart)
	for i > least && addressByte(text[i-1]) {
		i--
	}
	return i
}

// wordOn is where the word at i ends, without a stop behind it.
func wordOn(text []byte, i int) int {
	start, most := i, min(len(text), i+maxPart)
	for i < most && addressByte(text[i]) {
		i++
	}
	for i > start && (text[i-1] == '.' || text[i-1] == '-') {
		i--
	}
	return i
}
