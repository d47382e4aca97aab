// SPDX-License-Identifier: Apache-2.0

package media

import (
	"bytes"
	"encoding/binary"
)

// iccHeader is the length of a profile's header (ICC.1:2022, 7.2).
const iccHeader = 128

// profileTags are those that say colours by numbers alone, and the types that each may have.
var profileTags = []struct {
	name  string
	types []string
}{
	{"wtpt", []string{"XYZ "}},
	{"chad", []string{"sf32"}},
	{"rXYZ", []string{"XYZ "}},
	{"gXYZ", []string{"XYZ "}},
	{"bXYZ", []string{"XYZ "}},
	{"rTRC", []string{"curv", "para"}},
	{"gTRC", []string{"curv", "para"}},
	{"bTRC", []string{"curv", "para"}},
	{"kTRC", []string{"curv", "para"}},
}

// cleanProfile writes an ICC profile anew: white point, primaries and curves, without names, dates, serial numbers and texts.
// Profiles that say colours by tables cannot be cleaned.
func cleanProfile(b []byte) ([]byte, bool) {
	if len(b) < iccHeader+4 || len(b) > maxProfile || string(b[36:40]) != "acsp" || binary.BigEndian.Uint32(b) != uint32(len(b)) {
		return nil, false
	}
	space := string(b[16:20])
	if space != "RGB " && space != "GRAY" || string(b[20:24]) != "XYZ " || b[8] != 2 && b[8] != 4 {
		return nil, false
	}
	tags, ok := readTags(b)
	if !ok {
		return nil, false
	}
	needed := []string{"wtpt", "rXYZ", "gXYZ", "bXYZ", "rTRC", "gTRC", "bTRC"}
	if space == "GRAY" {
		needed = []string{"wtpt", "kTRC"}
	}
	for _, name := range needed {
		if tags[name] == nil {
			return nil, false
		}
	}
	return writeProfile(b, tags), true
}

// readTags takes the known tags out of a profile. With a table of colours it fails: without it colours would be others.
func readTags(b []byte) (map[string][]byte, bool) {
	n := int64(binary.BigEndian.Uint32(b[iccHeader:]))
	if n > maxTags || iccHeader+4+12*n > int64(len(b)) {
		return nil, false
	}
	tags := map[string][]byte{}
	for i := range n {
		e := b[iccHeader+4+12*i:]
		name, at, size := string(e[:4]), int64(binary.BigEndian.Uint32(e[4:])), int64(binary.BigEndian.Uint32(e[8:]))
		if at < iccHeader || at+size > int64(len(b)) {
			return nil, false
		}
		if name == "A2B0" || name == "D2B0" {
			return nil, false
		}
		for _, t := range profileTags {
			if t.name != name {
				continue
			}
			v, ok := cleanTag(b[at:at+size], t.types)
			if !ok || tags[name] != nil {
				return nil, false
			}
			tags[name] = v
		}
	}
	return tags, true
}

// cleanTag gives the numbers of a tag without what may stand behind them.
func cleanTag(b []byte, types []string) ([]byte, bool) {
	if len(b) < 8 || !contains(types, string(b[:4])) {
		return nil, false
	}
	size := 0
	switch string(b[:4]) {
	case "XYZ ":
		size = 20
	case "sf32":
		size = 8 + 9*4
	case "curv":
		if len(b) < 12 || binary.BigEndian.Uint32(b[8:]) > maxCurve {
			return nil, false
		}
		size = 12 + 2*int(binary.BigEndian.Uint32(b[8:]))
	case "para":
		if len(b) < 12 || binary.BigEndian.Uint16(b[8:]) > 4 {
			return nil, false
		}
		size = 12 + 4*[]int{1, 3, 4, 5, 7}[binary.BigEndian.Uint16(b[8:])]
	}
	if len(b) < size {
		return nil, false
	}
	v := bytes.Clone(b[:size])
	clear(v[4:8])
	if string(b[:4]) == "para" {
		clear(v[10:12])
	}
	return v, true
}

func writeProfile(old []byte, tags map[string][]byte) []byte {
	head := make([]byte, iccHeader)
	head[8], head[9] = old[8], old[9]&0xf0 // the version
	copy(head[12:16], "mntr")
	copy(head[16:24], old[16:24]) // colour spaces
	// A date must be there; it is a constant one.
	copy(head[24:36], []byte{0x07, 0xd0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0})
	copy(head[36:40], "acsp")
	head[67] = old[67] & 3                                                                                  // rendering intent
	copy(head[68:80], []byte{0, 0, 0xf6, 0xd6, 0, 1, 0, 0, 0, 0, 0xd3, 0x2d})                               // D50
	names, values := []string{"desc", "cprt"}, [][]byte{describe(old[8], "RGB"), copyright(old[8], "None")} // readers ask for both
	for _, t := range profileTags {
		if v := tags[t.name]; v != nil {
			names, values = append(names, t.name), append(values, v)
		}
	}
	out := binary.BigEndian.AppendUint32(head, uint32(len(names)))
	at := len(out) + 12*len(names)
	for i, name := range names {
		out = binary.BigEndian.AppendUint32(append(out, name...), uint32(at))
		out = binary.BigEndian.AppendUint32(out, uint32(len(values[i])))
		at += (len(values[i]) + 3) &^ 3
	}
	for _, v := range values {
		out = append(out, v...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	binary.BigEndian.PutUint32(out, uint32(len(out)))
	return out
}

// describe is a profile's name, as its version writes it.
func describe(version byte, text string) []byte {
	if version == 4 {
		return localised(text)
	}
	b := append([]byte("desc\x00\x00\x00\x00"), 0, 0, 0, byte(len(text)+1))
	b = append(append(b, text...), 0)
	return append(b, make([]byte, 8+2+1+67)...)
}

func copyright(version byte, text string) []byte {
	if version == 4 {
		return localised(text)
	}
	return append(append([]byte("text\x00\x00\x00\x00"), text...), 0)
}

func localised(text string) []byte {
	b := []byte("mluc\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x0cenUS")
	b = binary.BigEndian.AppendUint32(b, uint32(2*len(text)))
	b = binary.BigEndian.AppendUint32(b, 28)
	for _, c := range []byte(text) {
		b = append(b, 0, c)
	}
	return b
}
