// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"testing"
	"time"
)

type memData [][]byte

func (m memData) ReadAt(_ context.Context, file int, p []byte, off int64) (int, error) {
	return copy(p, m[file][off:]), nil
}

func newSpawner(t *testing.T) *Spawner {
	t.Helper()
	s, err := StartSpawner(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestSelfTest(t *testing.T) {
	s := newSpawner(t)
	st, err := s.SelfTest(t.Context())
	t.Logf("%+v", st)
	if err != nil {
		t.Fatal(err)
	}
	_ = time.Now
}

func TestRunGo(t *testing.T) {
	s := newSpawner(t)
	o, err := s.Run(t.Context(), Spec{Module: buildGuest(t, "copy"), Files: []File{{"d/records.csv", 5}}, Outputs: []Output{{"a", 100}}, MemoryBytes: 64 << 20, OutputBytes: 1000, Wall: 20 * time.Second, Logs: true, Params: map[string]string{"X": "1"}}, memData{[]byte("hello")})
	t.Logf("%+v %v", o, err)
	t.Logf("%s", o.Logs)
}
