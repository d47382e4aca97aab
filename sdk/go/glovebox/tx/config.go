// SPDX-License-Identifier: Apache-2.0

package tx

// Config is what a transform is told of its step and the dataset. Whatever is written as JSON is canonical JSON.
type Config struct {
	JSON    []byte   // the step's configuration, an object
	Format  string   // csv, jsonl or files
	Columns []string // of CSV, in order
	Shape   string   // map, filter or any
}

// Text is a text of the step's configuration; fallback if it is not there.
func (c *Config) Text(name, fallback string) string {
	if v := member(c.JSON, name); len(v) >= 2 && v[0] == '"' {
		return text(v)
	}
	return fallback
}

// value is the length of the value at the beginning of canonical JSON.
func value(p []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case depth == 0 && (c == ',' || c == ':' || c == '}' || c == ']'):
			return i
		case c == '}' || c == ']':
			depth--
		}
	}
	return len(p)
}

// member is the value of an object's member, as it is written; nil if there is none.
func member(p []byte, name string) []byte {
	for i := 1; i+1 < len(p); {
		key := value(p[i:])
		at := i + key + 1
		if at >= len(p) {
			return nil
		}
		n := value(p[at:])
		if key == len(name)+2 && string(p[i+1:i+1+len(name)]) == name {
			return p[at : at+n]
		}
		i = at + n + 1
	}
	return nil
}

// text is what a text of canonical JSON says. It writes only control characters with \u.
func text(p []byte) string {
	if len(p) < 2 {
		return ""
	}
	var out []byte
	for p = p[1 : len(p)-1]; len(p) > 0; p = p[1:] {
		if p[0] != '\\' || len(p) < 2 {
			out = append(out, p[0])
			continue
		}
		p = p[1:]
		switch c := p[0]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			if len(p) < 5 {
				return string(out)
			}
			out = append(out, hex(p[3])<<4|hex(p[4]))
			p = p[4:]
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

func hex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
