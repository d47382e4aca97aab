// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// decode reads one of Intel's statements into v. Members that are not known are passed over, since Intel adds some without a
// new version and every statement in the field would be refused the next day; what they say is not acted on. A name that
// occurs twice in an object, whatever the case of its letters in all of Unicode, is refused: encoding/json would take the last, other readers
// the first, and the signed bytes would mean two things.
func decode(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !distinct(b) {
		return fmt.Errorf("%w: a name occurs twice in an object, or objects nest too deeply", ErrMalformed)
	}
	return nil
}

// distinct walks valid JSON once and compares the names of every object that is open.
func distinct(b []byte) bool {
	var names [maxDepth][][]byte
	open := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			if open == maxDepth {
				return false
			}
			names[open] = names[open][:0]
			open++
		case '}', ']':
			open--
		case '"':
			text, end, isName := quoted(b, i)
			i = end
			if !isName {
				continue
			}
			seen := names[open-1]
			if bytes.IndexByte(text, '\\') >= 0 || len(seen) == maxNames {
				return false
			}
			for _, n := range seen {
				if bytes.EqualFold(n, text) { // may be of different lengths: K is also the Kelvin sign, s the long s
					return false
				}
			}
			names[open-1] = append(seen, text)
		}
	}
	return true
}

// quoted is the string that starts at i in valid JSON, where its last quote is, and whether it names a member.
func quoted(b []byte, i int) (text []byte, end int, isName bool) {
	for end = i + 1; b[end] != '"'; end++ {
		if b[end] == '\\' {
			end++
		}
	}
	for j := end + 1; j < len(b); j++ {
		switch b[j] {
		case ' ', '\t', '\r', '\n':
		default:
			return b[i+1 : end], end, b[j] == ':'
		}
	}
	return b[i+1 : end], end, false
}

// components are the SVNs of a TCB level, -1 where an entry has none. They are most of a TCB info, so they are read without
// reflection.
type components []int16

// UnmarshalJSON implements [json.Unmarshaler]: a list of objects with a member "svn" from 0 to 255.
func (c *components) UnmarshalJSON(b []byte) error {
	*c = make(components, 0, 16)
	if len(b) == 0 || b[0] != '[' {
		return errors.New("TCB components are not a list")
	}
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			if depth++; depth == 2 {
				*c = append(*c, -1)
			}
		case '}', ']':
			depth--
		case '"':
			text, end, isName := quoted(b, i)
			if i = end; !isName || depth != 2 || string(text) != "svn" {
				continue
			}
			n, err := svnAfter(b[end+1:])
			if err != nil {
				return err
			}
			(*c)[len(*c)-1] = n
		}
	}
	return nil
}

// svnAfter reads the number behind a name.
func svnAfter(b []byte) (int16, error) {
	b = bytes.TrimLeft(b, ": \t\r\n")
	end := bytes.IndexAny(b, ",} \t\r\n")
	if end < 0 {
		end = len(b)
	}
	n, err := strconv.ParseUint(string(b[:end]), 10, 8)
	return int16(n), err
}
