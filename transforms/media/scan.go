// SPDX-License-Identifier: Apache-2.0

package media

// Entropy-coded data is read through, block by block, without making pixels of it (ITU T.81, annexes F and G): only so can be told
// where the picture ends, and what somebody wrote behind it.

// maxScans bounds a progressive picture. Each scan goes over all blocks.
const maxScans = 64

// maxDC is the most bits that a difference has.
const maxDC = 16

// component is one colour of the frame.
type component struct {
	id, h, v byte
	quant    byte     // the number of its quantisation table
	table    []byte   // and the table, once a scan used it
	seen     []uint64 // of a progressive picture: the coefficients of each block that are not zero
	dc, ac   *huffman // of the scan at hand
}

// frameHeader is what the scans need of the frame.
type frameHeader struct {
	progressive bool
	wide, high  int
	h, v        int // the largest
	components  []component
}

// huffman is a table: values by code.
type huffman struct {
	first  [18]int32 // of each length: the first code, and where its value stands
	value  [18]int32
	counts []byte // of codes of each length
	values []byte
	short  [256]uint16 // of codes up to eight bits: length and value; 0 for longer ones
}

// newHuffman makes a table of sixteen counts and the values; nil if there are more codes than fit, or two for one value.
func newHuffman(counts, values []byte) *huffman {
	h := &huffman{counts: counts, values: values}
	var has [256]bool
	for _, v := range values {
		if has[v] {
			return nil
		}
		has[v] = true
	}
	code, n := int32(0), int32(0)
	for length := 1; length <= 16; length++ {
		h.first[length], h.value[length] = code, n
		for range counts[length-1] {
			if code >= 1<<length {
				return nil
			}
			if length <= 8 {
				for fill := range int32(1) << (8 - length) {
					h.short[code<<(8-length)|fill] = uint16(length)<<8 | uint16(values[n])
				}
			}
			code, n = code+1, n+1
		}
		code <<= 1
	}
	h.value[17] = n
	return h
}

// bitReader reads entropy-coded data up to a marker.
type bitReader struct {
	b   []byte
	i   int
	acc uint32 // the last n bits are to be read
	n   int
	bad bool // more was asked than there is
}

func (r *bitReader) fill() {
	for r.n <= 24 && r.i < len(r.b) {
		c := r.b[r.i]
		if c == 0xff {
			if r.i+1 >= len(r.b) || r.b[r.i+1] != 0 {
				return
			}
			r.i++
		}
		r.i++
		r.acc, r.n = r.acc<<8|uint32(c), r.n+8
	}
}

func (r *bitReader) bits(n int) int {
	if r.n < n {
		if r.fill(); r.n < n {
			r.bad = true
			return 0
		}
	}
	r.n -= n
	return int(r.acc >> r.n & (1<<n - 1))
}

func (r *bitReader) code(h *huffman) int {
	if r.n < 16 {
		r.fill()
	}
	if r.n >= 8 {
		if s := h.short[r.acc>>(r.n-8)&0xff]; s != 0 {
			r.n -= int(s >> 8)
			return int(s & 0xff)
		}
	}
	code := int32(0)
	for length := 1; length <= 16 && !r.bad; length++ {
		code = code<<1 | int32(r.bits(1))
		if at := h.value[length] + code - h.first[length]; code >= h.first[length] && at < h.value[length+1] {
			return int(h.values[at])
		}
	}
	r.bad = true
	return 0
}

// align drops the rest of a byte, and gives back bytes that were not needed.
func (r *bitReader) align() {
	for ; r.n >= 8; r.n -= 8 {
		r.i--
		if r.i > 0 && r.b[r.i] == 0 && r.b[r.i-1] == 0xff {
			r.i--
		}
	}
	r.n = 0
}

// restart reads the marker between two intervals.
func (r *bitReader) restart(number int) bool {
	r.align()
	if r.i+2 > len(r.b) || r.b[r.i] != 0xff || r.b[r.i+1] != mRST0+byte(number&7) {
		return false
	}
	r.i += 2
	return true
}

// blocks reads the blocks of one scan.
type blocks struct {
	bitReader
	from, to, high int // spectral selection, and the bit that was sent before
	progressive    bool
	run            int // blocks without anything to come
}

func newBlocks(f *frameHeader, header []byte) *blocks {
	n := int(header[0])
	return &blocks{progressive: f.progressive, from: int(header[1+2*n]), to: int(header[2+2*n]), high: int(header[3+2*n] >> 4)}
}

// block reads the nth block of a component.
func (s *blocks) block(c *component, n int) {
	switch {
	case !s.progressive:
		s.bits(s.size(c.dc))
		s.coefficients(c, nil, 1, 63)
	case s.from == 0 && s.high == 0:
		s.bits(s.size(c.dc))
	case s.from == 0:
		s.bits(1)
	case s.high == 0:
		if s.run > 0 {
			s.run--
			return
		}
		s.coefficients(c, &c.seen[n], s.from, s.to)
	default:
		s.refine(c, &c.seen[n])
	}
}

// size reads how many bits a difference has.
func (s *blocks) size(h *huffman) int {
	n := s.code(h)
	if n > maxDC {
		s.bad = true
		return 0
	}
	return n
}

func (s *blocks) coefficients(c *component, seen *uint64, from, to int) {
	for k := from; k <= to && !s.bad; k++ {
		rs := s.code(c.ac)
		zeros, size := rs>>4, rs&15
		if size == 0 && zeros < 15 {
			if s.progressive {
				s.run = 1<<zeros - 1 + s.bits(zeros)
			}
			return
		}
		if k += zeros; k > to {
			s.bad = true
			return
		}
		if s.bits(size); seen != nil && size > 0 {
			*seen |= 1 << k
		}
	}
}

// refine reads one more bit of the coefficients that there are, and new ones between them.
func (s *blocks) refine(c *component, seen *uint64) {
	k := s.from
	for s.run == 0 && k <= s.to && !s.bad {
		rs := s.code(c.ac)
		zeros, size := rs>>4, rs&15
		if size == 0 && zeros < 15 {
			s.run = 1<<zeros + s.bits(zeros)
			break
		}
		if size > 1 {
			s.bad = true
			return
		}
		s.bits(size)
		for ; k <= s.to; k++ {
			if *seen>>k&1 == 1 {
				s.bits(1)
			} else if zeros--; zeros < 0 {
				break
			}
		}
		if size == 1 {
			if k > s.to {
				s.bad = true
				return
			}
			*seen |= 1 << k
		}
		k++
	}
	if s.run > 0 {
		for ; k <= s.to; k++ {
			if *seen>>k&1 == 1 {
				s.bits(1)
			}
		}
		s.run--
	}
}

// walk reads one scan and gives where its last block ends.
func (j *jpegFile) walk(header, data []byte) (end int, ok bool) {
	f := &j.head
	n := int(header[0])
	s := newBlocks(f, header)
	s.b = data
	list, ok := j.selected(header, s)
	if !ok {
		return 0, false
	}
	across, down := ceil(f.wide, 8*f.h), ceil(f.high, 8*f.v)
	if n == 1 {
		c := list[0]
		across, down = ceil(ceil(f.wide*int(c.h), f.h), 8), ceil(ceil(f.high*int(c.v), f.v), 8)
		if s.from > 0 && c.seen == nil {
			c.seen = make([]uint64, across*down)
		}
	}
	for unit := range across * down {
		if j.interval > 0 && unit > 0 && unit%j.interval == 0 {
			if s.run > 0 || !s.restart(unit/j.interval-1) {
				return 0, false
			}
		}
		if n == 1 {
			s.block(list[0], unit)
		} else {
			for _, c := range list {
				for range int(c.h) * int(c.v) {
					s.block(c, 0)
				}
			}
		}
		if s.bad {
			return 0, false
		}
	}
	s.align()
	return s.i, s.run == 0
}

func ceil(a, b int) int { return (a + b - 1) / b }

// selected gives the components of a scan with their tables.
func (j *jpegFile) selected(header []byte, s *blocks) (list []*component, ok bool) {
	n := int(header[0])
	switch {
	case !s.progressive && (s.from != 0 || s.to != 63 || s.high != 0):
		return nil, false
	case s.progressive && (s.from > s.to || s.to > 63 || s.from == 0 && s.to != 0 || s.from > 0 && n > 1):
		return nil, false
	}
	for i := range n {
		id, tables := header[1+2*i], header[2+2*i]
		var c *component
		for k := range j.head.components {
			if j.head.components[k].id == id {
				c = &j.head.components[k]
			}
		}
		if c == nil || tables>>4 > 3 || tables&15 > 3 {
			return nil, false
		}
		for _, other := range list {
			if other == c {
				return nil, false
			}
		}
		c.dc, c.ac = nil, nil
		if !s.progressive || s.from == 0 && s.high == 0 {
			if c.dc = j.tables[0][tables>>4]; c.dc == nil {
				return nil, false
			}
		}
		if !s.progressive || s.from > 0 {
			if c.ac = j.tables[1][tables&15]; c.ac == nil {
				return nil, false
			}
		}
		list = append(list, c)
	}
	return list, true
}
