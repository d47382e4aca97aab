// SPDX-License-Identifier: Apache-2.0

package media

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Markers (ITU T.81, table B.1).
const (
	mSOF0  = 0xc0
	mSOF2  = 0xc2
	mDHT   = 0xc4
	mRST0  = 0xd0
	mRST7  = 0xd7
	mSOI   = 0xd8
	mEOI   = 0xd9
	mSOS   = 0xda
	mDQT   = 0xdb
	mDRI   = 0xdd
	mAPP0  = 0xe0
	mAPP1  = 0xe1
	mAPP2  = 0xe2
	mAPP13 = 0xed
	mAPP14 = 0xee
	mAPP15 = 0xef
	mCOM   = 0xfe
)

const (
	exifMark = "Exif\x00\x00"
	xmpMark  = "http://ns.adobe.com/"
	iccMark  = "ICC_PROFILE\x00"
)

// jpegFile is what is known of a JPEG before it is written anew.
type jpegFile struct {
	m     *image
	body  []byte   // tables, frame and scans: what the pixels need
	jfif  []byte   // its APP0, 14 bytes of it; nil if there was none
	adobe []byte   // the colour transform of its APP14
	parts [][]byte // of the profile
	frame bool
	scans int

	head     frameHeader
	tables   [2][4]*huffman // by class and number, as they stand
	quants   [4][]byte      // the same of quantisation, as segments have them
	written  written
	interval int    // of restarts
	selects  []byte // the header of the scan at hand
}

// written is what was written that scans use: nothing else is, since anything can be in a table that nobody uses.
type written struct {
	huffman  [2][4]*huffman
	quants   [4][]byte
	interval int
}

// jpeg writes a JPEG anew: JFIF's density, Adobe's colour transform, the clean profile, the orientation if the configuration has
// it so, then tables, frame and scans.
func (m *image) jpeg(b []byte) (reason string) {
	j := &jpegFile{m: m, body: make([]byte, 0, len(b))}
	if reason := j.read(b); reason != "" {
		return reason
	}
	m.out = append(make([]byte, 0, len(j.body)+64), 0xff, mSOI)
	if j.jfif != nil {
		m.segment(mAPP0, j.jfif)
	}
	tag, reason := m.turn()
	if reason != "" {
		return reason
	}
	if tag != nil {
		m.segment(mAPP1, append([]byte(exifMark), tag...))
	}
	if reason := j.colours(); reason != "" {
		return reason
	}
	if j.adobe != nil {
		m.segment(mAPP14, j.adobe)
	}
	m.out = append(append(m.out, j.body...), 0xff, mEOI)
	return ""
}

func (m *image) segment(marker byte, payload []byte) {
	m.out = append(m.out, 0xff, marker)
	m.out = append(binary.BigEndian.AppendUint16(m.out, uint16(len(payload)+2)), payload...)
}

// read takes the file apart. Bytes between segments, other than fill bytes, are malformed.
func (j *jpegFile) read(b []byte) (reason string) {
	i := 2
	for {
		if i >= len(b) {
			return reasonTruncated
		}
		if b[i] != 0xff {
			return reasonMalformed
		}
		for i < len(b) && b[i] == 0xff { // fill bytes
			i++
		}
		if i >= len(b) {
			return reasonTruncated
		}
		marker := b[i]
		i++
		if marker == mEOI {
			return j.end(b[i:])
		}
		if marker < mSOF0 || marker >= mRST0 && marker <= mSOI {
			return reasonMalformed
		}
		if i+2 > len(b) {
			return reasonTruncated
		}
		n := int(binary.BigEndian.Uint16(b[i:]))
		if n < 2 {
			return reasonMalformed
		}
		if i+n > len(b) {
			return reasonTruncated
		}
		if reason := j.take(marker, b[i+2:i+n]); reason != "" {
			return reason
		}
		i += n
		if marker == mSOS {
			n, reason := j.scan(b[i:])
			if reason != "" {
				return reason
			}
			i += n
		}
	}
}

func (j *jpegFile) end(rest []byte) string {
	if !j.frame || j.scans == 0 {
		return reasonMalformed
	}
	if len(rest) > 0 {
		j.m.remove(typeTrailing)
	}
	return ""
}

// take looks at one segment and keeps what the pixels need.
func (j *jpegFile) take(marker byte, p []byte) (reason string) {
	ok := true
	switch {
	case marker >= mAPP0 && marker <= mAPP15:
		j.application(marker, p)
		return ""
	case marker == mCOM:
		j.m.remove(typeComment)
		return ""
	case marker >= mSOF0 && marker <= mSOF2:
		reason, ok = j.start(p, marker == mSOF2)
		if reason != "" {
			return reason
		}
	case marker == mDHT:
		ok = j.huffmanTables(p)
	case marker == mDQT:
		ok = j.quantisationTables(p)
	case marker == mDRI:
		if ok = len(p) == 2; ok {
			j.interval = int(binary.BigEndian.Uint16(p))
		}
	case marker == mSOS:
		ok = j.frame && len(p) >= 4 && p[0] >= 1 && p[0] <= 4 && len(p) == 4+2*int(p[0])
		if j.scans++; j.scans > maxScans {
			return reasonUnsupported
		}
		if j.selects = p; ok {
			ok = j.define(p)
		}
	default: // arithmetic, lossless, hierarchical, and what is reserved
		return reasonUnsupported
	}
	if !ok {
		return reasonMalformed
	}
	if marker == mSOS || marker >= mSOF0 && marker <= mSOF2 { // tables come with the scan that uses them
		j.segment(marker, p)
	}
	return ""
}

func (j *jpegFile) segment(marker byte, parts ...[]byte) {
	n := 2
	for _, p := range parts {
		n += len(p)
	}
	j.body = binary.BigEndian.AppendUint16(append(j.body, 0xff, marker), uint16(n))
	for _, p := range parts {
		j.body = append(j.body, p...)
	}
}

// define writes the tables that a scan uses, if they were not written before.
func (j *jpegFile) define(header []byte) bool {
	s := newBlocks(&j.head, header)
	list, ok := j.selected(header, s)
	if !ok {
		return false
	}
	w := &j.written
	for i, c := range list {
		q := j.quants[c.quant]
		if q == nil || c.table != nil && !bytes.Equal(c.table, q) { // some decoders take the first, others the last
			return false
		}
		c.table = q
		if !bytes.Equal(w.quants[c.quant], q) {
			w.quants[c.quant] = q
			j.segment(mDQT, q)
		}
		tables := header[2+2*i]
		j.defineHuffman(0, tables>>4, c.dc)
		j.defineHuffman(1, tables&15, c.ac)
	}
	if j.interval != w.interval {
		w.interval = j.interval
		j.segment(mDRI, binary.BigEndian.AppendUint16(nil, uint16(j.interval)))
	}
	return true
}

func (j *jpegFile) defineHuffman(class, number byte, h *huffman) {
	if h == nil || j.written.huffman[class][number] == h {
		return
	}
	j.written.huffman[class][number] = h
	j.segment(mDHT, []byte{class<<4 | number}, h.counts, h.values)
}

// start reads the frame header.
func (j *jpegFile) start(p []byte, progressive bool) (reason string, ok bool) {
	if len(p) < 6 || j.frame || p[5] < 1 || p[5] > 4 || len(p) != 6+3*int(p[5]) {
		return "", false
	}
	j.frame = true
	high, wide := int64(binary.BigEndian.Uint16(p[1:])), int64(binary.BigEndian.Uint16(p[3:]))
	switch {
	case high == 0 || p[0] != 8: // the height comes later, or samples are not of eight bits
		return reasonUnsupported, true
	case wide == 0:
		return "", false
	case high*wide > j.m.c.MaxPixels:
		return reasonPixels, true
	}
	j.head = frameHeader{progressive: progressive, wide: int(wide), high: int(high), h: 1, v: 1}
	for c := p[6:]; len(c) > 0; c = c[3:] {
		h, v := c[1]>>4, c[1]&15
		if h < 1 || h > 4 || v < 1 || v > 4 || c[2] > 3 {
			return "", false
		}
		j.head.components = append(j.head.components, component{id: c[0], h: h, v: v, quant: c[2]})
		j.head.h, j.head.v = max(j.head.h, int(h)), max(j.head.v, int(v))
	}
	return "", true
}

// application keeps of APPn what colours and shapes need, and counts the rest.
func (j *jpegFile) application(marker byte, p []byte) {
	m := j.m
	switch {
	case marker == mAPP0 && bytes.HasPrefix(p, []byte("JFIF\x00")) && len(p) >= 14 && j.jfif == nil:
		j.jfif = bytes.Clone(p[:14])
		j.jfif[12], j.jfif[13] = 0, 0
		if len(p) > 14 {
			m.remove(typePreview)
		}
	case marker == mAPP0 && bytes.HasPrefix(p, []byte("JFXX\x00")):
		m.remove(typePreview)
	case marker == mAPP1 && bytes.HasPrefix(p, []byte(exifMark)):
		m.exif(p[len(exifMark):])
	case marker == mAPP1 && bytes.HasPrefix(p, []byte(xmpMark)):
		m.remove(typeXMP)
	case marker == mAPP2 && bytes.HasPrefix(p, []byte(iccMark)):
		if len(j.parts) <= 255 { // there are no more, and colours refuses them
			j.parts = append(j.parts, p[len(iccMark):])
		}
	case marker == mAPP13:
		m.remove(typeIPTC)
	case marker == mAPP14 && bytes.HasPrefix(p, []byte("Adobe")) && len(p) >= 12 && j.adobe == nil:
		j.adobe = []byte{'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, p[11]}
		if p[11] > 2 {
			j.adobe[11] = 0
		}
	default:
		m.remove(typeOther)
	}
}

// colours writes the profile anew, of which each part has its number and how many there are.
func (j *jpegFile) colours() (reason string) {
	if len(j.parts) == 0 {
		return ""
	}
	j.m.remove(typeProfile)
	if j.m.c.Profile == "drop" {
		return ""
	}
	var whole []byte
	if len(j.parts) > 255 {
		return reasonProfile
	}
	for i := range j.parts {
		found := false
		for _, p := range j.parts {
			if len(p) >= 2 && int(p[0]) == i+1 && int(p[1]) == len(j.parts) {
				if found || len(whole)+len(p) > maxProfile {
					return reasonProfile
				}
				found, whole = true, append(whole, p[2:]...)
			}
		}
		if !found {
			return reasonProfile
		}
	}
	clean, ok := cleanProfile(whole)
	if !ok {
		return reasonProfile
	}
	const most = 65000
	n := (len(clean) + most - 1) / most
	for i := range n {
		part := clean[i*most : min((i+1)*most, len(clean))]
		j.m.segment(mAPP2, append(append([]byte(iccMark), byte(i+1), byte(n)), part...))
	}
	return ""
}

// scan copies entropy-coded data up to where its last block ends, and gives how long it is with what stands behind that.
func (j *jpegFile) scan(b []byte) (length int, reason string) {
	n := 0
	for {
		k := bytes.IndexByte(b[n:], 0xff)
		if k < 0 || n+k+1 >= len(b) {
			return 0, reasonTruncated
		}
		n += k
		if c := b[n+1]; c != 0 && (c < mRST0 || c > mRST7) {
			break
		}
		n += 2
	}
	end, ok := j.walk(j.selects, b[:n])
	if !ok {
		return 0, reasonMalformed
	}
	if end < n {
		j.m.remove(typeTrailing)
	}
	j.body = append(j.body, b[:end]...)
	return n, ""
}

// huffmanTables reads a segment of tables and nothing else.
func (j *jpegFile) huffmanTables(p []byte) bool {
	for len(p) > 0 {
		if len(p) < 17 || p[0]&0x0f > 3 || p[0]>>4 > 1 {
			return false
		}
		n := 17
		for _, c := range p[1:17] {
			n += int(c)
		}
		if n > len(p) || n > 17+256 {
			return false
		}
		h := newHuffman(p[1:17], p[17:n])
		if h == nil || p[0]>>4 == 0 && slices.ContainsFunc(p[17:n], func(v byte) bool { return v > maxDC }) {
			return false
		}
		j.tables[p[0]>>4][p[0]&15] = h
		p = p[n:]
	}
	return true
}

func (j *jpegFile) quantisationTables(p []byte) bool {
	for len(p) > 0 {
		n := 1 + 64*(1+int(p[0]>>4))
		if p[0]>>4 > 1 || p[0]&0x0f > 3 || len(p) < n {
			return false
		}
		j.quants[p[0]&15], p = p[:n], p[n:]
	}
	return true
}
