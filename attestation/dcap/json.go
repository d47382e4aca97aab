// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// decode reads one of Intel's statements into v. Members that are not known are passed over, since Intel adds some without a
// new version and every statement in the field would be refused the next day; what they say is not acted on. A name that
// occurs twice in an object, whatever the case of its letters, is refused: encoding/json would take the last, other readers
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
	open := make([][]string, 0, maxDepth)
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			if len(open) == maxDepth {
				return false
			}
			open = append(open, nil)
		case '}', ']':
			open = open[:len(open)-1]
		case '"':
			end := i + 1
			for ; b[end] != '"'; end++ {
				if b[end] == '\\' {
					end++
				}
			}
			text := b[i+1 : end]
			i = end
			if rest := bytes.TrimLeft(b[i+1:], " \t\r\n"); len(rest) == 0 || rest[0] != ':' {
				continue // a value
			}
			names := open[len(open)-1]
			if bytes.IndexByte(text, '\\') >= 0 || len(names) == maxNames {
				return false
			}
			for _, n := range names {
				if strings.EqualFold(n, string(text)) {
					return false
				}
			}
			open[len(open)-1] = append(names, string(text))
		}
	}
	return true
}
