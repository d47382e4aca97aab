// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a JSON record.
const maxDepth = 128

// node is a JSON value in its place.
type node struct {
	start, end int32 // of the value in the raw text
	kstart     int32 // of the member's name with its quotes; kend is after them
	kend       int32
	parent     int32 // -1 at the top
	next       int32 // sibling, -1 if none
	child      int32 // first, -1 if none
	field      int32 // of a leaf
	key        int32 // of a member, -1 if none
	path       string
	kind       byte // '{', '[' or 0 for a leaf
	dirty      bool // something in it was changed
	dropped    bool
	nulled     bool // an object or array that became null
}

// jsonParser reads one JSON value, strictly (RFC 8259).
type jsonParser struct {
	r *Record
	b []byte
	i int
	// full says that there are more values than a record may have.
	full bool
}

func (r *Record) parseJSON() error {
	if len(r.raw) > math.MaxInt32 {
		return fmt.Errorf("%w: %d bytes of JSON", errComplex, len(r.raw))
	}
	p := &jsonParser{r: r, b: r.raw}
	p.space()
	_, ok := p.value(-1, "", -1, 0)
	if p.full {
		return fmt.Errorf("%w: more than %d values", errComplex, MaxValues)
	}
	if r.codec.spent > p.pathsLimit() {
		return fmt.Errorf("%w: the paths of its members are too long for its size", errComplex)
	}
	if !ok {
		return fmt.Errorf("%w: not one JSON value", ErrRecord)
	}
	p.space()
	if p.i != len(p.b) {
		return fmt.Errorf("%w: more than one JSON value", ErrRecord)
	}
	return nil
}

func (p *jsonParser) pathsLimit() int { return pathsFloor + pathsShare*len(p.b) }

func (p *jsonParser) space() {
	for p.i < len(p.b) && (p.b[p.i] == ' ' || p.b[p.i] == '\t' || p.b[p.i] == '\n' || p.b[p.i] == '\r') {
		p.i++
	}
}

func (p *jsonParser) is(c byte) bool {
	if p.i < len(p.b) && p.b[p.i] == c {
		p.i++
		return true
	}
	return false
}

// value reads a value and gives its node.
func (p *jsonParser) value(parent int32, path string, key int32, depth int) (at int32, ok bool) {
	if p.i >= len(p.b) || depth > maxDepth || p.r.codec.spent > p.pathsLimit() {
		return 0, false
	}
	if p.full = len(p.r.nodes) >= MaxValues; p.full {
		return 0, false
	}
	at = int32(len(p.r.nodes))
	p.r.nodes = append(p.r.nodes, node{start: int32(p.i), parent: parent, next: -1, child: -1, field: -1, key: key, path: path})
	switch c := p.b[p.i]; c {
	case '{', '[':
		p.i++
		p.r.nodes[at].kind = c
		ok = p.members(at, path, c == '{', depth)
	case '"':
		var text []byte
		if text, ok = p.text(); ok {
			p.leaf(at, path, Text, text)
		}
	default:
		ok = p.literal(at, path)
	}
	p.r.nodes[at].end = int32(p.i)
	return at, ok
}

// members reads what is between the braces or brackets of a value, and the closing one.
func (p *jsonParser) members(at int32, path string, object bool, depth int) bool {
	closing, last := byte(']'), int32(-1)
	if object {
		closing = '}'
	}
	p.space()
	if p.is(closing) {
		return true
	}
	for {
		p.space()
		name, key, kstart, kend := p.r.codec.path(path, "[]"), int32(-1), 0, 0
		if object {
			kstart = p.i
			text, ok := p.text()
			if !ok {
				return false
			}
			kend = p.i
			key = int32(len(p.r.keys))
			p.r.keys = append(p.r.keys, Field{Path: p.r.codec.path(path, "{}"), Kind: Key, Text: text, r: p.r})
			name = p.r.codec.path(path, string(text))
			if p.space(); !p.is(':') {
				return false
			}
			p.space()
		}
		child, ok := p.value(at, name, key, depth+1)
		if !ok {
			return false
		}
		p.r.nodes[child].kstart, p.r.nodes[child].kend = int32(kstart), int32(kend)
		if key >= 0 {
			p.r.keys[key].node = child
		}
		if last < 0 {
			p.r.nodes[at].child = child
		} else {
			p.r.nodes[last].next = child
		}
		last = child
		if p.space(); p.is(closing) {
			return true
		}
		if !p.is(',') {
			return false
		}
	}
}

func (p *jsonParser) leaf(at int32, path string, k Kind, text []byte) {
	p.r.nodes[at].field = int32(len(p.r.fields))
	p.r.fields = append(p.r.fields, Field{Path: path, Kind: k, Text: text, r: p.r, node: at})
}

// text decodes a string. What has no escape is lent as it stands.
func (p *jsonParser) text() ([]byte, bool) {
	if !p.is('"') {
		return nil, false
	}
	from := p.i
	p.i += plain(p.b[p.i:])
	switch {
	case p.i == len(p.b):
		return nil, false
	case p.b[p.i] == '"':
		p.i++
		return p.b[from : p.i-1], true
	case p.b[p.i] == '\\':
		return p.escaped(from)
	}
	return nil, false
}

// plain counts the bytes before the first that means something in a JSON string: a quote, a backslash, a control character. It
// looks at eight at a time.
func plain(b []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		if ((x-ones*0x20)&^x|(quote-ones)&^quote|(slash-ones)&^slash)&highs != 0 {
			break
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < 0x20 {
			break
		}
	}
	return i
}

// escaped decodes a string with escapes, of which the bytes up to p.i need none.
func (p *jsonParser) escaped(from int) ([]byte, bool) {
	r := p.r
	start := len(r.buf)
	r.buf = append(r.buf, p.b[from:p.i]...)
	for p.i < len(p.b) {
		n := plain(p.b[p.i:])
		r.buf = append(r.buf, p.b[p.i:p.i+n]...)
		if p.i += n; p.i == len(p.b) {
			break
		}
		c := p.b[p.i]
		p.i++
		switch {
		case c == '"':
			return r.buf[start:len(r.buf):len(r.buf)], true
		case c != '\\' || !p.escape():
			return nil, false
		}
	}
	return nil, false
}

func (p *jsonParser) escape() bool {
	if p.i >= len(p.b) {
		return false
	}
	c := p.b[p.i]
	p.i++
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		u, ok := p.hex()
		if !ok {
			return false
		}
		if utf16.IsSurrogate(u) && p.i+1 < len(p.b) && p.b[p.i] == '\\' && p.b[p.i+1] == 'u' {
			at := p.i
			p.i += 2
			low, ok := p.hex()
			if !ok {
				return false
			}
			if u = utf16.DecodeRune(u, low); u == utf8.RuneError {
				p.i = at
			}
		}
		p.r.buf = utf8.AppendRune(p.r.buf, u) // a lone surrogate becomes U+FFFD
		return true
	default:
		return false
	}
	p.r.buf = append(p.r.buf, c)
	return true
}

func (p *jsonParser) hex() (u rune, ok bool) {
	if p.i+4 > len(p.b) {
		return 0, false
	}
	for _, c := range p.b[p.i : p.i+4] {
		switch {
		case c >= '0' && c <= '9':
			u = u<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			u = u<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	p.i += 4
	return u, true
}

// literal reads a number, true, false or null.
func (p *jsonParser) literal(at int32, path string) bool {
	from := p.i
	for p.i < len(p.b) && p.b[p.i] != ',' && p.b[p.i] != '}' && p.b[p.i] != ']' && p.b[p.i] > ' ' {
		p.i++
	}
	word, kind := p.b[from:p.i], Number
	switch string(word) {
	case "true", "false":
		kind = Bool
	case "null":
		kind = Null
	default:
		if len(word) == 0 || !json.Valid(word) {
			return false
		}
	}
	p.leaf(at, path, kind, word)
	return true
}

// appendJSON writes a value: as it stood, where nothing in it was changed, else without spaces.
func (r *Record) appendJSON(dst []byte, at int32) []byte {
	n := &r.nodes[at]
	if !n.dirty {
		return append(dst, r.raw[n.start:n.end]...)
	}
	switch {
	case at == 0 && n.kind != '{' && (len(r.added) > 0 || r.emptied):
		return append(r.appendAdded(append(dst, '{'), true), '}')
	case n.nulled:
		return append(dst, "null"...)
	case n.kind == 0:
		return r.fields[n.field].appendJSON(dst, r.raw[n.start:n.end])
	}
	dst = append(dst, n.kind)
	first := true
	for i := n.child; i >= 0; i = r.nodes[i].next {
		m := &r.nodes[i]
		if m.dropped {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if m.key >= 0 {
			dst = append(r.keys[m.key].appendJSON(dst, r.raw[m.kstart:m.kend]), ':')
		}
		dst = r.appendJSON(dst, i)
	}
	if at == 0 {
		dst = r.appendAdded(dst, first)
	}
	return append(dst, n.kind+2) // '{' and '}' are two apart, and so are '[' and ']'
}

// appendJSON writes what was set, or what stood there.
func (f *Field) appendJSON(dst, raw []byte) []byte {
	switch {
	case !f.set:
		return append(dst, raw...)
	case f.form == Null:
		return append(dst, "null"...)
	case f.form == Number && json.Valid(f.Text):
		return append(dst, f.Text...)
	}
	return AppendString(dst, f.Text)
}

// AppendString appends a JSON string. Bytes that are no UTF-8 become U+FFFD.
func AppendString(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for len(text) > 0 {
		n := plain(text)
		if utf8.Valid(text[:n]) {
			dst = append(dst, text[:n]...)
		} else {
			for _, u := range string(text[:n]) {
				dst = utf8.AppendRune(dst, u)
			}
		}
		if text = text[n:]; len(text) == 0 {
			break
		}
		switch c := text[0]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		text = text[1:]
	}
	return append(dst, '"')
}
