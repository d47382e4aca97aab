// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestJob runs the job outside the sandbox: directories stand for /data and /out.
func TestJob(t *testing.T) {
	data, out := t.TempDir(), t.TempDir()
	b, err := os.ReadFile("sample.csv")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(data, "sample"), 0o700), os.WriteFile(filepath.Join(data, "sample", "records.csv"), b, 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GLOVEBOX_DATA", data)
	t.Setenv("GLOVEBOX_OUT", out)
	if err := job(); err != nil {
		t.Fatal(err)
	}
	metrics, err := os.ReadFile(filepath.Join(out, "metrics.json"))
	if err != nil || !strings.Contains(string(metrics), `"accuracy":0.9`) {
		t.Errorf("metrics %s, err %v", metrics, err)
	}
}
