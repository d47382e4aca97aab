// SPDX-License-Identifier: Apache-2.0

package spdm

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// Types of opaque fields that are read. Others are signed like these, but say nothing that is needed here.
const (
	fieldDriver        = 3
	fieldVBIOS         = 6
	fieldNVDEC         = 11
	fieldChipSKU       = 15
	fieldProject       = 17
	fieldProjectSKU    = 18
	fieldFWID          = 20
	fieldProtectedPCIe = 21
	fieldChip          = 35
	fieldFeature       = 36

	maxFields  = 64
	fwidSize   = 48
	vbiosSize  = 8
	maxVersion = 64
)

// Opaque is what the GPU says of itself beside its measurements.
type Opaque struct {
	Driver        string // version, "550.90.07"
	VBIOS         string // version, "96.00.9F.00.01"
	FWID          []byte // digest of the firmware that the leaf certificate was made for; nil: early firmware does not say
	Project       string
	ProjectSKU    string
	ChipSKU       string
	Chip          string // "" on Hopper, which says it in its certificate
	Feature       string // "SPT", "MPT" or "PPCIE"; "" where firmware does not say
	ProtectedPCIe string // raw, hex
	NVDEC         string // raw, hex

	fields map[int][]byte
}

// parse reads type-length-value fields, each at most once.
func (o *Opaque) parse(b []byte) error {
	o.fields = map[int][]byte{}
	for len(b) > 0 {
		if len(b) < 4 {
			return malformed("opaque field is cut off")
		}
		typ, size := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
		if _, twice := o.fields[typ]; twice || size > len(b)-4 || len(o.fields) == maxFields {
			return malformed("opaque field %d: there twice, too long, or too many", typ)
		}
		o.fields[typ] = b[4 : 4+size]
		b = b[4+size:]
	}
	return o.read()
}

func (o *Opaque) read() error {
	for _, x := range []struct {
		to       *string
		field    int
		required bool
	}{
		{&o.Driver, fieldDriver, true},
		{&o.Project, fieldProject, false},
		{&o.ProjectSKU, fieldProjectSKU, false},
		{&o.ChipSKU, fieldChipSKU, false},
		{&o.Chip, fieldChip, false},
	} {
		s, err := text(o.fields[x.field])
		if err != nil || s == "" && x.required {
			return malformed("opaque field %d is not a name or a version", x.field)
		}
		*x.to = s
	}
	if f, ok := o.fields[fieldFWID]; ok && len(f) != fwidSize {
		return malformed("FWID of %d bytes", len(f))
	}
	o.FWID = o.fields[fieldFWID]
	o.ProtectedPCIe, o.NVDEC = hex.EncodeToString(o.fields[fieldProtectedPCIe]), hex.EncodeToString(o.fields[fieldNVDEC])
	if err := o.readFeature(); err != nil {
		return err
	}
	return o.readVBIOS()
}

// readVBIOS reads eight bytes, little-endian: four of the version, then its last part.
func (o *Opaque) readVBIOS() error {
	v := o.fields[fieldVBIOS]
	if len(v) != vbiosSize || v[5] != 0 || v[6] != 0 || v[7] != 0 {
		return malformed("no VBIOS version")
	}
	o.VBIOS = fmt.Sprintf("%02X.%02X.%02X.%02X.%02X", v[3], v[2], v[1], v[0], v[4])
	return nil
}

func (o *Opaque) readFeature() error {
	f, ok := o.fields[fieldFeature]
	if !ok {
		return nil
	}
	names := []string{"SPT", "MPT", "PPCIE"}
	if len(f) != 2 || int(binary.LittleEndian.Uint16(f)) >= len(names) {
		return malformed("unknown feature flag %x", f)
	}
	o.Feature = names[f[0]]
	return nil
}

// text is a string that ends with zeros, of characters that names and versions have.
func text(b []byte) (string, error) {
	s := strings.TrimRight(string(b), "\x00")
	const fit = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_"
	if len(s) > maxVersion || strings.ContainsFunc(s, func(c rune) bool { return !strings.ContainsRune(fit, c) }) {
		return "", ErrMalformed
	}
	return s, nil
}
