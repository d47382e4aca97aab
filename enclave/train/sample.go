// SPDX-License-Identifier: Apache-2.0

package train

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// Sampler chooses units. Nobody else may know its choice: amplification by sampling rests on that.
type Sampler interface {
	// Poisson appends each of 0…n-1 with a probability of exactly rate, independently, ascending.
	Poisson(n int, rate dp.Rate, into []int) ([]int, error)
	// Fixed appends k of 0…n-1, each set of k as likely as any other, ascending.
	Fixed(n, k int, into []int) ([]int, error)
}

// NewSampler samples by uniform bytes that nobody else knows: crypto/rand.Reader but in tests. It is for one goroutine.
func NewSampler(r io.Reader) Sampler { return &uniform{in: bufio.NewReaderSize(r, 1<<15)} }

// uniform reads bytes ahead; what it has not used is as secret as what it has.
type uniform struct {
	in  *bufio.Reader
	set []bool // of Fixed
}

// word gives 32 uniform bits.
func (u *uniform) word() (uint32, error) {
	b, err := u.in.Peek(4)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrSeam, err)
	}
	w := binary.LittleEndian.Uint32(b)
	_, err = u.in.Discard(4)
	return w, err
}

// Poisson compares, for each unit, a uniform real number to the rate, both bit by bit as far as it takes: 32 bits decide but
// once in 2³², and then the next 32 do. So the probability is exact, and no float is in it.
func (u *uniform) Poisson(n int, rate dp.Rate, into []int) ([]int, error) {
	if rate.Num < 1 || rate.Den < rate.Num || n < 0 {
		return nil, fmt.Errorf("%w: rate of %d/%d", ErrSeam, rate.Num, rate.Den)
	}
	digit, rest := digits(uint64(rate.Num), uint64(rate.Den))
	for i := range n {
		w, err := u.word()
		if err != nil {
			return nil, err
		}
		in := uint64(w) < digit
		if uint64(w) == digit {
			if in, err = u.below(rest, uint64(rate.Den)); err != nil {
				return nil, err
			}
		}
		if in {
			into = append(into, i)
		}
	}
	return into, nil
}

// digits are the next 32 binary digits of num/den and what is left of num; of one they are 2³², which no word reaches.
func digits(num, den uint64) (digit, rest uint64) {
	hi, lo := bits.Mul64(num, 1<<32)
	if num == den {
		return 1 << 32, 0
	}
	return bits.Div64(hi, lo, den)
}

// below is true with probability num/den.
func (u *uniform) below(num, den uint64) (bool, error) {
	for num > 0 {
		digit, rest := digits(num, den)
		w, err := u.word()
		if err != nil {
			return false, err
		}
		if uint64(w) != digit {
			return uint64(w) < digit, nil
		}
		num = rest
	}
	return false, nil
}

// Fixed draws by Floyd's method: of the numbers up to j, a uniform one, or j itself if that one is taken.
func (u *uniform) Fixed(n, k int, into []int) ([]int, error) {
	if k < 1 || k > n || int64(n) > 1<<31 {
		return nil, fmt.Errorf("%w: %d of %d units", ErrSeam, k, n)
	}
	if len(u.set) < n {
		u.set = make([]bool, n)
	}
	set, first := u.set[:n], len(into)
	defer clear(set)
	for j := n - k; j < n; j++ {
		t, err := u.under(uint32(j + 1))
		if err != nil {
			return nil, err
		}
		if set[t] {
			t = j
		}
		set[t] = true
		into = append(into, t)
	}
	slices.Sort(into[first:])
	return into, nil
}

// under gives a uniform number below n > 0: words that would favour small ones are thrown away.
func (u *uniform) under(n uint32) (int, error) {
	most := (1 << 32) / uint64(n) * uint64(n)
	for {
		w, err := u.word()
		if err != nil {
			return 0, err
		}
		if uint64(w) < most {
			return int(w % n), nil
		}
	}
}
