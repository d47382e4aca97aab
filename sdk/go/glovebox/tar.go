// SPDX-License-Identifier: Apache-2.0

package glovebox

import (
	"bytes"
	"strconv"
)

const (
	tarBlock   = 512
	maxTarText = 64 << 10 // names and sizes that do not fit a header
)

// nextFile goes to the next regular file of a tar stream (POSIX.1-2001). The stream may end without the two blocks of
// zeros, as a sealed one does: a later version of the dataset goes on there.
func (r *Records) nextFile() (bool, error) {
	var long tarText
	for {
		if err := r.w.skip(r.left + r.pad); err != nil {
			return false, r.at(wrap(ErrRecord, "is cut short"))
		}
		r.left, r.pad, r.size, r.name = 0, 0, 0, ""
		b, err := r.w.block(tarBlock)
		switch {
		case err != nil:
			return false, err
		case len(b) == 0, len(b) == tarBlock && allZero(b):
			return false, nil
		case len(b) < tarBlock || !checksum(b):
			return false, r.at(wrap(ErrRecord, "has no tar header where one should be"))
		}
		kind := b[156]
		size, ok := tarNumber(b[124:136])
		name := tarName(b)
		if long.size != "" {
			n, err := strconv.ParseInt(long.size, 10, 64)
			size, ok = n, err == nil && n >= 0
		}
		if !ok {
			return false, r.at(wrap(ErrRecord, "has no size in its tar header"))
		}
		r.left, r.pad = size, -size&(tarBlock-1)
		switch kind {
		case '0', 0:
			r.size, r.name = size, name
			if long.path != "" {
				r.name = long.path
			}
			return true, nil
		case 'x':
			if long, err = r.readTarText(); err != nil {
				return false, r.at(err)
			}
		default: // folders, links, global text: no records
			long = tarText{}
		}
	}
}

// tarText is what an extended header says of the entry after it.
type tarText struct{ path, size string }

func (r *Records) readTarText() (t tarText, err error) {
	bad := wrap(ErrRecord, "has a malformed extended tar header")
	if r.left > maxTarText {
		return t, bad
	}
	b, err := r.w.block(int(r.left))
	if err != nil || int64(len(b)) < r.left {
		return t, bad
	}
	r.left = 0
	for len(b) > 0 { // "LENGTH KEY=VALUE\n"
		sp := bytes.IndexByte(b, ' ')
		if sp < 0 {
			return t, bad
		}
		n, err := strconv.Atoi(string(b[:sp]))
		if err != nil || n <= sp+1 || n > len(b) || b[n-1] != '\n' {
			return t, bad
		}
		key, value, ok := bytes.Cut(b[sp+1:n-1], []byte{'='})
		if !ok {
			return t, bad
		}
		switch string(key) {
		case "path":
			t.path = string(value)
		case "size":
			t.size = string(value)
		}
		b = b[n:]
	}
	return t, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// checksum adds up a header with its checksum field taken as spaces.
func checksum(b []byte) bool {
	want, ok := tarNumber(b[148:156])
	sum := int64(8 * ' ')
	for i, c := range b {
		if i < 148 || i >= 156 {
			sum += int64(c)
		}
	}
	return ok && sum == want
}

// tarNumber reads octal digits, or, with the first bit set, a big-endian number.
func tarNumber(b []byte) (n int64, ok bool) {
	if b[0]&0x80 != 0 {
		for i, c := range b {
			if i == 0 {
				c &= 0x7f
			}
			if n >= 1<<54 {
				return 0, false
			}
			n = n<<8 | int64(c)
		}
		return n, true
	}
	b = bytes.Trim(b, " \x00")
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '7' {
			return 0, false
		}
		n = n<<3 | int64(c-'0')
	}
	return n, true
}

func tarName(b []byte) string {
	name := tarString(b[:100])
	if string(b[257:263]) == "ustar\x00" {
		if prefix := tarString(b[345:500]); prefix != "" {
			return prefix + "/" + name
		}
	}
	return name
}

func tarString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
