// SPDX-License-Identifier: Apache-2.0

package audit

import "math"

// exactly is the probability of k successes in n trials of probability p = 1-q.
func exactly(k, n int, p, q float64) float64 {
	if p == 0 || q == 0 {
		if all := p > 0; all && k == n || !all && k == 0 {
			return 1
		}
		return 0
	}
	return math.Exp(choose(float64(n), float64(k)) + float64(k)*math.Log(p) + float64(n-k)*math.Log(q))
}

// choose is the logarithm of a binomial coefficient.
func choose(n, k float64) float64 {
	a, _ := math.Lgamma(n + 1)
	b, _ := math.Lgamma(k + 1)
	c, _ := math.Lgamma(n - k + 1)
	return a - b - c
}

// atLeast is the probability of k successes or more: the regularised incomplete beta function of k and n-k+1 at p.
func atLeast(k, n int, p, q float64) float64 {
	switch {
	case k <= 0:
		return 1
	case k > n || p == 0:
		return 0
	case q == 0:
		return 1
	}
	a, b := float64(k), float64(n-k+1)
	front := math.Exp(choose(float64(n), a) + math.Log(a) + a*math.Log(p) + b*math.Log(q))
	if p < (a+1)/(a+b+2) {
		return front / a * fraction(a, b, p)
	}
	return 1 - front/b*fraction(b, a, q)
}

// fraction is the continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), by Lentz's method.
func fraction(a, b, x float64) float64 {
	const tiny = 1e-300
	apart := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/apart(1-(a+b)*x/(a+1))
	h := d
	for m := 1.0; m < MaxTrials; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / apart(1+even*d)
		c = apart(1 + even/c)
		h *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / apart(1+odd*d)
		c = apart(1 + odd/c)
		step := d * c
		h *= step
		if math.Abs(step-1) < 1e-15 {
			break
		}
	}
	return h
}
