// SPDX-License-Identifier: Apache-2.0

package scan

// block is how many bytes Scan looks at before it branches: a WebAssembly engine pays for each branch.
const block = 64

// triggers has, for each two bytes as a little-endian number, which of them are triggers: bit 0 is the first, bit 1 the second. What the byte
// before or after the two would have to be is taken for granted. A table is the fastest in WebAssembly, where every operation costs.
type triggers [1 << 16]uint8

func newTriggers() *triggers {
	t := new(triggers)
	for second := range 256 {
		for first := range 256 {
			t[second<<8|first] = trigger(byte(first), byte(second))
		}
	}
	return t
}

func trigger(a, b byte) (set uint8) {
	switch {
	case isDigit(a), a == '@',
		a == '.' && (isLetter(b) || isDigit(b)),
		a == ':' && (isHex(b) || b == '/' || b == ':' || b == '-'),
		isUpper(a) && isUpper(b):
		set = 1
	}
	switch {
	case isDigit(b), b == '@', b == '.', b == ':',
		a == 'a' && b == 'y', a|0x20 == 'd' && b == 'a': // the end of weekdays
		set |= 2
	}
	return set
}

// find is the first block at or after i in which there is a trigger, with a bit for each; or where less than a block is left.
func (s *triggers) find(text []byte, i int) (at int, set uint64) {
	for i+block <= len(text) {
		t := (*[block]byte)(text[i:])
		set = uint64(s[pair(t, 0)]) | uint64(s[pair(t, 2)])<<2 | uint64(s[pair(t, 4)])<<4 | uint64(s[pair(t, 6)])<<6 |
			uint64(s[pair(t, 8)])<<8 | uint64(s[pair(t, 10)])<<10 | uint64(s[pair(t, 12)])<<12 | uint64(s[pair(t, 14)])<<14 |
			uint64(s[pair(t, 16)])<<16 | uint64(s[pair(t, 18)])<<18 | uint64(s[pair(t, 20)])<<20 | uint64(s[pair(t, 22)])<<22 |
			uint64(s[pair(t, 24)])<<24 | uint64(s[pair(t, 26)])<<26 | uint64(s[pair(t, 28)])<<28 | uint64(s[pair(t, 30)])<<30 |
			uint64(s[pair(t, 32)])<<32 | uint64(s[pair(t, 34)])<<34 | uint64(s[pair(t, 36)])<<36 | uint64(s[pair(t, 38)])<<38 |
			uint64(s[pair(t, 40)])<<40 | uint64(s[pair(t, 42)])<<42 | uint64(s[pair(t, 44)])<<44 | uint64(s[pair(t, 46)])<<46 |
			uint64(s[pair(t, 48)])<<48 | uint64(s[pair(t, 50)])<<50 | uint64(s[pair(t, 52)])<<52 | uint64(s[pair(t, 54)])<<54 |
			uint64(s[pair(t, 56)])<<56 | uint64(s[pair(t, 58)])<<58 | uint64(s[pair(t, 60)])<<60 | uint64(s[pair(t, 62)])<<62
		if set != 0 {
			return i, set
		}
		i += block
	}
	return i, 0
}
