// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"context"
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/config"
)

// TestWaiting: a broker ends when the last of those who wait is gone, and nobody begins to wait for one that ends.
func TestWaiting(t *testing.T) {
	l := config.Layout{Dir: t.TempDir()}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	first, err := l.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := l.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := first(); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := l.TryLeave(); ok || err != nil {
		t.Errorf("left while another waits: %v", err)
	}
	if err := l.Deserted(over); !errors.Is(err, context.Canceled) {
		t.Errorf("deserted while another waits: %v", err)
	}
	if err := second(); err != nil {
		t.Fatal(err)
	}
	unlock, ok, err := l.TryLeave()
	if !ok || err != nil {
		t.Fatalf("nobody waits: %v", err)
	}
	if _, err := l.Wait(over); !errors.Is(err, context.Canceled) {
		t.Errorf("waits for a broker that ends: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if err := l.Deserted(over); err != nil {
		t.Errorf("nobody waits: %v", err)
	}
	if _, err := l.Wait(over); !errors.Is(err, context.Canceled) {
		t.Errorf("waits for a broker that ends: %v", err)
	}
}
