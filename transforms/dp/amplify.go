// SPDX-License-Identifier: Apache-2.0

package dp

import "math"

// sampledGaussian is the divergence of order a of a Poisson-sampled Gaussian under add-or-remove: q is the rate, s the noise
// multiplier (Mironov, Talwar and Zhang, 2019, section 3.3).
func sampledGaussian(q, s, a float64) float64 {
	if a == math.Trunc(a) {
		return sampledGaussianInt(q, s, int(a))
	}
	return sampledGaussianFrac(q, s, a)
}

// sampledGaussianInt sums ln Σ C(a,k)·qᵏ·(1-q)^(a-k)·e^((k²-k)/2s²). The binomial distribution sums to one, so that
// only what exceeds it is summed, and a small divergence is as exact as a large one.
func sampledGaussianInt(q, s float64, a int) float64 {
	sum, largest := math.Inf(-1), 0.0
	lq, lp := math.Log(q), math.Log1p(-q)
	for k := 2; k <= a; k++ {
		f := float64(k)
		c, x := logBinomial(a, k), (f*f-f)/(2*s*s)
		t := c + f*lq + float64(a-k)*lp + logExpm1(x)
		if t > sum {
			largest = c - f*lq + x
		}
		sum = logAdd(sum, t)
	}
	sum += ulp * (largest + 8) // relative error of the dominant terms
	return logAdd(0, sum) * (1 + 8*ulp) / float64(a-1)
}

// maxSeries is where dp-accounting gives the series up too.
const maxSeries = 1000

// sampledGaussianFrac sums the two series of the integrals below and above z, where both components weigh the same. Binomial
// coefficients of alternating sign are taken as positive, as dp-accounting does: that is never too little. It is +Inf where the
// series is too long.
func sampledGaussianFrac(q, s, a float64) float64 {
	z := s*s*math.Log(1/q-1) + 0.5
	lq, lp := math.Log(q), math.Log1p(-q)
	below, above := math.Inf(-1), math.Inf(-1)
	last0, last1 := math.Inf(-1), math.Inf(-1)
	coefficient := 0.0 // ln|C(a, i)|
	for i := range maxSeries {
		k := float64(i)
		j := a - k
		s0 := coefficient + k*lq + j*lp + (k*k-k)/(2*s*s) + logNormalTail((k-z)/s)
		s1 := coefficient + j*lq + k*lp + (j*j-j)/(2*s*s) + logNormalTail((z-j)/s)
		below, above = logAdd(below, s0), logAdd(above, s1)
		total := logAdd(below, above)
		if s0 < last0 && s1 < last1 && max(s0, s1) < total-30 {
			// what is left out alternates in sign and falls: in each series it is less than the last term
			return moment(logAdd(total, max(s0, s1)+math.Ln2), a)
		}
		last0, last1 = s0, s1
		coefficient += math.Log(math.Abs(j) / (k + 1))
	}
	return math.Inf(1)
}

// logNormalTail is ln P(Z > x) for standard normal Z.
func logNormalTail(x float64) float64 {
	if x < 35 {
		return math.Log(math.Erfc(x/math.Sqrt2) / 2)
	}
	y := 1 / (x * x) // asymptotic series; its next term is below 10⁻¹⁰ of the last
	return -x*x/2 - math.Log(x*math.Sqrt(2*math.Pi)) + math.Log1p(-y*(1-3*y*(1-5*y*(1-7*y))))
}

// logBinomial is ln C(n, k).
func logBinomial(n, k int) float64 {
	x, _ := math.Lgamma(float64(n + 1))
	y, _ := math.Lgamma(float64(k + 1))
	z, _ := math.Lgamma(float64(n - k + 1))
	return x - y - z
}

// sampledPure is the divergence of a Poisson-sampled ε-differentially private mechanism under add-or-remove: that of the
// sampled randomised response of two values, which dominates it (Zhu, Dong and Wang, 2022, theorem 11), in the worse direction.
func sampledPure(q, e, a float64) float64 {
	k := -math.Log1p(math.Exp(-e)) // ln of the likelier mass
	up, down := mixedLoss(q, e), mixedLoss(q, -e)
	remove := logAdd(k-e+a*up, k+a*down)
	add := logAdd(k-(a-1)*down, k-e-(a-1)*up)
	return moment(max(remove, add), a)
}

// mixedLoss is ln(1 - q + q·eˡ).
func mixedLoss(q, l float64) float64 {
	if l > far {
		k := math.Log(q) + l
		if k > far {
			return k
		}
		return logAdd(math.Log1p(-q), k)
	}
	return math.Log1p(q * math.Expm1(l))
}

// laplacePanels is how finely the losses of the Laplace mechanism are integrated.
const laplacePanels = 128

// sampledLaplace bounds the divergence of the Poisson-sampled Laplace mechanism under add-or-remove, e sensitivity over scale.
// E[Rᵃ] has two atoms and an integral of the exponential of a convex function, which chords bound from above. Removal is the
// worse direction (Mironov, Talwar and Zhang, 2019, theorem 5: the two noises mirror each other).
func sampledLaplace(q, e, a float64) float64 {
	sum := logAdd(-e-math.Ln2+a*mixedLoss(q, e), -math.Ln2+a*mixedLoss(q, -e))
	w := 2 * e / laplacePanels
	at := func(i int) float64 {
		l := -e + float64(i)*w
		return -(l+e)/2 + a*mixedLoss(q, l)
	}
	x := at(0)
	for i := range laplacePanels {
		y := at(i + 1)
		// ∫ of the exponential of a chord from x to y is (eʸ - eˣ)/(y - x); the density has a factor of 1/4
		hi, d := max(x, y), math.Abs(y-x)
		mean := 1.0
		if d > 1e-9 {
			mean = -math.Expm1(-d) / d
		}
		sum = logAdd(sum, hi+math.Log(w/4*mean))
		x = y
	}
	return moment(sum+2*laplacePanels*ulp, a)
}

// mixed is the divergence of (1-q)·X + q·P from (1-q)·X + q·Q, where that of P from Q is r: e^((a-1)·r) is jointly convex
// (van Erven and Harremoës, 2014). It is what is proven of samples in which a unit is replaced by another and no more is known.
func mixed(q, a, r float64) float64 {
	return moment(mixedLoss(q, (a-1)*r), a)
}

// poissonAny is ln of the bound of Zhu and Wang, 2019, theorem 5, on the sampled moment of integer order a: for any
// mechanism of divergence r, under add-or-remove.
func poissonAny(q float64, a int, r func(float64) float64) float64 {
	lq, lp := math.Log(q), math.Log1p(-q)
	sum := float64(a-1)*lp + math.Log1p(float64(a-1)*q)
	for j := 2; j <= a; j++ {
		f := float64(j)
		t := logBinomial(a, j) + f*lq + float64(a-j)*lp + (f-1)*r(f)
		if j > 2 {
			t += math.Log(3)
		}
		sum = logAdd(sum, t)
	}
	return sum
}

// interpolated is the divergence at any order from logarithms of moments at integer orders, which are convex in the order
// (Wang, Balle and Kasiviswanathan, 2019, corollary 10).
func interpolated(logMoment func(int) float64) func(float64) float64 {
	known := map[int]float64{1: 0}
	at := func(a int) float64 {
		v, ok := known[a]
		if !ok {
			v = max(0, logMoment(a))
			known[a] = v
		}
		return v
	}
	return func(a float64) float64 {
		n := math.Floor(a)
		v := at(int(n))
		if t := a - n; t > 0 {
			v = (1-t)*v + t*at(int(n)+1)
		}
		return moment(v, a)
	}
}

// fixedSize is the divergence of m applied to a sample without replacement, of q of all units, under replace-one (Wang,
// Balle and Kasiviswanathan, 2019): theorem 27 for the Gaussian, theorem 9 for others, and what is pure after sampling stays
// so (Balle, Barthe and Gaboardi, 2018, theorem 9).
func (m *exact) fixedSize(q float64) func(float64) float64 {
	if m.Kind == Gaussian {
		even := evenMoments(1/m.noise, maxExact)
		return interpolated(func(a int) float64 { return fixedGaussian(q, m.noise, a, even) })
	}
	e := m.pure()
	any := interpolated(func(a int) float64 { return fixedAny(q, e, a, m.divergence) })
	if math.IsInf(e, 1) {
		return any
	}
	return func(a float64) float64 { return min(any(a), pure(mixedLoss(q, e), a)) }
}

// fixedAny is ln of the bound of theorem 9; e is ε of pure differential privacy or +Inf.
func fixedAny(q, e float64, a int, r func(float64) float64) float64 {
	bounded := func(j float64) float64 { return min(math.Ln2, j*logExpm1(e)) }
	sum := math.Inf(-1)
	for j := 2; j <= a; j++ {
		f := float64(j)
		t := (f-1)*r(f) + bounded(f)
		if j == 2 {
			t = min(math.Log(4)+logExpm1(r(2)), r(2)+bounded(2))
		}
		sum = logAdd(sum, f*math.Log(q)+logBinomial(a, j)+t)
	}
	return logAdd(0, sum)
}

// maxExact is the order up to which dp-accounting uses theorem 27; above it uses theorem 9.
const maxExact = 256

// fixedGaussian is ln of the bound of theorem 27. even[j/2] is ln E[(R-1)ʲ] for even j.
func fixedGaussian(q, s float64, a int, even []float64) float64 {
	r := func(j float64) float64 { return j / (2 * s * s) }
	sum := math.Inf(-1)
	for j := 2; j <= a; j++ {
		f := float64(j)
		t := (f-1)*r(f) + math.Ln2
		switch {
		case j == 2:
			t = min(math.Log(4)+logExpm1(r(2)), r(2)+math.Ln2)
		case a <= maxExact:
			t = min(t, math.Log(4)+(even[j/2]+even[(j+1)/2])/2)
		}
		sum = logAdd(sum, f*math.Log(q)+logBinomial(a, j)+t)
	}
	return logAdd(0, sum+ulp*1024)
}

// evenMoments are ln E[(R-1)ʲ] of even j = 2·i up to n, R = e^(mz-m²/2) and z standard normal, by the trapezoid rule around the
// two maxima of the integrand, on one grid: it is analytic, so that the rule is exact to floats. Differences of powers, the
// textbook way, cancel.
func evenMoments(m float64, n int) []float64 {
	v := make([]float64, n/2+1)
	for i := 1; i <= n/2; i++ {
		j := float64(2 * i)
		f := func(z float64) float64 {
			l := m*z - m*m/2
			if l > 0 {
				return j*logExpm1(l) - z*z/2
			}
			return j*math.Log(-math.Expm1(l)) - z*z/2
		}
		v[i] = logAdd(peak(f, m/2, 1, m*j), peak(f, m/2, -1, m*j)) - math.Log(2*math.Pi)/2
	}
	return v
}

// peak is ln ∫ of e^f on one side of the zero of e^f at zero. There f is concave, with a second derivative below -1, and its
// maximum lies within far + 40 of the zero.
func peak(f func(float64) float64, zero, side, far float64) float64 {
	const step = 1.0 / 8
	lo, hi := 0.0, far+40
	for range 60 { // the maximum, by thirds
		x, y := lo+(hi-lo)/3, hi-(hi-lo)/3
		if f(zero+side*x) < f(zero+side*y) {
			lo = x
		} else {
			hi = y
		}
	}
	top := math.Round((lo+hi)/2/step) + 1
	most, sum := f(zero+side*top*step), 0.0
	for k := max(1, top-80); k <= top+80; k++ {
		sum += math.Exp(f(zero+side*k*step) - most)
	}
	return most + math.Log(sum*step)
}
