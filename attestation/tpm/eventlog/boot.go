// SPDX-License-Identifier: Apache-2.0

package eventlog

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"strings"
)

// Event types that [CCLog.Boot] explains.
const (
	variableConfig = 0x80000001                                                         // EV_EFI_VARIABLE_DRIVER_CONFIG
	globalVariable = "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c" // EFI_GLOBAL_VARIABLE, little-endian
	secureBoot     = "S\x00e\x00c\x00u\x00r\x00e\x00B\x00o\x00o\x00t\x00"
	commandLine    = "kernel_cmdline: "
)

// Boot is what people want to know of a boot. It says only what a digest in the log is the digest of.
type Boot struct {
	SecureBoot  string // "on", "off", or "" where the log does not say, or says it twice
	CommandLine string // of the kernel, as GRUB measured it; "" where the log does not say
	Events      int
}

// Boot reads a log that [CCLog.Replay] accepted.
func (l *CCLog) Boot() Boot {
	b := Boot{Events: len(l.Events)}
	states := 0
	for _, e := range l.Events {
		if on, ok := e.secureBoot(); ok {
			states++
			b.SecureBoot = map[bool]string{true: "on", false: "off"}[on]
		}
		if line, ok := e.commandLine(); ok {
			b.CommandLine = line
		}
	}
	if states != 1 {
		b.SecureBoot = ""
	}
	return b
}

// secureBoot reads the measured EFI variable SecureBoot (UEFI_VARIABLE_DATA): absent or other than 1 means off.
func (e *CCEvent) secureBoot() (on, ok bool) {
	if e.Register != 1 || e.Type != variableConfig || sha512.Sum384(e.Data) != e.Digest {
		return false, false
	}
	r := &reader{b: e.Data}
	guid, name, size := r.take(16), r.take(8), r.take(8)
	if r.bad || string(guid) != globalVariable || binary.LittleEndian.Uint64(name) != uint64(len(secureBoot)/2) ||
		string(r.take(len(secureBoot))) != secureBoot || binary.LittleEndian.Uint64(size) != uint64(len(r.b)) {
		return false, false
	}
	return bytes.Equal(r.b, []byte{1}), true
}

// commandLine reads what GRUB hands to the kernel. GRUB measures the text without the words in front.
func (e *CCEvent) commandLine() (string, bool) {
	line, ok := strings.CutPrefix(strings.TrimRight(string(e.Data), "\x00"), commandLine)
	return line, ok && e.Register == 3 && e.Type == IPL && sha512.Sum384([]byte(line)) == e.Digest
}
