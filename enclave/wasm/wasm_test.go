// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"bytes"
	"errors"
	"testing"
)

func TestRun(t *testing.T) {
	b := goGuest(t, "hello")
	m, err := Compile(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var log bytes.Buffer
	i, err := m.Instantiate(t.Context(), Config{MemoryBytes: 64 << 20, Fuel: 1e9, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	err = i.Run(t.Context())
	t.Log(i.Used(), err, log.String())
	if errors.Is(err, ErrTrap) {
		t.Fatal(err)
	}
}
