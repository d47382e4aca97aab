// SPDX-License-Identifier: Apache-2.0

// Command everything uses each function of the Go SDK and writes what it saw to /out/report.txt. everything.c beside it
// writes the same report; tests compare the two, natively and in the sandbox.
//
// Trust domain: none; it is a test's guest.
package main

import (
	"errors"
	"hash/crc32"
	"io"
	"math"
	"strconv"

	"github.com/glovebox-dev/glovebox/sdk/go/glovebox"
)

func main() { glovebox.Main(job) }

func job() error {
	p := glovebox.Parameters()
	p.String("TEXT", "")
	p.Int("NUMBER", 3, 1, 9)
	p.Float("RATE", 0.5, 0, 1)
	p.Bool("FLAG", true)
	if p.String("NEEDED", "unset") != "unset" {
		p.Need("NEEDED")
	}
	if err := p.Err(); err != nil {
		return err
	}
	if name := p.String("FIND", "unset"); name != "unset" {
		_, err := glovebox.Find(name)
		return err
	}
	r, err := glovebox.Create("report.txt")
	if err != nil {
		return err
	}
	line := func(fields ...string) {
		for i, f := range fields {
			if i > 0 {
				_ = r.WriteByte(' ')
			}
			_, _ = r.WriteString(f)
		}
		_ = r.WriteByte('\n')
	}
	line("params", p.String("TEXT", "none"), strconv.Itoa(p.Int("NUMBER", 3, 1, 9)), strconv.Itoa(int(p.Float("RATE", 0.5, 0, 1)*1000)), strconv.FormatBool(p.Bool("FLAG", true)))
	if err := datasets(line); err != nil {
		return err
	}
	algebra(line)
	if p.Bool("CHANCE", false) { // the languages draw different numbers
		g, err := glovebox.Rand()
		if err != nil {
			return err
		}
		line("chance", strconv.FormatUint(g.Uint64(), 16), strconv.FormatFloat(g.NormFloat64(), 'g', -1, 64))
	}
	if err := r.Close(); err != nil {
		return err
	}
	return results()
}

func datasets(line func(...string)) error {
	list, err := glovebox.Datasets()
	if err != nil {
		return err
	}
	for _, d := range list {
		f, err := d.Open()
		if err != nil {
			return err
		}
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, f.Size()-1); err != nil {
			return err
		}
		line("dataset", d.Name, strconv.FormatInt(f.Size(), 10), strconv.Itoa(int(last[0])))
		r, err := d.Records()
		if err != nil {
			return err
		}
		for _, h := range r.Header() {
			line("column", h, strconv.Itoa(r.Column(h)))
		}
		var numbers float64
		sum := crc32.NewIEEE()
		for r.Next() {
			switch d.Format {
			case glovebox.CSV:
				for i, f := range r.Fields() {
					if string(f) != string(r.Field(i)) || r.Len() != len(r.Header()) {
						return errors.New("Field and Fields differ")
					}
					_, _ = sum.Write(f)
					_, _ = sum.Write([]byte{0})
					if r.Header()[i] == "n" {
						v, err := glovebox.ParseFloat(f)
						if err != nil {
							return err
						}
						numbers += v
					}
				}
			case glovebox.JSONL:
				_, _ = sum.Write(r.Bytes())
				_, _ = sum.Write([]byte{0})
			case glovebox.Files:
				line("file", r.Name(), strconv.FormatInt(r.Size(), 10))
				if r.Index()%3 != 2 { // the others are passed over
					if _, err := io.Copy(sum, r); err != nil {
						return err
					}
				}
			}
		}
		if r.Err() != nil {
			return r.Err()
		}
		line("records", strconv.FormatInt(r.Index()+1, 10), strconv.FormatUint(uint64(sum.Sum32()), 10), strconv.FormatUint(math.Float64bits(numbers), 16))
		if err := errors.Join(r.Close(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// floats are numbers from a generator that both languages have: mostly tame, some denormal, infinite or not numbers.
type floats uint32

func (g *floats) next() float32 {
	*g = *g*1664525 + 1013904223
	v := float32(int32(*g)>>8) * 0x1p-20
	switch x := uint32(*g) >> 8 & 1023; {
	case x < 2:
		return float32(math.Inf(1))
	case x < 4:
		return math.Float32frombits(0x7f812345)
	case x < 8:
		return math.Float32frombits(x)
	case x < 9:
		return float32(math.Copysign(0, -1))
	}
	return v
}

func (g *floats) slice(n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = g.next()
	}
	return s
}

func algebra(line func(...string)) {
	g := floats(1)
	show := func(what string, v []float32) {
		sum := uint32(2166136261)
		for _, x := range v {
			sum = (sum ^ math.Float32bits(x)) * 16777619
		}
		line(what, strconv.FormatUint(uint64(sum), 16))
	}
	for i, s := range [][3]int{{1, 1, 1}, {3, 5, 7}, {17, 33, 9}, {2, 300, 65}, {40, 1, 40}, {4, 4, 0}, {0, 3, 3}} {
		m, n, k := s[0], s[1], s[2]
		for flags := range 4 {
			ta, tb := flags&1 != 0, flags&2 != 0
			a, b, c := g.slice(m*k+8*(m+k)), g.slice(k*n+8*(k+n)), g.slice(m*n+8*m)
			lda, ldb := k+2, n+3
			if ta {
				lda = m + 1
			}
			if tb {
				ldb = k + 1
			}
			alpha, beta := g.next(), float32(0)
			if i%2 == 0 {
				beta = g.next()
			}
			glovebox.Sgemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, n+1)
			show("sgemm", c)
			x, y := g.slice(2*(m+k)), g.slice(3*(m+k))
			glovebox.Sgemv(ta, m, k, alpha, a, k+1, x, 2, beta, y, 3)
			show("sgemv", y)
			glovebox.Saxpy(m, alpha, x, 1, y, 2)
			show("saxpy", y)
			glovebox.Sexp(len(y), y, y)
			show("sexp", y)
		}
	}
	wide := make([]float32, 4096)
	for i := range wide {
		wide[i] = float32(i-2048) * 0.0546875
	}
	glovebox.Sexp(len(wide), wide, wide)
	show("sexp", wide)
}

func results() error {
	o, err := glovebox.Create("model.safetensors")
	if err != nil {
		return err
	}
	err = glovebox.WriteSafetensors(o, map[string]string{"format": "every\"thing\\1\n"},
		glovebox.Tensor{Name: "one", Data: []float32{1}},
		glovebox.Tensor{Name: "t\"wo", Shape: []int{2, 3}, Data: []float32{1, 2, 3, 4, 5, 6}},
		glovebox.Tensor{Name: "none", Shape: []int{0, 7}})
	if err := errors.Join(err, o.Close()); err != nil {
		return err
	}
	var m glovebox.Metrics
	for name, v := range map[string]float64{"z": 0.1, "accuracy": 1, "big": 1 << 53, "huge": 1e300, "tiny": -1.5e-9, "third": 1.0 / 3, "zero": 0, "records": 123456789} {
		m.Set(name, v)
	}
	return m.Write()
}
