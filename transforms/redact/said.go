// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"

	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

const (
	ruleSaid = "said"
	ruleCVV  = "cvv"
)

// Bounds of what is looked at around a sign.
const (
	maxSaid  = 12 // bytes of the word before it
	maxValue = 64 // bytes of the value after it
	cardBack = 64 // bytes after a card in which its security code stands
)

// said appends what a word before a colon or an equals sign says: "password: …", "user=…"; and the security code that follows a card among
// what was found. It is linear: what it looks at around a sign is bounded.
func said(dst []span.Finding, text []byte) []span.Finding {
	for _, f := range dst {
		if f.Type == span.CreditCard {
			dst = securityCode(dst, text, f.End)
		}
	}
	for _, sign := range [...]byte{':', '='} {
		for at := 0; ; at++ {
			k := bytes.IndexByte(text[at:], sign)
			if k < 0 {
				break
			}
			at += k
			kind := saidBefore(text, at)
			if kind == "" {
				continue
			}
			if start, end := valueAfter(text, at+1); end-start >= 3 && fits(kind, text[start:end]) {
				dst = append(dst, span.Finding{Type: kind, Start: start, End: end, Score: 700, Rule: ruleSaid, Why: span.ByContext})
			}
		}
	}
	return dst
}

// saidBefore is what the word that ends before the sign at i says.
func saidBefore(text []byte, i int) span.Type {
	sign := text[i]
	for n := 0; n < 2 && i > 0 && (text[i-1] == ' ' || text[i-1] == '"' || text[i-1] == '\''); n++ {
		i--
	}
	var word [maxSaid]byte
	n := len(word)
	for ; i > 0 && (wordByte(text[i-1]) || text[i-1] == '_'); i-- {
		if n == 0 {
			return ""
		}
		n--
		if word[n] = text[i-1]; word[n] != '_' {
			word[n] |= 0x20
		}
	}
	switch string(word[n:]) {
	case "username", "user_name", "login", "benutzername":
		return span.Username
	case "user", "uname":
		if sign == '=' {
			return span.Username
		}
	case "password", "passwd", "pwd", "passphrase", "passwort":
		return span.Password
	case "cvv", "cvc", "cvv2", "cvc2":
		return span.CVV
	}
	return ""
}

// valueAfter is the word at i, without spaces and quotation marks before it.
func valueAfter(text []byte, i int) (start, end int) {
	for n := 0; n < 3 && i < len(text) && (text[i] == ' ' || text[i] == '"' || text[i] == '\''); n++ {
		i++
	}
	start = i
	for i < len(text) && text[i] > ' ' && bytes.IndexByte([]byte(`,;"'<>&`), text[i]) < 0 {
		if i++; i-start > maxValue {
			return start, start
		}
	}
	return start, i
}

// securityCode looks for the code that is printed on a card shortly after its number: "cvv 123".
func securityCode(dst []span.Finding, text []byte, from int) []span.Finding {
	to := min(len(text), from+cardBack)
	for i := from; i+3 < to; i++ {
		if text[i]|0x20 != 'c' || text[i+1]|0x20 != 'v' || text[i+2]|0x20 != 'v' && text[i+2]|0x20 != 'c' || wordByte(text[i-1]) {
			continue
		}
		k := i + 3
		for k < to && (text[k] == ' ' || text[k] == ':' || text[k] == '2' && k == i+3 || text[k] == '=') {
			k++
		}
		end := k
		for end < len(text) && end < k+5 && text[end] >= '0' && text[end] <= '9' {
			end++
		}
		if n := end - k; (n == 3 || n == 4) && k > i+3 {
			return append(dst, span.Finding{Type: span.CVV, Start: k, End: end, Score: span.Strong, Rule: ruleCVV, Why: span.ByContext})
		}
	}
	return dst
}
