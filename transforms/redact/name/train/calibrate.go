// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/glovebox-dev/glovebox/transforms/redact/name/internal/chain"
)

// judged is a finding in held-out text.
type judged struct {
	margin int32
	right  bool
}

// calibrate finds from which margin on a finding is right so often, and reports how good the model is on held-out text.
func calibrate(m *chain.Model, held []*example, log io.Writer) {
	var all [5][]judged
	var gold, found, right [5]int
	var d chain.Decoder
	for _, e := range held {
		d.Decode(m, e.tokens)
		eachSpan(e.labels, func(t, from, to int) { gold[t]++ })
		eachSpan(d.Labels, func(t, from, to int) {
			if anyUnknown(e, from, to) {
				return
			}
			ok := spanIs(e.labels, t, from, to)
			found[t]++
			if ok {
				right[t]++
			}
			all[t] = append(all[t], judged{d.Margin(m, e.tokens, from, to), ok || overlaps(e.labels, from, to)})
		})
	}
	for t := 1; t < 5; t++ {
		m.Calibration[t] = steps(all[t])
		fmt.Fprintf(log, "held out, exact: type %d precision %d/1000 recall %d/1000 of %d; margins %v\n",
			t, right[t]*1000/max(1, found[t]), right[t]*1000/max(1, gold[t]), gold[t], m.Calibration[t])
	}
}

func anyUnknown(e *example, from, to int) bool {
	for i := from; i < to; i++ {
		if e.unknown(i) {
			return true
		}
	}
	return false
}

// eachSpan calls f for each name: its type, its first token and the one after its last.
func eachSpan(labels []chain.Label, f func(t, from, to int)) {
	for i := 0; i < len(labels); {
		if labels[i] == chain.Outside {
			i++
			continue
		}
		j := i + 1
		for j < len(labels) && labels[j] != chain.Outside && !labels[j].First() {
			j++
		}
		f(labels[i].Type(), i, j)
		i = j
	}
}

func spanIs(labels []chain.Label, t, from, to int) bool {
	if labels[from].Type() != t || !labels[from].First() {
		return false
	}
	for i := from + 1; i < to; i++ {
		if labels[i].Type() != t || labels[i].First() {
			return false
		}
	}
	return to == len(labels) || labels[to] == chain.Outside || labels[to].First()
}

func overlaps(labels []chain.Label, from, to int) bool {
	n := 0
	for i := from; i < to; i++ {
		if labels[i] != chain.Outside {
			n++
		}
	}
	return 2*n >= to-from
}

// steps are the margins from which on a fraction of 50, 100, … 1000 thousandths of the findings is right.
func steps(all []judged) (c [20]int32) {
	slices.SortFunc(all, func(a, b judged) int { return int(a.margin - b.margin) })
	const never = 1 << 30
	for i := range c {
		c[i] = never
	}
	bin := max(50, len(all)/40)
	best := 0
	for i := 0; i < len(all); i += bin {
		part := all[i:min(len(all), i+bin)]
		right := 0
		for _, j := range part {
			if j.right {
				right++
			}
		}
		best = max(best, right*1000/len(part))
		for k := range c {
			if best >= 50*(k+1) && c[k] == never {
				c[k] = part[0].margin
			}
		}
	}
	return c
}
