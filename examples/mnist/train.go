// SPDX-License-Identifier: Apache-2.0

package mnist

import (
	"math"
	"math/rand/v2"

	"github.com/glovebox-dev/glovebox/sdk/go/glovebox"
)

// Metrics of the last epoch, over the images the model was trained on, each as the model saw it on its way.
type Metrics struct {
	Records  int
	Epochs   int
	Loss     float64 // mean cross-entropy
	Accuracy float64
}

// batchImages is how many images one step learns from, and firstRate how fast; the rate falls to nearly nothing.
const (
	batchImages = 16
	firstRate   = 0.2
)

// Train runs stochastic gradient descent, in an order drawn from r, and returns the metrics of the last epoch. progress,
// which may be nil, sees those of every epoch.
func (m *Model) Train(images []Image, epochs int, r *rand.Rand, progress func(Metrics)) Metrics {
	order := make([]int32, len(images))
	for i := range order {
		order[i] = int32(i)
	}
	var last Metrics
	b := &batch{}
	for e := range epochs {
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		rate := firstRate * float32(epochs-e) / float32(epochs)
		last = Metrics{Records: len(images), Epochs: e + 1}
		for from := 0; from < len(order); from += batchImages {
			b.fill(images, order[from:min(len(order), from+batchImages)])
			loss, right := m.step(b, rate)
			last.Loss += loss
			last.Accuracy += float64(right)
		}
		n := float64(max(len(images), 1))
		last.Loss, last.Accuracy = last.Loss/n, last.Accuracy/n
		if progress != nil {
			progress(last)
		}
	}
	return last
}

// batch is what one step needs, row by row for each of n images.
type batch struct {
	n      int
	labels [batchImages]uint8
	x      [batchImages * Pixels]float32 // pixels, 0 to 1
	h      [batchImages * Hidden]float32 // hidden units
	dh     [batchImages * Hidden]float32 // and what would have been better
	p      [batchImages * Digits]float32 // outputs, then their gradient
}

func (b *batch) fill(images []Image, order []int32) {
	b.n = len(order)
	for i, at := range order {
		img := &images[at]
		b.labels[i] = img.Label
		row := b.x[i*Pixels:][:Pixels]
		for k, v := range img.Pixels {
			row[k] = float32(v) * (1.0 / 255)
		}
	}
}

// step learns from one batch. Everything but the rectifier and softmax is a product of matrices, computed outside the
// guest.
func (m *Model) step(b *batch, rate float32) (loss float64, right int) {
	m.forward(b)
	loss, right = b.softmaxLoss()
	step := -rate / float32(b.n)
	glovebox.Sgemm(false, true, b.n, Hidden, Digits, 1, b.p[:], Digits, m.W2[:], Digits, 0, b.dh[:], Hidden) // dh = p·W2ᵀ
	for i, h := range b.h[:b.n*Hidden] {
		if h <= 0 {
			b.dh[i] = 0
		}
	}
	glovebox.Sgemm(true, false, Hidden, Digits, b.n, step, b.h[:], Hidden, b.p[:], Digits, 1, m.W2[:], Digits)  // W2 -= hᵀ·p
	glovebox.Sgemm(true, false, Pixels, Hidden, b.n, step, b.x[:], Pixels, b.dh[:], Hidden, 1, m.W1[:], Hidden) // W1 -= xᵀ·dh
	for i := range b.n {
		glovebox.Saxpy(Digits, step, b.p[i*Digits:], 1, m.B2[:], 1)
		glovebox.Saxpy(Hidden, step, b.dh[i*Hidden:], 1, m.B1[:], 1)
	}
	return loss, right
}

// forward computes the hidden units and the outputs before softmax.
func (m *Model) forward(b *batch) {
	for i := range b.n {
		copy(b.h[i*Hidden:], m.B1[:])
		copy(b.p[i*Digits:], m.B2[:])
	}
	glovebox.Sgemm(false, false, b.n, Hidden, Pixels, 1, b.x[:], Pixels, m.W1[:], Hidden, 1, b.h[:], Hidden)
	for i, h := range b.h[:b.n*Hidden] {
		if h < 0 {
			b.h[i] = 0
		}
	}
	glovebox.Sgemm(false, false, b.n, Digits, Hidden, 1, b.h[:], Hidden, m.W2[:], Digits, 1, b.p[:], Digits)
}

// softmaxLoss turns outputs into the gradient of the cross-entropy with respect to them, and returns the sum of those
// entropies and how many digits the model had right.
func (b *batch) softmaxLoss() (loss float64, right int) {
	p := b.p[:b.n*Digits]
	for i := range b.n {
		row := p[i*Digits:][:Digits]
		best := argmax(row)
		if best == int(b.labels[i]) {
			right++
		}
		top := row[best]
		for k := range row {
			row[k] -= top
		}
	}
	glovebox.Sexp(len(p), p, p)
	for i := range b.n {
		row := p[i*Digits:][:Digits]
		var sum float32
		for _, e := range row {
			sum += e
		}
		for k := range row {
			row[k] /= sum
		}
		label := b.labels[i]
		loss -= math.Log(float64(row[label]) + 1e-12)
		row[label]--
	}
	return loss, right
}
