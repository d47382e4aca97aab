// SPDX-License-Identifier: Apache-2.0

// Package eventlog reads, replays and writes measured-boot logs in the TCG's crypto-agile format (PC Client Platform
// Firmware Profile, section 10): those of TPMs, and those of confidential virtual machines (CCEL), which have registers of
// their own and digests of another size.
//
// Trust domain: read by verifiers, written by the launcher; pure, standard library only. Its one job: tie a log to
// registers that a quote vouches for. A log is a stranger's claim until [Log.Replay] or [CCLog.Replay] accepts it, and
// even then only digests are vouched for; event types and event data are not, except that they explain a digest.
package eventlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Errors. [ErrLog] is the root.
var (
	ErrLog    = errors.New("event log refused")
	ErrEmpty  = fmt.Errorf("%w: no events", ErrLog)
	ErrFormat = fmt.Errorf("%w: malformed", ErrLog)
	ErrReplay = fmt.Errorf("%w: does not lead to the quoted PCR", ErrLog)
)

// Event types that mean something here.
const (
	NoAction = 0x00000003 // EV_NO_ACTION: informative, never extended
	IPL      = 0x0000000d // EV_IPL: what a loader loads
)

// EnclaveEvent is the event data under which a launcher measures the enclave binary.
const EnclaveEvent = "glovebox-enclave"

const (
	signature       = "Spec ID Event03\x00"
	startupLocality = "StartupLocality\x00"
	algSHA256       = 0x000b
)

// Event is one measurement in the SHA-256 bank.
type Event struct {
	PCR    int
	Type   uint32
	Digest [sha256.Size]byte
	Data   []byte
}

// Log is a parsed log. It proves nothing before [Log.Replay].
type Log struct{ Events []Event }

// Parse reads a whole log: its header, then every event to the last byte. A log without events is [ErrEmpty].
func Parse(b []byte) (*Log, error) {
	l := &Log{}
	rest, err := parse(b, bank{algSHA256, sha256.Size, pcrCount, 0}, func(e record) error {
		l.Events = append(l.Events, Event{e.register, e.typ, [sha256.Size]byte(e.digest), e.data})
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(rest) != 0:
		return nil, fmt.Errorf("%w: %d bytes behind the last event", ErrFormat, len(rest))
	}
	return l, nil
}

// bank is which digests of a log are read, and which registers there are.
type bank struct {
	alg       uint16
	size      int
	registers uint32
	header    uint32 // the highest register that the specification event may name
}

// record is one event as any log has it.
type record struct {
	register int
	typ      uint32
	digest   []byte // in the bank
	data     []byte
}

// parse reads the header, and event after event until there is none or only padding is left, which it returns.
func parse(b []byte, k bank, each func(record) error) (rest []byte, err error) {
	if len(b) == 0 {
		return nil, ErrEmpty
	}
	if len(b) > MaxLog {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFormat, len(b), MaxLog)
	}
	r := &reader{b: b}
	algs, err := parseHeader(r, k)
	if err != nil {
		return nil, err
	}
	n := 0
	for ; len(r.b) > 0 && !isPadding(r.b); n++ {
		if n == maxEvents {
			return nil, fmt.Errorf("%w: more than %d events", ErrFormat, maxEvents)
		}
		e, err := parseEvent(r, algs, k)
		if err == nil {
			err = each(e)
		}
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", n, err)
		}
	}
	if n == 0 && len(r.b) == 0 {
		return nil, ErrEmpty
	}
	return r.b, nil
}

// isPadding reports whether b is what firmware leaves behind the last event of a log area: one byte, 0x00 or 0xff, over and
// over. No event is: it would have no digest, or be of no register.
func isPadding(b []byte) bool {
	return (b[0] == 0 || b[0] == 0xff) && bytes.Equal(b[1:], b[:len(b)-1])
}

// algorithm is one bank that the log carries.
type algorithm struct {
	id   uint16
	size int
}

// parseHeader reads the TCG_EfiSpecIdEvent, which travels in an event of the old SHA-1 shape.
func parseHeader(r *reader, k bank) ([]algorithm, error) {
	register, typ, zero := r.uint32(), r.uint32(), r.take(20)
	body := &reader{b: r.take(int(min(r.uint32(), MaxLog)))}
	if r.bad || register > k.header || typ != NoAction || !bytes.Equal(zero, make([]byte, 20)) {
		return nil, fmt.Errorf("%w: no specification event at the start", ErrFormat)
	}
	if !bytes.Equal(body.take(len(signature)), []byte(signature)) {
		return nil, fmt.Errorf("%w: not a crypto-agile log", ErrFormat)
	}
	body.take(4 + 4) // platform class, version, errata, size of UINTN
	n := body.uint32()
	if body.bad || n == 0 || n > maxAlgorithms {
		return nil, fmt.Errorf("%w: %d algorithms", ErrFormat, n)
	}
	var algs []algorithm
	for range n {
		a := algorithm{body.uint16(), int(body.uint16())}
		known := slices.ContainsFunc(algs, func(o algorithm) bool { return o.id == a.id })
		if body.bad || known || a.size == 0 || a.size > maxDigest {
			return nil, fmt.Errorf("%w: algorithm list", ErrFormat)
		}
		algs = append(algs, a)
	}
	body.take(int(body.uint8()))
	if body.bad || len(body.b) != 0 {
		return nil, fmt.Errorf("%w: specification event", ErrFormat)
	}
	if !slices.Contains(algs, algorithm{k.alg, k.size}) {
		return nil, fmt.Errorf("%w: no bank of SHA-%d", ErrFormat, k.size*8)
	}
	return algs, nil
}

// parseEvent reads one TCG_PCR_EVENT2. Every event carries each bank of the header exactly once.
func parseEvent(r *reader, algs []algorithm, k bank) (record, error) {
	register, typ, n := r.uint32(), r.uint32(), r.uint32()
	if r.bad || register >= k.registers || int64(n) != int64(len(algs)) {
		return record{}, fmt.Errorf("%w: register %d with %d digests", ErrFormat, register, n)
	}
	e := record{register: int(register), typ: typ}
	seen := map[uint16]bool{}
	for range n {
		id := r.uint16()
		i := slices.IndexFunc(algs, func(a algorithm) bool { return a.id == id })
		if r.bad || i < 0 || seen[id] {
			return record{}, fmt.Errorf("%w: digest of algorithm %#x", ErrFormat, id)
		}
		seen[id] = true
		if d := r.take(algs[i].size); id == k.alg {
			e.digest = d
		}
	}
	e.data = r.take(int(min(r.uint32(), MaxLog)))
	if r.bad {
		return record{}, fmt.Errorf("%w: truncated", ErrFormat)
	}
	return e, nil
}

// Replay computes what every PCR in want would hold after the log and compares. A register the log does not mention must
// be at its reset value, all zero; so there is no way to leave events out. An empty want is an error.
func (l *Log) Replay(want map[int][]byte) error {
	if l == nil || len(l.Events) == 0 {
		return ErrEmpty
	}
	if len(want) == 0 {
		return fmt.Errorf("%w: no PCR to compare with", ErrReplay)
	}
	state, err := l.state()
	if err != nil {
		return err
	}
	for pcr, v := range want {
		if pcr < 0 || pcr >= pcrCount || !bytes.Equal(state[pcr][:], v) {
			return fmt.Errorf("%w %d", ErrReplay, pcr)
		}
	}
	return nil
}

func (l *Log) state() (state [pcrCount][sha256.Size]byte, err error) {
	extended := false
	for i, e := range l.Events {
		switch {
		case e.PCR < 0 || e.PCR >= pcrCount:
			return state, fmt.Errorf("%w: event %d in PCR %d", ErrFormat, i, e.PCR)
		case e.Type != NoAction:
			state[e.PCR] = sha256.Sum256(append(state[e.PCR][:], e.Digest[:]...))
			extended = extended || e.PCR == 0
		case bytes.HasPrefix(e.Data, []byte(startupLocality)):
			if e.PCR != 0 || extended || len(e.Data) != len(startupLocality)+1 {
				return state, fmt.Errorf("%w: startup locality", ErrFormat)
			}
			state[0][sha256.Size-1] = e.Data[len(startupLocality)]
		}
	}
	return state, nil
}

// Find returns the digests of the extended events in pcr whose type and data are these. Type and data are not vouched
// for by a quote: rely on what is found only where the PCR's whole value is pinned too.
func (l *Log) Find(pcr int, typ uint32, data string) [][sha256.Size]byte {
	var out [][sha256.Size]byte
	for _, e := range l.Events {
		if e.PCR == pcr && e.Type == typ && typ != NoAction && string(e.Data) == data {
			out = append(out, e.Digest)
		}
	}
	return out
}

// reader takes little-endian fields off the front. After a failure it yields zero values.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}
