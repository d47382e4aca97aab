// SPDX-License-Identifier: Apache-2.0

package mnist

import (
	"math"
	"math/rand/v2"
)

// Metrics of the last epoch, over the images the model was trained on.
type Metrics struct {
	Records  int
	Epochs   int
	Loss     float64 // mean cross-entropy
	Accuracy float64
}

// Train runs stochastic gradient descent, one image at a time in an order drawn from r, and returns the metrics of the
// last epoch. progress, which may be nil, sees those of every epoch.
func (m *Model) Train(images []Image, epochs int, r *rand.Rand, progress func(Metrics)) Metrics {
	order := make([]int32, len(images))
	for i := range order {
		order[i] = int32(i)
	}
	var last Metrics
	for e := range epochs {
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		rate := 0.02 * float32(epochs-e) / float32(epochs) // falls to nearly nothing
		last = Metrics{Records: len(images), Epochs: e + 1}
		for _, i := range order {
			loss, right := m.step(&images[i], rate)
			last.Loss += loss
			if right {
				last.Accuracy++
			}
		}
		n := float64(max(len(images), 1))
		last.Loss, last.Accuracy = last.Loss/n, last.Accuracy/n
		if progress != nil {
			progress(last)
		}
	}
	return last
}

// step learns from one image.
func (m *Model) step(x *Image, rate float32) (loss float64, right bool) {
	var h, dh [Hidden]float32
	var p [Digits]float32
	m.forward(&x.Pixels, &h, &p)
	right = argmax(&p) == int(x.Label)
	loss = softmaxLoss(&p, int(x.Label)) // p becomes the gradient of the outputs

	for j, a := range h {
		if a <= 0 {
			continue
		}
		w := &m.W2[j]
		var d float32
		for k := range p {
			d += float32(w[k] * p[k])
			w[k] -= float32(rate * float32(a*p[k]))
		}
		dh[j] = -rate * d
	}
	for k := range p {
		m.B2[k] -= float32(rate * p[k])
	}
	addScaled(&m.B1, &dh, 1)
	for i, v := range x.Pixels {
		if v != 0 {
			addScaled(&m.W1[i], &dh, float32(v)*(1.0/255))
		}
	}
	return loss, right
}

// softmaxLoss turns outputs into the gradient of the cross-entropy with respect to them, and returns that entropy.
func softmaxLoss(p *[Digits]float32, label int) float64 {
	top := p[argmax(p)]
	var e [Digits]float64
	var sum float64
	for k := range p {
		e[k] = math.Exp(float64(p[k] - top))
		sum += e[k]
	}
	for k := range p {
		p[k] = float32(e[k] / sum)
	}
	loss := -math.Log(e[label]/sum + 1e-12)
	p[label]--
	return loss
}
