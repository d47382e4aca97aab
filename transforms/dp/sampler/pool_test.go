// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"errors"
	"slices"
	"sync"
	"testing"
)

// counting draws 1, 2, 3, …
func counting() func([]int64) error {
	next := int64(0)
	return func(dst []int64) error {
		for i := range dst {
			next++
			dst[i] = next
		}
		return nil
	}
}

// TestPoolGivesNoiseOnce: no noise is given twice or kept, and none is missing.
func TestPoolGivesNoiseOnce(t *testing.T) {
	p, err := NewPool(10, counting())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	take := func(n int) {
		t.Helper()
		dst := make([]int64, n)
		if err := p.Take(dst); err != nil {
			t.Fatal(err)
		}
		for _, x := range dst {
			if x == 0 || seen[x] {
				t.Fatalf("%d is given again", x)
			}
			seen[x] = true
		}
		for _, x := range p.noise {
			if seen[x] {
				t.Fatalf("%d was given and is still there", x)
			}
		}
	}
	for range 5 {
		if err := p.Refill(); err != nil {
			t.Fatal(err)
		}
		take(3)
		take(0)
		take(6)
	}
	if len(seen) != 45 {
		t.Errorf("%d noises, want 45", len(seen))
	}
	short := []int64{5, 5}
	if err := p.Take(short); !errors.Is(err, ErrPool) || short[0] != 0 || short[1] != 0 {
		t.Errorf("one was left, two were taken: %v, %v", short, err)
	}
	p.Wipe()
	if err := p.Take(short[:1]); !errors.Is(err, ErrPool) || slices.Max(p.noise) != 0 {
		t.Errorf("a wiped pool has noise: %v", err)
	}
}

func TestPoolFailsClosed(t *testing.T) {
	broken := errors.New("broken")
	p, err := NewPool(4, func(dst []int64) error { dst[0] = 9; return broken })
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Refill(); !errors.Is(err, broken) {
		t.Error(err)
	}
	if err := p.Take(make([]int64, 1)); !errors.Is(err, ErrPool) {
		t.Errorf("what a failed draw left is noise: %v", err)
	}
	for _, n := range []int{0, -1, MaxPool + 1} {
		if _, err := NewPool(n, counting()); !errors.Is(err, ErrParameter) {
			t.Errorf("a pool of %d: %v", n, err)
		}
	}
	if _, err := NewPool(1, nil); !errors.Is(err, ErrParameter) {
		t.Error("a pool of nothing")
	}
}

func TestPoolIsShared(t *testing.T) {
	p, err := NewPool(64, counting())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[int64]bool{}
	for range 4 {
		all.Go(func() {
			dst := make([]int64, 8)
			for range 200 {
				for p.Take(dst) != nil {
					if err := p.Refill(); err != nil {
						t.Error(err)
					}
				}
				mu.Lock()
				for _, x := range dst {
					if seen[x] {
						t.Errorf("%d is given twice", x)
					}
					seen[x] = true
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(seen) != 4*200*8 {
		t.Errorf("%d noises", len(seen))
	}
}
