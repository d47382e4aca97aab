// SPDX-License-Identifier: Apache-2.0

package host

import (
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// TestHintsOfModes: what is wrong with code depends on what the mode has for code.
func TestHintsOfModes(t *testing.T) {
	for mode, want := range map[string]string{
		dataset.ModeTraining: "train.json", dataset.ModeRelease: "queries.json", dataset.ModeAggregate: "WASI", "": "WASI", "compute": "WASI",
	} {
		a := &attempt{order: &job.Job{Mode: mode}}
		if got := runHint(a.mode(), usage.ReasonModule); !strings.Contains(got, want) || want != "WASI" && strings.Contains(got, "WASI") {
			t.Errorf("%q: %s", mode, got)
		}
		if runHint(mode, usage.ReasonStopped) != runHints[usage.ReasonStopped] || runHint(mode, usage.ReasonNone) != "" {
			t.Errorf("%q: other reasons have other hints", mode)
		}
	}
	if got := runHint(dataset.ModeAggregate, usage.ReasonWall); !strings.Contains(got, "--slot") || runHint(dataset.ModeRaw, usage.ReasonWall) != runHints[usage.ReasonWall] {
		t.Errorf("shards that are too slow: %s", got)
	}
	if (&attempt{}).mode() != "" {
		t.Error("an attempt without a job has a mode")
	}
}
