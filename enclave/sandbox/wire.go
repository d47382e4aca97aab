// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// The pipes of a worker, by descriptor. down carries the header, the module and the lengths of answers, whose bytes are in
// the window; up carries requests; out carries the artefact and nothing else.
const (
	fdDown = 3
	fdUp   = 4
	fdOut  = 5
)

// header is the first frame on down.
type header struct {
	Mode        string            `json:"mode"`
	Files       []File            `json:"files"`
	Outputs     []Output          `json:"outputs"`
	MemoryBytes int64             `json:"memoryBytes"`
	OutputBytes int64             `json:"outputBytes"`
	CPUSeconds  int64             `json:"cpuSeconds"`
	Grouped     bool              `json:"grouped"` // a control group holds the worker's memory
	Fuel        int64             `json:"fuel"`
	Params      map[string]string `json:"params"`
	Seed        []byte            `json:"seed"`
	Logs        bool              `json:"logs"`
	Words       bool              `json:"words"`
	RecordFuel  int64             `json:"recordFuel"`  // of a session, as the next
	RecordBytes int64             `json:"recordBytes"` // at most
	ABI         string            `json:"abi"`         // of a session of batches, as the next
	ByteFuel    int64             `json:"byteFuel"`    // beside RecordFuel, for each byte of a batch
	Token       bool              `json:"token"`       // the module may import it, as the next
	Noise       bool              `json:"noise"`

	MaxParams     int64  `json:"maxParams"` // of a session that trains, as the next
	PreparedBytes int64  `json:"preparedBytes"`
	Clip          []byte `json:"clip"` // the bits of a float64; empty: the enclave sums
}

const (
	modeRun     = "run"
	modeAhead   = "ahead" // compile now; the header of a run follows
	modeRecords = "records"
	modeBatches = "batches"
	modeTrain   = "train"
	modeTest    = "self-test"
)

// writeFrame writes a length and the bytes.
func writeFrame(w io.Writer, b []byte) error {
	if err := binary.Write(w, binary.BigEndian, uint32(len(b))); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// readFrame reads what writeFrame wrote, refusing more than limit before it allocates.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(n[:])
	if int64(size) > int64(limit) {
		return nil, fmt.Errorf("%w: frame of %d bytes, at most %d", ErrProtocol, size, limit)
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, err
}

// request asks for want bytes of one file from offset on, to be put into the window at at, and lets the enclave add what
// surrounds them and costs no more, up to space bytes in all. The answer on down is one piece after the other until those
// wanted are there: how many bytes of the file before the offset lead the answer, and how many bytes are new. 24 bytes on
// the wire.
type request struct {
	file, want uint32
	offset     uint64
	at, space  uint32
}

const (
	requestBytes = 24
	pieceBytes   = 8
	countBytes   = 4 // of a record
)

func (q request) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, q.file)
	b = binary.BigEndian.AppendUint32(b, q.want)
	b = binary.BigEndian.AppendUint64(b, q.offset)
	b = binary.BigEndian.AppendUint32(b, q.at)
	return binary.BigEndian.AppendUint32(b, q.space)
}

// parseRequest reads a request and refuses any that is not wholly within a file and the window.
func parseRequest(b [requestBytes]byte, files []File) (request, error) {
	q := request{
		file:   binary.BigEndian.Uint32(b[0:]),
		want:   binary.BigEndian.Uint32(b[4:]),
		offset: binary.BigEndian.Uint64(b[8:]),
		at:     binary.BigEndian.Uint32(b[16:]),
		space:  binary.BigEndian.Uint32(b[20:]),
	}
	if uint64(q.file) >= uint64(len(files)) || q.want == 0 {
		return q, fmt.Errorf("%w: request for %d bytes of file %d", ErrProtocol, q.want, q.file)
	}
	if q.space > windowBytes || q.want > q.space || q.at > windowBytes-q.space {
		return q, fmt.Errorf("%w: request for %d bytes at %d+%d of the window", ErrProtocol, q.want, q.at, q.space)
	}
	if size := uint64(files[q.file].Size); q.offset > size || uint64(q.want) > size-q.offset {
		return q, fmt.Errorf("%w: request beyond the end of file %d", ErrProtocol, q.file)
	}
	return q, nil
}

// Kinds of frames on out, in the order they come. A module that is not admitted has no admission.
const (
	kindAdmission = 'A'
	kindResult    = 'R'
	kindLogs      = 'L'
	kindOutput    = 'O'
	kindEnd       = 'E'
)

// admission says, before the first instruction of a module, what is about to run. Canonical JSON.
type admission struct {
	Original  envelope.Digest `json:"original"`
	Rewritten envelope.Digest `json:"rewritten"`
	Costs     string          `json:"costs"`
}

func (a admission) write(w io.Writer) error {
	b, err := envelope.Canonical(a)
	if err != nil {
		return err
	}
	return writeKind(w, kindAdmission, b)
}

// result is the first frame of an artefact, canonical JSON.
type result struct {
	Reason     string `json:"reason"`
	Detail     string `json:"detail"`
	Fuel       int64  `json:"fuel"`
	Undeclared int    `json:"undeclared"`
}

// artefact is everything a worker hands back.
type artefact struct {
	result
	logs    []byte
	outputs []Artefact
}

// write sends the artefact: result, logs, outputs in declared order, end.
func (a *artefact) write(w io.Writer) error {
	b, err := envelope.Canonical(a.result)
	if err != nil {
		return err
	}
	if err := writeKind(w, kindResult, b); err != nil {
		return err
	}
	if err := writeKind(w, kindLogs, a.logs); err != nil {
		return err
	}
	for _, o := range a.outputs {
		head := append([]byte{byte(len(o.Name))}, o.Name...)
		if err := writeKind(w, kindOutput, head, o.Data); err != nil {
			return err
		}
	}
	return writeKind(w, kindEnd)
}

func writeKind(w io.Writer, kind byte, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(n))
	for _, p := range append([][]byte{head}, parts...) {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func readKind(r io.Reader) (kind byte, size int64, err error) {
	var h [5]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, 0, err
	}
	return h[0], int64(binary.BigEndian.Uint32(h[1:])), nil
}

// readBytes reads size bytes, refusing more than limit before it allocates.
func readBytes(r io.Reader, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("%w: frame of %d bytes, at most %d", ErrProtocol, size, limit)
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, err
}

// readAdmission reads what a worker says of the module with the given digest. Neither a worker that speaks of another
// module or counts by another table is believed, nor one that sends anything else first but why it refused the module: then
// there is no admission, and the result's frame is returned for [readArtefact].
func readAdmission(r io.Reader, module envelope.Digest) (*admission, io.Reader, error) {
	kind, size, err := readKind(r)
	if err != nil {
		return nil, nil, err
	}
	if kind != kindAdmission {
		head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(size))
		return nil, io.MultiReader(bytes.NewReader(head), r), nil
	}
	b, err := readBytes(r, size, maxAdmission)
	if err != nil {
		return nil, nil, err
	}
	a := &admission{}
	if err := envelope.Decode(b, maxAdmission, a); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if a.Original != module || a.Rewritten.IsZero() || a.Costs != fuel.CostTable {
		return nil, nil, fmt.Errorf("%w: admission of another module or by other costs", ErrProtocol)
	}
	return a, r, nil
}

// readArtefact reads what a hostile worker sends for s, after its admission if there was one. An artefact it returns holds
// declared outputs only, each once, in declared order, within its own and the common limit, and none at all for a run that
// failed; and a fuel count that such a run can have.
func readArtefact(r io.Reader, s *Spec, admitted bool) (*artefact, error) {
	a := &artefact{}
	if err := a.readHead(r, s, admitted); err != nil {
		return nil, err
	}
	left, next := s.OutputBytes, 0
	for {
		kind, size, err := readKind(r)
		if err != nil {
			return nil, err
		}
		switch {
		case kind == kindEnd && size == 0:
			if n, err := io.ReadFull(r, make([]byte, 1)); n != 0 || err != io.EOF {
				return nil, fmt.Errorf("%w: data after the end", ErrProtocol)
			}
			return a, nil
		case kind != kindOutput || a.Reason != ReasonNone || size < 1:
			return nil, fmt.Errorf("%w: frame of kind %d", ErrProtocol, kind)
		}
		o, at, err := readOutput(r, size, left, s.Outputs[next:])
		if err != nil {
			return nil, err
		}
		a.outputs, left, next = append(a.outputs, o), left-int64(len(o.Data)), next+at+1
	}
}

// readResult reads a result that a guest with this much fuel can have.
func readResult(r io.Reader, fuel int64, admitted bool) (q result, err error) {
	kind, size, err := readKind(r)
	if err != nil {
		return q, err
	}
	if kind != kindResult {
		return q, fmt.Errorf("%w: frame of kind %d instead of a result", ErrProtocol, kind)
	}
	b, err := readBytes(r, size, maxResult)
	if err != nil {
		return q, err
	}
	if err := envelope.Decode(b, maxResult, &q); err != nil {
		return q, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if len(q.Detail) > maxDetail || q.Undeclared < 0 || q.Undeclared > maxOutFiles {
		return q, fmt.Errorf("%w: result out of bounds", ErrProtocol)
	}
	if !q.possible(fuel, admitted) {
		return q, fmt.Errorf("%w: no run ends with reason %q and %d units of fuel", ErrProtocol, q.Reason, q.Fuel)
	}
	return q, nil
}

// readHead reads the two frames every artefact starts with.
func (a *artefact) readHead(r io.Reader, s *Spec, admitted bool) error {
	var err error
	if a.result, err = readResult(r, s.Fuel, admitted); err != nil {
		return err
	}
	kind, size, err := readKind(r)
	if err != nil {
		return err
	}
	limit := int64(0)
	if s.Logs {
		limit = MaxLogs
	}
	if kind != kindLogs {
		return fmt.Errorf("%w: no logs frame", ErrProtocol)
	}
	a.logs, err = readBytes(r, size, limit)
	return err
}

// possible holds reason and fuel of a result against each other, and against whether the module was admitted. Reasons
// that a worker cannot know are the enclave's to find.
func (r *result) possible(limit int64, admitted bool) bool {
	switch r.Reason {
	case ReasonModule:
		return !admitted && r.Fuel == 0
	case ReasonMemory: // also of a module that needs too much to begin with
		return r.Fuel >= 0 && r.Fuel <= limit && (admitted || r.Fuel == 0)
	case ReasonFuel:
		return admitted && r.Fuel == limit
	case ReasonNone:
		return admitted && r.Fuel >= 1 && r.Fuel <= limit
	case ReasonTrap, ReasonOutput:
		return admitted && r.Fuel >= 0 && r.Fuel <= limit
	}
	return false
}

// readOutput reads one output, which must be one of those still to come. at is its place among them.
func readOutput(r io.Reader, size, left int64, declared []Output) (o Artefact, at int, err error) {
	n, err := readBytes(r, 1, 1)
	if err != nil {
		return o, 0, err
	}
	if int64(n[0]) > size-1 {
		return o, 0, fmt.Errorf("%w: output name longer than its frame", ErrProtocol)
	}
	name, err := readBytes(r, int64(n[0]), maxName)
	if err != nil {
		return o, 0, err
	}
	for at = range declared {
		if declared[at].Name == string(name) {
			o.Name = declared[at].Name
			o.Data, err = readBytes(r, size-1-int64(n[0]), min(left, declared[at].MaxBytes))
			return o, at, err
		}
	}
	return o, 0, fmt.Errorf("%w: output not declared, repeated or out of order", ErrProtocol)
}
