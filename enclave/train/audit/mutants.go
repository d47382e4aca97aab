// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// louder multiplies the noise's deviation by a fraction.
type louder struct {
	train.Noise
	num, den uint64
}

// Gaussian implements train.Noise.
func (n louder) Gaussian(dst []int64, sigma sampler.Rat) error {
	if n.num == 0 {
		clear(dst)
		return nil
	}
	return n.Noise.Gaussian(dst, sampler.Rat{Num: sigma.Num * n.num, Den: sigma.Den * n.den})
}

func withoutNoise(l *lab) { l.noise = louder{l.noise, 0, 1} }

func halfNoise(l *lab) { l.noise = louder{l.noise, 1, 2} }

// instead answers for Poisson batches with others.
type instead struct {
	train.Sampler
	poisson func(n int, rate dp.Rate, into []int) ([]int, error)
}

// Poisson implements train.Sampler.
func (s instead) Poisson(n int, rate dp.Rate, into []int) ([]int, error) {
	return s.poisson(n, rate, into)
}

// sizeOf is a batch's expected size.
func sizeOf(n int, rate dp.Rate) int { return int(int64(n) * rate.Num / rate.Den) }

// shuffled puts all units into an order by chance, and takes them batch after batch: what most trainers do.
func shuffled(l *lab) {
	real, order := l.sampler, []int(nil)
	l.sampler = instead{real, func(n int, rate dp.Rate, into []int) ([]int, error) {
		size := sizeOf(n, rate)
		if len(order) < size {
			order = order[:0]
			for left := n; left > 0; left-- { // one of those that are left, each as likely
				pick, err := real.Fixed(left, 1, nil)
				if err != nil {
					return nil, err
				}
				order = append(order, pick[0])
			}
			unrank(order, n)
		}
		into = append(into, order[:size]...)
		order = order[size:]
		return into, nil
	}}
}

// unrank makes a permutation of the places of its elements among those that were left.
func unrank(order []int, n int) {
	left := make([]int, n)
	for i := range left {
		left[i] = i
	}
	for i, at := range order {
		order[i] = left[at]
		left = append(left[:at], left[at+1:]...)
	}
}

// fixedSize takes as many units as are expected, whichever.
func fixedSize(l *lab) {
	real := l.sampler
	l.sampler = instead{real, func(n int, rate dp.Rate, into []int) ([]int, error) {
		return real.Fixed(n, sizeOf(n, rate), into)
	}}
}

// twice uses each batch for two steps.
func twice(l *lab) {
	real, last, used := l.sampler, []int(nil), true
	l.sampler = instead{real, func(n int, rate dp.Rate, into []int) ([]int, error) {
		if used = !used; !used {
			var err error
			if last, err = real.Poisson(n, rate, nil); err != nil {
				return nil, err
			}
		}
		return append(into, last...), nil
	}}
}
