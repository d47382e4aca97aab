// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"fmt"
	"strings"
)

// Attributes are a TD's attributes (Intel TDX Module Base Architecture Specification, ATTRIBUTES).
type Attributes uint64

// Attributes that mean something here. The lowest eight bits put a TD "under debug": its host can see into it.
const (
	AttributeDebug         Attributes = 1 << 0
	AttributeSEPTVEDisable Attributes = 1 << 28 // the host cannot take pages away unnoticed
	AttributeMigratable    Attributes = 1 << 29 // a service TD may move it to another machine
	underDebug             Attributes = 0xff
)

// attributeNames are the bits that may be set. All others are reserved, or make a TD something that is not accepted here.
func attributeNames() map[int]string {
	return map[int]string{
		0: "DEBUG", 4: "HGS_PLUS_PROF", 5: "PERF_PROF", 6: "PMT_PROF", 27: "LASS", 28: "SEPT_VE_DISABLE", 29: "MIGRATABLE",
		30: "PKS", 31: "KL", 63: "PERFMON",
	}
}

// Debug reports whether any attribute lets the host see into the TD: the debugger itself, profilers, or reserved bits of
// the same group.
func (a Attributes) Debug() bool { return a&underDebug != 0 }

// Reserved are the bits that are set and have no accepted meaning, outside the group of [Attributes.Debug].
func (a Attributes) Reserved() Attributes {
	for bit := range attributeNames() {
		a &^= 1 << bit
	}
	return a &^ underDebug
}

// String names what is set.
func (a Attributes) String() string {
	out, names := []string{fmt.Sprintf("%#016x", uint64(a))}, attributeNames()
	for bit := range 64 {
		if a&(1<<bit) == 0 {
			continue
		}
		name := names[bit]
		if name == "" {
			name = fmt.Sprintf("bit %d", bit)
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

// Bits of XFAM as every TD has them: x87 and SSE must be on, and only these may be (Intel TDX Module ABI, XFAM).
const (
	xfamMust = 0x3
	xfamMay  = 0x6dbe7
)

// CheckXFAM refuses extended features that no TD has, or the lack of those that each has.
func CheckXFAM(x uint64) error {
	if x&xfamMust != xfamMust || x&^uint64(xfamMay) != 0 {
		return fmt.Errorf("%w: XFAM %#x, want the bits of %#x and no others than %#x", ErrQuote, x, uint64(xfamMust), uint64(xfamMay))
	}
	return nil
}
