// SPDX-License-Identifier: Apache-2.0

package media

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/adler32"
	"hash/crc32"
	"io"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// pngFile is what is known of a PNG before it is written anew.
type pngFile struct {
	m       *image
	head    []byte // IHDR
	before  []byte // chunks before the pixels, written anew
	pixels  []byte // of all IDAT
	profile []byte // iCCP
	palette bool
	seen    map[string]bool
	ended   bool // the run of IDAT
}

// png writes a PNG anew: the critical chunks and those that say colours and sizes.
func (m *image) png(b []byte) (reason string) {
	p := &pngFile{m: m, seen: map[string]bool{}}
	if reason := p.read(b[len(pngSignature):]); reason != "" {
		return reason
	}
	n, reason := p.inflate()
	if reason != "" {
		return reason
	}
	tag, reason := m.turn()
	if reason != "" {
		return reason
	}
	m.out = append(make([]byte, 0, n+len(p.before)+128), pngSignature...)
	m.out = appendChunk(m.out, "IHDR", p.head)
	if reason := p.colours(); reason != "" {
		return reason
	}
	m.out = append(m.out, p.before...)
	if tag != nil {
		m.out = appendChunk(m.out, "eXIf", tag)
	}
	m.out = appendChunk(m.out, "IDAT", p.pixels[:n])
	m.out = appendChunk(m.out, "IEND", nil)
	return ""
}

func appendChunk(dst []byte, kind string, data []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	from := len(dst)
	dst = append(append(dst, kind...), data...)
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[from:]))
}

// read takes the file apart, up to IEND.
func (p *pngFile) read(b []byte) (reason string) {
	for {
		if len(b) < 12 {
			return reasonTruncated
		}
		n := int64(binary.BigEndian.Uint32(b))
		if n > 1<<31-1 {
			return reasonMalformed
		}
		if n+12 > int64(len(b)) {
			return reasonTruncated
		}
		kind, data := string(b[4:8]), b[8:8+n]
		if crc32.ChecksumIEEE(b[4:8+n]) != binary.BigEndian.Uint32(b[8+n:]) {
			return reasonMalformed
		}
		b = b[12+n:]
		if p.head == nil != (kind == "IHDR") {
			return reasonMalformed
		}
		if kind == "IEND" {
			if n != 0 || p.pixels == nil {
				return reasonMalformed
			}
			if len(b) > 0 {
				p.m.remove(typeTrailing)
			}
			return ""
		}
		if reason := p.take(kind, data); reason != "" {
			return reason
		}
	}
}

// kept are the ancillary chunks that pass, with the lengths that they may have.
var kept = map[string][2]int{"tRNS": {1, 256}, "gAMA": {4, 4}, "cHRM": {32, 32}, "sRGB": {1, 1}, "sBIT": {1, 4}, "pHYs": {9, 9}}

// take looks at one chunk.
func (p *pngFile) take(kind string, data []byte) (reason string) {
	if kind == "IDAT" {
		if p.ended {
			return reasonMalformed
		}
		p.pixels = append(p.pixels, data...)
		if p.pixels == nil {
			p.pixels = []byte{}
		}
		return ""
	}
	p.ended = p.pixels != nil
	if bounds, ok := kept[kind]; ok {
		late := p.ended || kind != "tRNS" && kind != "pHYs" && p.palette
		if late || p.seen[kind] || len(data) < bounds[0] || len(data) > bounds[1] {
			return reasonMalformed
		}
		p.seen[kind] = true
		p.before = appendChunk(p.before, kind, data)
		return ""
	}
	switch kind {
	case "IHDR":
		return p.header(data)
	case "PLTE":
		if p.palette || p.ended || p.seen["tRNS"] || len(data) == 0 || len(data)%3 != 0 || len(data) > 768 {
			return reasonMalformed
		}
		p.palette = true
		p.before = appendChunk(p.before, kind, data)
		return ""
	case "acTL", "fcTL", "fdAT":
		return reasonAnimated
	case "iCCP":
		if p.profile != nil || p.ended || p.palette {
			return reasonMalformed
		}
		p.profile = data
		return ""
	}
	return p.drop(kind, data)
}

// drop counts a chunk that is left out.
func (p *pngFile) drop(kind string, data []byte) (reason string) {
	switch {
	case kind[0]&0x20 == 0: // critical, and we do not know it
		return reasonUnsupported
	case kind == "eXIf":
		p.m.exif(data)
	case kind == "iTXt" && bytes.HasPrefix(data, []byte("XML:com.adobe.xmp\x00")):
		p.m.remove(typeXMP)
	case kind == "tEXt" || kind == "zTXt" || kind == "iTXt":
		p.m.remove(typeComment)
	case kind == "tIME":
		p.m.remove(typeTime)
	default:
		p.m.remove(typeOther)
	}
	return ""
}

// samples is how many numbers a pixel has, by colour type.
var samples = map[byte]int64{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

func (p *pngFile) header(data []byte) (reason string) {
	if len(data) != 13 {
		return reasonMalformed
	}
	wide, high := int64(binary.BigEndian.Uint32(data)), int64(binary.BigEndian.Uint32(data[4:]))
	depth, colour := data[8], data[9]
	switch {
	case wide == 0 || high == 0 || samples[colour] == 0 || data[10] != 0 || data[11] != 0 || data[12] > 1:
		return reasonMalformed
	case wide > maxSide || high > maxSide || wide*high > p.m.c.MaxPixels:
		return reasonPixels
	case depth != 1 && depth != 2 && depth != 4 && depth != 8 && depth != 16:
		return reasonMalformed
	case depth < 8 && colour != 0 && colour != 3 || depth == 16 && colour == 3:
		return reasonMalformed
	}
	p.head = data
	return ""
}

// passes are Adam7's: where each begins, and how far its pixels are apart.
var passes = [7][4]int64{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}

// rows calls f for each pass that has pixels, with how many rows of how many bytes it has.
func (p *pngFile) rows(f func(rows, bytes int64) bool) bool {
	wide, high := int64(binary.BigEndian.Uint32(p.head)), int64(binary.BigEndian.Uint32(p.head[4:]))
	bits := samples[p.head[9]] * int64(p.head[8])
	if p.head[12] == 0 {
		return f(high, (wide*bits+7)/8)
	}
	for _, s := range passes {
		w, h := (wide-s[0]+s[2]-1)/s[2], (high-s[1]+s[3]-1)/s[3]
		if w > 0 && h > 0 && !f(h, (w*bits+7)/8) {
			return false
		}
	}
	return true
}

// inflate reads the pixels as a decoder would, keeping none: they must be as many as the header says. It gives where the
// compressed stream ends: what stands behind it, e.g. what an editor cut off, is left out.
func (p *pngFile) inflate() (length int, reason string) {
	in := bytes.NewReader(p.pixels)
	z, err := zlib.NewReader(in)
	if err != nil {
		return 0, reasonMalformed
	}
	row := make([]byte, 0, 1<<16)
	ok := p.rows(func(rows, bytes int64) bool {
		if int64(cap(row)) < bytes+1 {
			row = make([]byte, bytes+1)
		}
		row = row[:bytes+1]
		for range rows {
			if _, err := io.ReadFull(z, row); err != nil || row[0] > 4 {
				return false
			}
		}
		return true
	})
	if !ok {
		return 0, reasonMalformed
	}
	if n, err := z.Read(row[:1]); n != 0 || err != io.EOF {
		return 0, reasonMalformed
	}
	if in.Len() > 0 {
		p.m.remove(typeTrailing)
	}
	return len(p.pixels) - in.Len(), ""
}

// colours writes the profile anew.
func (p *pngFile) colours() (reason string) {
	if p.profile == nil {
		return ""
	}
	p.m.remove(typeProfile)
	if p.m.c.Profile == "drop" {
		return ""
	}
	name := bytes.IndexByte(p.profile, 0)
	if name < 1 || name > 79 || len(p.profile) < name+2 || p.profile[name+1] != 0 {
		return reasonProfile
	}
	z, err := zlib.NewReader(bytes.NewReader(p.profile[name+2:]))
	if err != nil {
		return reasonProfile
	}
	whole, err := io.ReadAll(io.LimitReader(z, maxProfile+1))
	if err != nil {
		return reasonProfile
	}
	clean, ok := cleanProfile(whole)
	if !ok {
		return reasonProfile
	}
	p.m.out = appendChunk(p.m.out, "iCCP", append([]byte("icc\x00\x00"), store(clean)...))
	return ""
}

// store is a zlib stream without compression, the same with every release of Go.
func store(b []byte) []byte {
	out, sum := []byte{0x78, 0x01}, adler32.Checksum(b)
	for {
		n := min(len(b), 0xffff)
		last := byte(0)
		if n == len(b) {
			last = 1
		}
		out = append(out, last)
		out = binary.LittleEndian.AppendUint16(out, uint16(n))
		out = binary.LittleEndian.AppendUint16(out, ^uint16(n))
		out, b = append(out, b[:n]...), b[n:]
		if last == 1 {
			return binary.BigEndian.AppendUint32(out, sum)
		}
	}
}
