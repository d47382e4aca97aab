// SPDX-License-Identifier: Apache-2.0

package media

import "encoding/binary"

// exif reads the orientation, and whether there is a place, from a TIFF structure. Only the first directory is looked at: the
// others are of cameras, places and thumbnails. What cannot be read says nothing, as it does to viewers.
func (m *image) exif(b []byte) {
	m.remove(typeExif)
	if len(b) < 8 {
		return
	}
	var order binary.ByteOrder
	switch string(b[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return
	}
	at := int64(order.Uint32(b[4:]))
	if at < 8 || at+2 > int64(len(b)) {
		return
	}
	n := min(int(order.Uint16(b[at:])), maxExifTags)
	entries := b[at+2:]
	for ; n > 0 && len(entries) >= 12; n, entries = n-1, entries[12:] {
		tag, kind, count := order.Uint16(entries), order.Uint16(entries[2:]), order.Uint32(entries[4:])
		switch {
		case tag == 0x0112 && kind == 3 && count == 1:
			if v := int(order.Uint16(entries[8:])); v >= 1 && v <= 8 && m.orientation == 0 {
				m.orientation = v
			}
		case tag == 0x8825:
			m.remove(typeLocation)
		}
	}
}

// turn says whether a tag for the orientation must be written, or why the picture must not pass.
func (m *image) turn() (tag []byte, reason string) {
	if m.orientation <= 1 {
		return nil, ""
	}
	if m.c.Orientation != "keep-tag" {
		return nil, reasonOrientation
	}
	b := []byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00")
	b[19] = byte(m.orientation)
	return b, ""
}
