// SPDX-License-Identifier: Apache-2.0

package job

import (
	"math"
	"math/bits"
	"time"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// What a worker does in a millisecond, and what steps take besides fuel: on the slow side of what is usual, for a step that does
// not end in the time that follows from these ends the run. More would let a record that code looks for be seen in more ways.
const (
	// FuelPerMillisecond is what one worker burns at least. Loops of arithmetic burn ten times as much; code that waits for
	// memory all the time burns less, and must declare more fuel or a longer pace.
	FuelPerMillisecond = 1_000_000
	recordOverhead     = 50_000 // of each record, in fuel: it is handed over, and memory put back
	paramsPerMs        = 5_000  // parameters whose noise is drawn and which are handed over
	stepOverhead       = 250    // milliseconds of any step: a worker that died is started again
	mostOverruns       = 16
)

// Overruns is how often slots of steps double before they hold the longest step that the declaration allows for: a lot far larger
// than the expected one, all records of which use up their fuel in one worker. A training may overrun once more, and no run goes
// on after that.
func (t *Training) Overruns(contributions int64) int64 {
	longest := t.longest(contributions)
	n, slot := int64(0), uint64(max(t.Pace, 1))
	for ; slot < longest && n < mostOverruns; n++ {
		slot *= 2
	}
	return n
}

// longest is the time of the longest step in milliseconds; what is beyond all limits is the largest number.
func (t *Training) longest(contributions int64) uint64 {
	root := uint64(math.Sqrt(float64(t.Lot))) + 1
	units := uint64(t.Lot) + 6*root + 10 // a Poisson sample is larger once in 10⁹
	over, records := bits.Mul64(units, uint64(contributions))
	hi, lo := bits.Mul64(records, uint64(t.RecordFuel)+recordOverhead+uint64(t.Params))
	if over > 0 || hi >= FuelPerMillisecond {
		return math.MaxUint64
	}
	ms, _ := bits.Div64(hi, lo, FuelPerMillisecond)
	sum, carry := bits.Add64(ms, uint64(t.Params)/paramsPerMs+stepOverhead, 0)
	if carry > 0 {
		return math.MaxUint64
	}
	return sum
}

// PaceFor is the shortest pace in milliseconds with which there are at most so many overruns.
func (t *Training) PaceFor(contributions, overruns int64) int64 {
	n := t.longest(contributions) >> overruns
	return int64(min(n, MaxWall*1000)) + 1
}

// steps is how many steps may end at most, the score among them.
func (p *Privacy) steps(wallSeconds int64) float64 {
	most := float64(wallSeconds) * 1000 / float64(p.Training.Pace)
	switch m := &p.Mechanisms[0]; {
	case m.Kind == dp.Tree:
		most = min(most, float64(m.Count)*float64(m.Size)+1)
	case m.Sampling != dp.NoSampling:
		most = min(most, float64(m.Count)+1)
	}
	return max(most, 1)
}

// TimeBits is what the times of a run may tell at most, in bits, beyond what epsilon bounds. It follows from the job alone. Of
// loading it is which of few moments it ends at; of a training besides in which steps slots doubled, and in which one the run
// ended because they would have to once too often.
func (j *Job) TimeBits() int64 {
	if !Private(j.Mode) || j.Privacy == nil {
		return 0
	}
	b := math.Log2(float64(Moments(time.Duration(j.Limits.WallSeconds)*time.Second)) + 1) // or it never ends
	if p := j.Privacy; p.Training != nil {
		n, g := p.steps(j.Limits.WallSeconds), float64(p.Training.Overruns(p.Contributions)+2)
		b += logBinomial(n+g, g) / math.Ln2
	}
	return int64(math.Ceil(b))
}

// logBinomial is ln C(n, k).
func logBinomial(n, k float64) (sum float64) {
	for i := 1.0; i <= k; i++ {
		sum += math.Log((n - k + i) / i)
	}
	return sum
}

// Even lengthens a time to one of few: a second, and each twice as long as the one before.
func Even(d time.Duration) time.Duration {
	out := time.Second
	for out < d && out <= math.MaxInt64/2 {
		out *= 2
	}
	return out
}

// Moments is how many times there are up to one, for [Even].
func Moments(most time.Duration) (n int64) {
	for d := time.Second; d < most; d *= 2 {
		n++
	}
	return n + 1
}
