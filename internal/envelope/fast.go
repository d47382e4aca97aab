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

// sorted writes valid JSON without white space in canonical form, where that takes nothing but sorting names: strings of
// printable ASCII without escapes, and integers that are exact. ok is false where it takes more.
func sorted(b []byte) (out []byte, ok bool) {
	s := sorter{out: make([]byte, 0, len(b))}
	rest, ok := s.value(b, 0)
	return s.out, ok && len(rest) == 0
}

// sorter writes values one after the other; members and spare are the stack and the buffer that objects share.
type sorter struct {
	out     []byte
	members []member
	spare   []byte
}

// member is one of an object: its name with the quotes, and where name and value were written.
type member struct {
	name     []byte
	from, to int
}

// value writes the first value of b.
func (s *sorter) value(b []byte, depth int) (rest []byte, ok bool) {
	if len(b) == 0 || depth > maxDepth {
		return nil, false
	}
	n := 0
	switch c := b[0]; {
	case c == '{':
		return s.object(b[1:], depth)
	case c == '[':
		return s.array(b[1:], depth)
	case c == '"':
		n = plainString(b, 0) + 1
	case c == '0':
		n = 1
	case c >= '1' && c <= '9':
		if n = exactInteger(b); n == 0 {
			return nil, false
		}
	case bytes.HasPrefix(b, []byte("true")), bytes.HasPrefix(b, []byte("null")):
		n = len("true")
	case bytes.HasPrefix(b, []byte("false")):
		n = len("false")
	}
	if n == 0 || len(b) > n && bytes.IndexByte([]byte(",]}"), b[n]) < 0 {
		return nil, false
	}
	s.out = append(s.out, b[:n]...)
	return b[n:], true
}

// exactInteger is the length of the digits that b starts with, or 0 if canonical JSON would round what they say.
func exactInteger(b []byte) (n int) {
	v := uint64(0)
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		if v = 10*v + uint64(b[n]-'0'); v > maxExact {
			return 0
		}
		n++
	}
	return n
}

func (s *sorter) array(b []byte, depth int) (rest []byte, ok bool) {
	s.out = append(s.out, '[')
	for first := true; ; first = false {
		if len(b) > 0 && b[0] == ']' {
			s.out = append(s.out, ']')
			return b[1:], true
		}
		if !first {
			if len(b) == 0 || b[0] != ',' {
				return nil, false
			}
			s.out, b = append(s.out, ','), b[1:]
		}
		if b, ok = s.value(b, depth+1); !ok {
			return nil, false
		}
	}
}

// object writes the members as they come, and puts them in order if they are not.
func (s *sorter) object(b []byte, depth int) (rest []byte, ok bool) {
	s.out = append(s.out, '{')
	from, ordered := len(s.members), true
	for len(b) == 0 || b[0] != '}' {
		if n := len(s.members); n > from {
			if len(b) == 0 || b[0] != ',' {
				return nil, false
			}
			s.out, b = append(s.out, ','), b[1:]
		}
		if len(b) == 0 || b[0] != '"' {
			return nil, false
		}
		end := plainString(b, 0)
		// Names sort with their quotes, since no plain character sorts before a quote but space and "!", which are left to others.
		if end < 0 || end+1 >= len(b) || b[end+1] != ':' || bytes.ContainsAny(b[:end], " !") {
			return nil, false
		}
		m := member{name: b[:end+1], from: len(s.out)}
		if n := len(s.members); n > from {
			ordered = ordered && bytes.Compare(s.members[n-1].name, m.name) < 0
		}
		s.out = append(s.out, b[:end+2]...)
		if b, ok = s.value(b[end+2:], depth+1); !ok {
			return nil, false
		}
		m.to = len(s.out)
		s.members = append(s.members, m)
	}
	if !ordered && !s.order(s.members[from:]) {
		return nil, false
	}
	s.out, s.members = append(s.out, '}'), s.members[:from]
	return b[1:], true
}

// order writes the members of an object again, by name. ok is false if a name is there twice.
func (s *sorter) order(members []member) (ok bool) {
	start := members[0].from
	s.spare = append(s.spare[:0], s.out[start:]...)
	slices.SortFunc(members, func(x, y member) int { return bytes.Compare(x.name, y.name) })
	s.out = s.out[:start]
	for i, m := range members {
		if i > 0 {
			if bytes.Equal(m.name, members[i-1].name) {
				return false
			}
			s.out = append(s.out, ',')
		}
		s.out = append(s.out, s.spare[m.from-start:m.to-start]...)
	}
	return true
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
