// SPDX-License-Identifier: Apache-2.0

// Command mlp trains the network of mlp.c with loops in Go, for 8 steps.
package main

import "github.com/glovebox-dev/glovebox/bench/kernels/go/network"

func main() { network.Train(8, product, network.Powers) }

func product(ta, tb bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	var sums [network.Hidden]float32
	for i := range m {
		sums := sums[:n]
		clear(sums)
		for p := range k {
			at := i*lda + p
			if ta {
				at = p*lda + i
			}
			if v := a[at]; tb {
				for j := range sums {
					sums[j] += float32(v * b[j*ldb+p])
				}
			} else {
				for j, w := range b[p*ldb:][:n] {
					sums[j] += float32(v * w)
				}
			}
		}
		for j, s := range sums {
			v := float32(alpha * s)
			if beta != 0 {
				v += float32(beta * c[i*ldc+j])
			}
			c[i*ldc+j] = v
		}
	}
}
