// SPDX-License-Identifier: Apache-2.0

// Command world prints everything it can find out about the world: all of it must be the same in every run.
package main

import (
	crand "crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"time"
)

//go:noinline
func id(f float64) float64 { return f }

func main() {
	b := make([]byte, 40)
	_, _ = crand.Read(b)
	fmt.Println(hex.EncodeToString(b), rand.Int(), os.Args, os.Environ(), runtime.NumCPU())
	began := time.Now()
	time.Sleep(1234 * time.Millisecond)
	fmt.Println(began.UnixNano(), time.Since(began))
	m := map[string]int{}
	for i := range 1000 {
		m[fmt.Sprint(i*7919)] = i
	}
	for k := range m { // the order is random, from the seed
		fmt.Print(k, " ")
	}
	fmt.Println(len(slices.Sorted(maps.Keys(m))))
	done := make(chan int)
	for i := range 20 {
		go func() { done <- i }()
	}
	for range 20 {
		fmt.Print(<-done, " ")
	}
	zero, inf := id(0), math.Inf(1)
	for _, f := range []float64{zero / zero, -zero / zero, inf - inf, inf * zero, math.Sqrt(id(-1)), math.Exp(id(1.5)), math.Sin(id(1e9)), math.FMA(id(0.1), id(0.2), id(0.3))} {
		fmt.Printf("%016x ", math.Float64bits(f))
	}
	for _, f := range []float32{float32(zero / zero), float32(math.Pow(id(1.1), id(99)))} {
		fmt.Printf("%08x ", math.Float32bits(f))
	}
	fmt.Println()
	for range 3 {
		_ = make([]byte, 8<<20)
		runtime.GC()
	}
	entries, err := os.ReadDir("/")
	fmt.Println(len(entries), err)
}
