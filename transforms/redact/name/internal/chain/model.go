// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Label is what a token is: outside, or the first or a further token of one of four types.
type Label uint8

// Labels.
const (
	Outside Label = iota
	PersonFirst
	PersonMore
	LocationFirst
	LocationMore
	OrgLabelFirst
	OrgLabelMore
	AddressFirst
	AddressMore
	Labels
)

// First says whether the label begins a name.
func (l Label) First() bool { return l&1 == 1 }

// Type is 0 for outside and 1 to 4 for person, location, organisation, address.
func (l Label) Type() int { return int(l+1) / 2 }

// Follows says whether label l may stand after prev.
func (l Label) Follows(prev Label) bool {
	return l == Outside || l.First() || prev == l || prev == l-1
}

// Moves are the weights of going from one label to the next, by the kind of the token that is gone to.
type Moves [Kinds][Labels][Labels]int16

// Ways are moves as the decoder reads them: by the label that is gone to, then the one before, times sixteen.
type Ways [Kinds][Labels][Labels]int32

// MaxMove bounds a move.
const MaxMove = 2000

// Ways turns moves round.
func (m *Moves) Ways() *Ways {
	var w Ways
	for k := range m {
		for p := range m[k] {
			for l, v := range m[k][p] {
				w[k][l][p] = int32(v) << 4
			}
		}
	}
	return &w
}

// Calibration is, by type, the margins at which a score of 50, 100, … 1000 thousandths begins.
type Calibration [5][20]int32

// Model is everything that training found.
type Model struct {
	rows  *[Rows]uint64 // eight weights each, 128 added
	Moves Moves
	ways  Ways
	Words *Gazetteer
	Calibration
}

// ErrModel is a model file that this program does not read.
var ErrModel = errors.New("chain: not a model of this version")

const (
	magic   = "glovebox names/1"
	zeroRow = 0x8080808080808080
)

// New makes an empty model with a word list of 1<<bits slots.
func New(bits uint) *Model {
	m := &Model{rows: new([Rows]uint64), Words: NewGazetteer(bits)}
	for i := range m.rows {
		m.rows[i] = zeroRow
	}
	return m
}

// SetRow puts the weights of the labels after [Outside] into a row.
func (m *Model) SetRow(i uint32, w [8]int8) {
	v := uint64(0)
	for k, x := range w {
		v |= uint64(uint8(int(x)+128)) << (8 * k)
	}
	m.rows[i] = v
}

// Ready must be called after the moves were set.
func (m *Model) Ready() { m.ways = *m.Moves.Ways() }

// Encode writes the model.
func (m *Model) Encode(w io.Writer) error {
	if _, err := io.WriteString(w, magic); err != nil {
		return err
	}
	if _, err := w.Write(m.Words.append(nil)); err != nil {
		return err
	}
	z, err := flate.NewWriter(w, flate.BestCompression)
	if err != nil {
		return err
	}
	for k := range 8 { // a plane for each label: neighbours are alike, mostly zero
		plane := make([]byte, Rows)
		for i, v := range m.rows {
			plane[i] = byte(v>>(8*k)) - 128
		}
		if _, err := z.Write(plane); err != nil {
			return err
		}
	}
	for _, v := range []any{&m.Moves, &m.Calibration} {
		if err := binary.Write(z, binary.LittleEndian, v); err != nil {
			return err
		}
	}
	return z.Close()
}

// Decode reads a model that [Model.Encode] wrote.
func Decode(file []byte) (*Model, error) {
	body, ok := bytes.CutPrefix(file, []byte(magic))
	if !ok {
		return nil, ErrModel
	}
	m := &Model{rows: new([Rows]uint64)}
	if m.Words, body = readGazetteer(body); m.Words == nil {
		return nil, fmt.Errorf("%w: word list of a wrong size", ErrModel)
	}
	z := flate.NewReader(bytes.NewReader(body))
	plane := make([]byte, Rows)
	for k := range 8 {
		if _, err := io.ReadFull(z, plane); err != nil {
			return nil, fmt.Errorf("%w: weights: %w", ErrModel, err)
		}
		for i, b := range plane {
			m.rows[i] |= uint64(b+128) << (8 * k)
		}
	}
	return m, m.decodeRest(z)
}

func (m *Model) decodeRest(z io.Reader) error {
	const size = int(Kinds)*int(Labels)*int(Labels)*2 + len(m.Calibration)*len(m.Calibration[0])*4
	rest, err := io.ReadAll(io.LimitReader(z, int64(size)+1))
	if err != nil || len(rest) != size {
		return fmt.Errorf("%w: cut off or too long: %v", ErrModel, err)
	}
	for k := range m.Moves {
		for p := range m.Moves[k] {
			for l := range m.Moves[k][p] {
				v, _ := take(&rest, 2)
				m.Moves[k][p][l] = int16(v)
				if int16(v) > MaxMove || int16(v) < -MaxMove {
					return fmt.Errorf("%w: a move beyond its bound", ErrModel)
				}
			}
		}
	}
	for t := range m.Calibration {
		for i := range m.Calibration[t] {
			v, _ := take(&rest, 4)
			m.Calibration[t][i] = int32(v)
		}
	}
	m.Ready()
	return nil
}

func take(b *[]byte, n int) (uint32, bool) {
	if len(*b) < n {
		return 0, false
	}
	v := uint32(0)
	for i := range n {
		v |= uint32((*b)[i]) << (8 * i)
	}
	*b = (*b)[n:]
	return v, true
}

// Scores are the weights of one token's labels; Scores[Outside] is 0.
type Scores [Labels]int32

// Score sums the rows. Each row is eight bytes; even and odd ones are summed four at a time.
func (m *Model) Score(rows *[Count]uint32) (s Scores) {
	const even = 0x00FF00FF00FF00FF
	var first, more uint64
	for _, i := range rows {
		v := m.rows[i&(Rows-1)]
		first += v & even
		more += v >> 8 & even
	}
	const off = 128 * Count
	for k := range 4 {
		s[1+2*k] = int32(first>>(16*k)&0xFFFF) - off
		s[2+2*k] = int32(more>>(16*k)&0xFFFF) - off
	}
	return s
}

// Confidence is how likely a finding of a type with a margin is right, in thousandths.
func (m *Model) Confidence(kind int, margin int32) int {
	score := 50
	for i, from := range m.Calibration[kind&7%5] {
		if margin >= from {
			score = 50 * (i + 1)
		}
	}
	return min(score, 950)
}
