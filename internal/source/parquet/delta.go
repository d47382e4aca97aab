// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"encoding/binary"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// deltas are numbers in Parquet's DELTA_BINARY_PACKED.
type deltas struct {
	b         []byte
	at        int
	each, per int64 // miniblocks in a block, numbers in one
	total     int64
	first     int64
}

// readDeltas reads what the library would believe: it allocates as many numbers as a miniblock and the whole claim to have.
func readDeltas(b []byte, values int64) (*deltas, error) {
	d := &deltas{b: b}
	block, each, total := d.uvarint(), d.uvarint(), d.uvarint()
	d.first = unzigzag(d.uvarint())
	switch {
	case d.at < 0 || block == 0 || each == 0 || block%each != 0 || block/each%8 != 0:
		return nil, damaged("numbers packed in blocks that cannot be")
	case block > MaxBlock:
		return nil, fmt.Errorf("%w: %d numbers packed in a block, at most %d", source.ErrLimit, block, MaxBlock)
	case total > uint64(values):
		return nil, damaged("a page has more numbers than values")
	}
	if blocks := (max(total, 1) + block - 2) / block; blocks > uint64(len(b)-d.at)/(1+each) { // all but the first number are in blocks
		return nil, damaged("packed numbers end early")
	}
	d.each, d.per, d.total = int64(each), int64(block/each), int64(total)
	return d, nil
}

// uvarint reads a number; where there is none, and from then on, d.at is negative.
func (d *deltas) uvarint() uint64 {
	if d.at < 0 {
		return 0
	}
	v, n := binary.Uvarint(d.b[d.at:])
	if d.at += n; n <= 0 {
		d.at = -1
	}
	return v
}

// room is what the library's decoder allocates for a miniblock, which may grow, and for reading it.
func (d *deltas) room() int64 { return 2*8*d.per + d.each + 8<<10 }

// largest goes over lengths, which have 32 bits. What is behind them begins at d.at then.
func (d *deltas) largest() (most int64, err error) {
	if d.total == 0 {
		return 0, nil
	}
	last := d.first
	most = max(0, int64(int32(last)))
	for left := d.total - 1; left > 0; {
		least := unzigzag(d.uvarint())
		if d.at < 0 || d.each > int64(len(d.b)-d.at) {
			return 0, damaged("packed numbers end early")
		}
		widths := d.b[d.at : d.at+int(d.each)]
		d.at += int(d.each)
		for _, width := range widths {
			if left <= 0 {
				break
			}
			length := d.per * int64(width) / 8
			if width > 32 || length > int64(len(d.b)-d.at) {
				return 0, damaged("packed numbers end early, or are too large")
			}
			bits := packed{b: d.b[d.at : d.at+int(length)], width: int(width)}
			d.at += int(length)
			for range min(left, d.per) {
				last += bits.next() + least
				most = max(most, int64(int32(last)))
			}
			left -= d.per
		}
	}
	return most, nil
}

// packed are numbers of one width, up to 32 bits.
type packed struct {
	b     []byte
	width int
	bits  uint64
	have  int
}

func (p *packed) next() int64 {
	for p.have < p.width {
		p.bits |= uint64(p.b[0]) << p.have
		p.b, p.have = p.b[1:], p.have+8
	}
	v := p.bits & (1<<p.width - 1)
	p.bits, p.have = p.bits>>p.width, p.have-p.width
	return int64(v)
}
