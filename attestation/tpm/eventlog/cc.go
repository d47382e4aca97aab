// SPDX-License-Identifier: Apache-2.0

package eventlog

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
)

const algSHA384 = 0x000c

// RTMRs is how many runtime measurement registers a TD has. In a log they are registers 1 to 4; 0 is MRTD.
const RTMRs = 4

// MaxArea bounds the memory that firmware reserves for a CCEL, of which most is padding.
const MaxArea = 4 << 20

// CCEvent is one measurement of a confidential virtual machine, in the SHA-384 bank.
type CCEvent struct {
	Register int // 1 to 4: RTMR0 to RTMR3
	Type     uint32
	Digest   [sha512.Size384]byte
	Data     []byte
}

// CCLog is a parsed CCEL, the event log of a confidential virtual machine (UEFI 2.10, section 38). It proves nothing
// before [CCLog.Replay].
type CCLog struct{ Events []CCEvent }

// ParseCC reads a whole log: its header, then every event to the last byte. Padding is refused, [TrimCC] removes it. A log
// without events is [ErrEmpty].
func ParseCC(b []byte) (*CCLog, error) {
	l, rest, err := parseCC(b)
	switch {
	case err != nil:
		return nil, err
	case len(rest) != 0:
		return nil, fmt.Errorf("%w: %d bytes behind the last event", ErrFormat, len(rest))
	}
	return l, nil
}

// TrimCC is the log at the start of the area that firmware reserved for it.
func TrimCC(area []byte) ([]byte, error) {
	if len(area) > MaxArea {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFormat, len(area), MaxArea)
	}
	// Behind the last event only padding is left, so whatever is above the bound goes if it is more of the same.
	b := area
	if len(b) > MaxLog && isPadding(b[MaxLog-1:]) {
		b = b[:MaxLog]
	}
	l, rest, err := parseCC(b)
	switch {
	case err != nil:
		return nil, err
	case len(l.Events) == 0:
		return nil, ErrEmpty
	}
	return b[:len(b)-len(rest)], nil
}

func parseCC(b []byte) (l *CCLog, rest []byte, err error) {
	l = &CCLog{}
	rest, err = parse(b, bank{algSHA384, sha512.Size384, RTMRs + 1, 1}, func(e record) error {
		if e.register == 0 && e.typ != NoAction {
			return fmt.Errorf("%w: MRTD is not extended by events", ErrFormat)
		}
		l.Events = append(l.Events, CCEvent{e.register, e.typ, [sha512.Size384]byte(e.digest), e.data})
		return nil
	})
	return l, rest, err
}

// Replay computes what the four RTMRs would hold after the log and compares. A register that the log does not mention must
// be at its reset value, all zero; so there is no way to leave events out.
func (l *CCLog) Replay(want [RTMRs][]byte) error {
	if l == nil || len(l.Events) == 0 {
		return ErrEmpty
	}
	var state [RTMRs][sha512.Size384]byte
	for i, e := range l.Events {
		switch {
		case e.Type == NoAction:
		case e.Register < 1 || e.Register > RTMRs:
			return fmt.Errorf("%w: event %d in register %d", ErrFormat, i, e.Register)
		default:
			s := &state[e.Register-1]
			*s = sha512.Sum384(append(s[:], e.Digest[:]...))
		}
	}
	for i, v := range want {
		if !bytes.Equal(state[i][:], v) {
			return fmt.Errorf("%w: RTMR%d is %x, the log leads to %x", ErrReplay, i, v, state[i])
		}
	}
	return nil
}

// CCHeader is the start of a log with a SHA-384 bank only.
func CCHeader() []byte { return header(1, algSHA384, sha512.Size384) }

// AppendCC writes one event behind log, which [CCHeader] began.
func AppendCC(log []byte, e CCEvent) ([]byte, error) {
	if e.Register < 0 || e.Register > RTMRs || len(log)+len(e.Data)+80 > MaxLog {
		return nil, fmt.Errorf("%w: register %d, %d bytes", ErrFormat, e.Register, len(e.Data))
	}
	return appendEvent(log, record{e.Register, e.Type, e.Digest[:], e.Data}, algSHA384), nil
}

func appendEvent(log []byte, e record, alg uint16) []byte {
	b := binary.LittleEndian.AppendUint32(log, uint32(e.register))
	b = binary.LittleEndian.AppendUint32(b, e.typ)
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint16(b, alg)
	b = append(b, e.digest...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.data)))
	return append(b, e.data...)
}
