// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrReport is a report that is not one.
var ErrReport = errors.New("snp: malformed report")

// Sizes and layout of ATTESTATION_REPORT (AMD 56860, SEV-SNP Firmware ABI, table "ATTESTATION_REPORT structure").
const (
	ReportSize      = 1184
	SignedSize      = 0x2a0 // what the signature is over, from the start
	scalarSize      = 72    // of R and of S, little-endian
	minVersion      = 2
	maxVersion      = 5
	algorithmP384   = 1 // ECDSA P-384 with SHA-384
	policyReserved1 = 17
	policyBits      = 26
)

// Keys that sign reports, as in the field SIGNING_KEY.
const (
	SignedByVCEK   = 0
	SignedByVLEK   = 1
	SignedByNobody = 7
)

// Bits of the guest policy.
const (
	PolicySMT     = 1 << 16
	PolicyMigrate = 1 << 18
	PolicyDebug   = 1 << 19
)

// Bits of PLATFORM_INFO.
const (
	PlatformSMT        = 1 << 0
	PlatformTSME       = 1 << 1
	PlatformECC        = 1 << 2
	PlatformRAPLOff    = 1 << 3
	PlatformHiding     = 1 << 4
	PlatformAliasCheck = 1 << 5
	PlatformTIO        = 1 << 7
	PlatformKnown      = 1<<8 - 1 // bit 6 says that IOMMU writes are safe, where firmware knows (AMD-SB-3016)
)

// TCB is a TCB_VERSION as it stands in a report. Its layout depends on the product line.
type TCB [8]byte

// Version is a version of the SEV firmware.
type Version struct{ Major, Minor, Build uint8 }

// String is as AMD writes it: 1.55.29.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Build) }

// AtLeast compares the version of the interface, which is major and minor.
func (v Version) AtLeast(major, minor uint8) bool {
	return v.Major > major || (v.Major == major && v.Minor >= minor)
}

// Report is an attestation report, parsed and not yet believed.
type Report struct {
	Version         uint32
	GuestSVN        uint32
	Policy          uint64
	FamilyID        [16]byte
	ImageID         [16]byte
	VMPL            uint32
	PlatformInfo    uint64
	AuthorKey       bool  // an author key signed the identity block's key
	MaskedKey       bool  // the host forbids the chip's key
	SigningKey      uint8 // SignedBy…
	ReportData      [64]byte
	Measurement     [48]byte
	HostData        [32]byte
	IDKeyDigest     [48]byte
	AuthorKeyDigest [48]byte
	ReportID        [32]byte
	ReportIDMA      [32]byte // of the migration agent
	ReportedTCB     TCB      // the one that the signing key was derived for
	CurrentTCB      TCB
	CommittedTCB    TCB // the host cannot go below
	LaunchTCB       TCB
	Family          uint8 // of the processor; 0 in version 2
	Model           uint8
	Stepping        uint8
	ChipID          [64]byte // all zero if the host masks it
	Current         Version
	Committed       Version
	LaunchFixes     uint64 // mitigation vector; 0 before version 5
	CurrentFixes    uint64
	Signed          []byte // the first SignedSize bytes
	R, S            []byte // big-endian, 48 bytes each
}

// ParseReport reads a report of exactly [ReportSize] bytes. Every bit that the ABI reserves must be as reserved, in the
// layout of the report's own version. Errors: [ErrReport].
func ParseReport(b []byte) (*Report, error) {
	if len(b) != ReportSize {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrReport, len(b), ReportSize)
	}
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	r := &Report{Version: u32(b), GuestSVN: u32(b[4:]), Policy: u64(b[8:]), VMPL: u32(b[0x30:]), PlatformInfo: u64(b[0x40:])}
	if r.Version < minVersion || r.Version > maxVersion {
		return nil, fmt.Errorf("%w: version %d, want %d to %d", ErrReport, r.Version, minVersion, maxVersion)
	}
	if a := u32(b[0x34:]); a != algorithmP384 {
		return nil, fmt.Errorf("%w: signature algorithm %d, want %d", ErrReport, a, algorithmP384)
	}
	if r.Policy>>policyReserved1&1 != 1 || r.Policy>>policyBits != 0 {
		return nil, fmt.Errorf("%w: guest policy %#x with reserved bits", ErrReport, r.Policy)
	}
	if err := r.signer(u32(b[0x48:])); err != nil {
		return nil, err
	}
	if err := reserved(b, r.Version); err != nil {
		return nil, err
	}
	copy(r.FamilyID[:], b[0x10:])
	copy(r.ImageID[:], b[0x20:])
	copy(r.ReportData[:], b[0x50:])
	copy(r.Measurement[:], b[0x90:])
	copy(r.HostData[:], b[0xc0:])
	copy(r.IDKeyDigest[:], b[0xe0:])
	copy(r.AuthorKeyDigest[:], b[0x110:])
	copy(r.ReportID[:], b[0x140:])
	copy(r.ReportIDMA[:], b[0x160:])
	copy(r.ChipID[:], b[0x1a0:])
	r.platform(b)
	r.Signed = b[:SignedSize]
	r.R, r.S = scalar(b[SignedSize:]), scalar(b[SignedSize+scalarSize:])
	return r, nil
}

// platform reads what the report says of processor and firmware.
func (r *Report) platform(b []byte) {
	r.CurrentTCB, r.ReportedTCB = TCB(b[0x38:0x40]), TCB(b[0x180:0x188])
	r.CommittedTCB, r.LaunchTCB = TCB(b[0x1e0:0x1e8]), TCB(b[0x1f0:0x1f8])
	if r.Version >= 3 {
		r.Family, r.Model, r.Stepping = b[0x188], b[0x189], b[0x18a]
	}
	r.Current = Version{b[0x1ea], b[0x1e9], b[0x1e8]}
	r.Committed = Version{b[0x1ee], b[0x1ed], b[0x1ec]}
	r.LaunchFixes, r.CurrentFixes = binary.LittleEndian.Uint64(b[0x1f8:]), binary.LittleEndian.Uint64(b[0x200:])
}

func (r *Report) signer(info uint32) error {
	r.AuthorKey, r.MaskedKey, r.SigningKey = info&1 != 0, info&2 != 0, uint8(info>>2&7)
	if info>>5 != 0 || (r.SigningKey > SignedByVLEK && r.SigningKey != SignedByNobody) {
		return fmt.Errorf("%w: signer information %#x with reserved bits", ErrReport, info)
	}
	return nil
}

// reserved refuses a reserved byte that is not zero.
func reserved(b []byte, version uint32) error {
	ranges := [][2]int{
		{0x4c, 0x50},
		{0x18b, 0x1a0},
		{0x1eb, 0x1ec},
		{0x1ef, 0x1f0},
		{0x208, SignedSize},
		{SignedSize + 48, SignedSize + scalarSize}, // R and S have 384 bits
		{SignedSize + scalarSize + 48, SignedSize + 2*scalarSize},
		{SignedSize + 2*scalarSize, ReportSize},
	}
	if version < 3 {
		ranges = append(ranges, [2]int{0x188, 0x18b})
	}
	if version < 4 {
		ranges = append(ranges, [2]int{0x1f8, 0x208})
	}
	for _, x := range ranges {
		for i, c := range b[x[0]:x[1]] {
			if c != 0 {
				return fmt.Errorf("%w: reserved byte %#x is %#x", ErrReport, x[0]+i, c)
			}
		}
	}
	return nil
}

// scalar turns the significant bytes of a little-endian number around.
func scalar(b []byte) []byte {
	out := make([]byte, 48)
	for i := range out {
		out[i] = b[47-i]
	}
	return out
}
