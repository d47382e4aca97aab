// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"bytes"
	"encoding/base64"
	"slices"
)

// What is here says the same as the slower functions beside it, or nothing: brokers read and write thousands of small
// statements a second. Whatever is unusual is left to the slower ones, which also find the words for what is wrong.

const (
	fastNames = 64 // names in one object
	envHead   = `{"payload":"`
	envType   = `","payloadType":"` + PayloadType + `","signatures":[{"sig":"`
	envTail   = `"}]}`
)

// distinctNames reports that no object in valid JSON has a name twice, compared without case, and that nothing is nested
// deeper than maxDepth. False means that it does not know.
func distinctNames(b []byte) bool {
	type object struct {
		from  int  // of its names in the list
		named bool // an object, not an array
		key   bool // the next string is a name
	}
	var stack [maxDepth]object
	names, depth := make([][]byte, 0, fastNames), 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case '{', '[':
			if depth == maxDepth {
				return false
			}
			stack[depth] = object{len(names), c == '{', c == '{'}
			depth++
		case '}', ']':
			if depth == 0 {
				return false
			}
			depth--
			names = names[:stack[depth].from]
		case ',':
			if depth > 0 {
				stack[depth-1].key = stack[depth-1].named
			}
		case '"':
			end := plainString(b, i)
			name := depth > 0 && stack[depth-1].key
			if end < 0 {
				if name {
					return false
				}
				if end = anyString(b, i); end < 0 {
					return false
				}
			}
			if name {
				top := &stack[depth-1]
				n := b[i+1 : end]
				if len(names)-top.from == fastNames || slices.ContainsFunc(names[top.from:], func(o []byte) bool { return bytes.EqualFold(o, n) }) {
					return false
				}
				names, top.key = append(names, n), false
			}
			i = end
		}
	}
	return depth == 0
}

// plainString finds the end of a string that starts at i and has neither escapes nor anything but printable ASCII.
func plainString(b []byte, i int) (end int) {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i
		case c == '\\' || c < ' ' || c > '~':
			return -1
		}
	}
	return -1
}

// anyString finds the end of any string that starts at i.
func anyString(b []byte, i int) (end int) {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return -1
}

// sorted appends valid JSON without white space in canonical form, where that takes nothing but sorting names: strings of
// printable ASCII without escapes, and integers. ok is false where it takes more.
func sorted(dst, b []byte) (out []byte, ok bool) {
	out, rest, ok := sortedValue(dst, b, 0)
	return out, ok && len(rest) == 0
}

func sortedValue(dst, b []byte, depth int) (out, rest []byte, ok bool) {
	if len(b) == 0 || depth > maxDepth {
		return nil, nil, false
	}
	switch c := b[0]; {
	case c == '{':
		return sortedObject(dst, b, depth)
	case c == '[':
		return sortedArray(dst, b, depth)
	case c == '"':
		end := plainString(b, 0)
		if end < 0 {
			return nil, nil, false
		}
		return append(dst, b[:end+1]...), b[end+1:], true
	case c >= '1' && c <= '9':
		n := 1
		for n < len(b) && b[n] >= '0' && b[n] <= '9' {
			n++
		}
		if n > 15 || n < len(b) && (b[n] == '.' || b[n] == 'e' || b[n] == 'E') { // of 15 digits every integer is exact
			return nil, nil, false
		}
		return append(dst, b[:n]...), b[n:], true
	}
	for _, word := range []string{"0", "true", "false", "null"} {
		if bytes.HasPrefix(b, []byte(word)) && (len(b) == len(word) || bytes.IndexByte([]byte(",]}"), b[len(word)]) >= 0) {
			return append(dst, word...), b[len(word):], true
		}
	}
	return nil, nil, false
}

func sortedArray(dst, b []byte, depth int) (out, rest []byte, ok bool) {
	dst, b = append(dst, '['), b[1:]
	for first := true; ; first = false {
		if len(b) > 0 && b[0] == ']' {
			return append(dst, ']'), b[1:], true
		}
		if !first {
			if len(b) == 0 || b[0] != ',' {
				return nil, nil, false
			}
			dst, b = append(dst, ','), b[1:]
		}
		if dst, b, ok = sortedValue(dst, b, depth+1); !ok {
			return nil, nil, false
		}
	}
}

func sortedObject(dst, b []byte, depth int) (out, rest []byte, ok bool) {
	type member struct{ name, value []byte }
	var members []member
	b = b[1:]
	for len(b) == 0 || b[0] != '}' {
		if len(members) > 0 {
			if len(b) == 0 || b[0] != ',' {
				return nil, nil, false
			}
			b = b[1:]
		}
		if len(b) == 0 || b[0] != '"' {
			return nil, nil, false
		}
		end := plainString(b, 0)
		if end < 0 || end+1 >= len(b) || b[end+1] != ':' {
			return nil, nil, false
		}
		m := member{name: b[:end+1]}
		if m.value, b, ok = sortedValue(nil, b[end+2:], depth+1); !ok {
			return nil, nil, false
		}
		members = append(members, m)
	}
	// Quotes and all, since no plain character sorts before a quote but space and "!", which are left to others.
	for _, m := range members {
		if bytes.ContainsAny(m.name, " !") {
			return nil, nil, false
		}
	}
	slices.SortFunc(members, func(x, y member) int { return bytes.Compare(x.name, y.name) })
	dst = append(dst, '{')
	for i, m := range members {
		if i > 0 {
			if bytes.Equal(m.name, members[i-1].name) {
				return nil, nil, false
			}
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, m.name...), ':'), m.value...)
	}
	return append(dst, '}'), b[1:], true
}

// parseFast reads an envelope of our payload type in its one canonical form. ok is false for everything else.
func parseFast(signed []byte) (env *dsse, ok bool) {
	if len(signed) > MaxEnvelope {
		return nil, false
	}
	inner, head := bytes.CutPrefix(signed, []byte(envHead))
	inner, tail := bytes.CutSuffix(inner, []byte(envTail))
	payload, sig, typ := bytes.Cut(inner, []byte(envType))
	if !head || !tail || !typ {
		return nil, false
	}
	env = &dsse{PayloadType: PayloadType, Signatures: make([]signature, 1)}
	if env.Payload, ok = exactBase64(payload); !ok {
		return nil, false
	}
	env.Signatures[0].Sig, ok = exactBase64(sig)
	return env, ok
}

// exactBase64 decodes what has no other spelling: the standard decoder passes over line breaks.
func exactBase64(b []byte) ([]byte, bool) {
	enc := base64.StdEncoding.Strict()
	out := make([]byte, enc.DecodedLen(len(b)))
	n, err := enc.Decode(out, b)
	return out[:n], err == nil && n > 0 && enc.EncodedLen(n) == len(b)
}

// joinFast writes what [parseFast] reads.
func joinFast(payload, sig []byte) []byte {
	enc := base64.StdEncoding
	out := make([]byte, 0, len(envHead)+len(envType)+len(envTail)+enc.EncodedLen(len(payload))+enc.EncodedLen(len(sig)))
	out = enc.AppendEncode(append(out, envHead...), payload)
	out = enc.AppendEncode(append(out, envType...), sig)
	return append(out, envTail...)
}
