// SPDX-License-Identifier: Apache-2.0

package eventlog

import (
	"crypto/sha512"
	"strings"
)

const (
	// UEFI_VARIABLE_DATA of SecureBoot before its value: EFI_GLOBAL_VARIABLE, 10 characters, the size of the value, the name.
	secureBootOwner = "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c\x0a\x00\x00\x00\x00\x00\x00\x00"
	secureBootName  = "S\x00e\x00c\x00u\x00r\x00e\x00B\x00o\x00o\x00t\x00"
	oneByte         = "\x01\x00\x00\x00\x00\x00\x00\x00"
	noByte          = "\x00\x00\x00\x00\x00\x00\x00\x00"

	commandLine = "kernel_cmdline: "
)

// Boot is what people want to know of a boot. It says only what a digest in the log is the digest of. No digest covers the
// type or the text of an event, so whoever handed the log over may have left out the text of any.
type Boot struct {
	SecureBoot   string // "on", "off", or "" where the log does not say, or says it twice
	CommandLine  string // of the kernel, as GRUB measured it; "" unless the log explains exactly one
	CommandLines int    // how many the log explains; the guest can measure more than what it was started with
	Events       int
}

// Boot reads a log that [CCLog.Replay] accepted.
func (l *CCLog) Boot() Boot {
	b := Boot{Events: len(l.Events)}
	states := 0
	for i := range l.Events {
		e := &l.Events[i]
		if e.Type == NoAction {
			continue
		}
		if state := e.secureBoot(); state != "" {
			states++
			b.SecureBoot = state
		}
		if line, ok := e.commandLine(); ok {
			b.CommandLines++
			b.CommandLine = line
		}
	}
	if states != 1 {
		b.SecureBoot = ""
	}
	if b.CommandLines != 1 {
		b.CommandLine = ""
	}
	return b
}

// secureBoot goes by the digest alone: the EFI variable SecureBoot has three values that mean something, so neither another
// event type nor another text hides which one was measured.
func (e *CCEvent) secureBoot() string {
	if e.Register != 1 {
		return ""
	}
	switch e.Digest {
	case sha512.Sum384([]byte(secureBootOwner + oneByte + secureBootName + "\x01")):
		return "on"
	case sha512.Sum384([]byte(secureBootOwner + oneByte + secureBootName + "\x00")), sha512.Sum384([]byte(secureBootOwner + noByte + secureBootName)):
		return "off"
	}
	return ""
}

// commandLine reads what GRUB hands to the kernel. GRUB measures the text without the words in front.
func (e *CCEvent) commandLine() (string, bool) {
	line, ok := strings.CutPrefix(strings.TrimRight(string(e.Data), "\x00"), commandLine)
	return line, ok && e.Register == 3 && sha512.Sum384([]byte(line)) == e.Digest
}
