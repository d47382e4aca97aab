// SPDX-License-Identifier: Apache-2.0

package fuel

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// reader reads the binary format. After the first error it stands still and returns zeroes, so that callers may check err
// once for a group of reads; loops that depend on a count must check it each time round.
type reader struct {
	b   []byte
	p   int
	at  int // where b[0] lies in the module
	err error
}

var errTruncated = errors.New("ends early")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %w", r.at+r.p, err)
		r.p = len(r.b)
	}
}

func (r *reader) left() int  { return len(r.b) - r.p }
func (r *reader) more() bool { return r.err == nil && r.p < len(r.b) }

func (r *reader) byte() byte {
	if r.p >= len(r.b) {
		r.fail(errTruncated)
		return 0
	}
	r.p++
	return r.b[r.p-1]
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > r.left() {
		r.fail(errTruncated)
		return nil
	}
	r.p += n
	return r.b[r.p-n : r.p : r.p]
}

// u32 reads an unsigned LEB128 of 32 bits: at most five bytes, the unused bits of the fifth zero.
func (r *reader) u32() uint32 {
	if r.p < len(r.b) && r.b[r.p] < 0x80 {
		r.p++
		return uint32(r.b[r.p-1])
	}
	var v uint32
	for s := 0; s < 35; s += 7 {
		c := r.byte()
		if s == 28 && c > 0x0f {
			break
		}
		v |= uint32(c&0x7f) << s
		if c < 0x80 {
			return v
		}
	}
	r.fail(errors.New("number does not fit 32 bits"))
	return 0
}

// signed reads a signed LEB128 of so many bits: no more bytes than they need, the unused bits of the last all equal the sign.
func (r *reader) signed(bits int) int64 {
	var v int64
	for s := 0; s < bits; s += 7 {
		c := r.byte()
		v |= int64(c&0x7f) << s
		if c >= 0x80 {
			continue
		}
		if s+7 < 64 && c&0x40 != 0 {
			v |= -1 << (s + 7)
		}
		if rest := bits - s; rest < 7 { // the last byte that may be: its top bits must repeat the sign
			top := int8(c<<1) >> rest // sign bit and all above it
			if top != 0 && top != -1 {
				break
			}
		}
		return v
	}
	r.fail(fmt.Errorf("number does not fit %d bits", bits))
	return 0
}

// count reads the length of a vector whose items take at least size bytes each, so that no count outruns the input.
func (r *reader) count(what string, limit, size int) int {
	n := r.u32()
	if int64(n) > int64(limit) {
		r.fail(fmt.Errorf("%d %s, at most %d", n, what, limit))
		return 0
	}
	if int64(n)*int64(size) > int64(r.left()) {
		r.fail(fmt.Errorf("%d %s: %w", n, what, errTruncated))
		return 0
	}
	return int(n)
}

// index reads an index below n. Everything that the rewrite adds lies at n and above, where a module must not reach.
func (r *reader) index(what string, n int) uint32 {
	i := r.u32()
	if r.err == nil && int64(i) >= int64(n) {
		r.fail(fmt.Errorf("%s %d, of %d", what, i, n))
		return 0
	}
	return i
}

func (r *reader) name(what string) string {
	n := r.u32()
	if int64(n) > int64(r.left()) {
		r.fail(errTruncated)
		return ""
	}
	b := r.bytes(int(n))
	if !utf8.Valid(b) {
		r.fail(fmt.Errorf("%s is not UTF-8", what))
	}
	return string(b)
}

func (r *reader) end(what string) {
	if r.err == nil && r.p != len(r.b) {
		r.fail(fmt.Errorf("%s is longer than what it holds", what))
	}
}

// appendU appends an unsigned LEB128, appendS a signed one, both as short as can be.
func appendU(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendS(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendName(b []byte, s string) []byte {
	return append(appendU(b, uint64(len(s))), s...)
}
