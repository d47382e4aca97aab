// SPDX-License-Identifier: Apache-2.0

//go:build !simulated

package simulated_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
)

// TestRefusedByName: without the build tag there is no simulated platform, whatever the configuration.
func TestRefusedByName(t *testing.T) {
	if simulated.Enabled {
		t.Fatal("enabled without the tag")
	}
	c, cerr := simulated.NewCollector(simulated.Config{KeyFile: "x"})
	f, ferr := simulated.NewFormat(attestationtest.PublicKey(t, "root"))
	_, kerr := simulated.CreateKey(filepath.Join(t.TempDir(), "key"))
	_, merr := simulated.Measure("")
	for name, err := range map[string]error{"collector": cerr, "format": ferr, "key": kerr, "measure": merr} {
		if !errors.Is(err, simulated.ErrRefused) || !strings.Contains(err.Error(), `"simulated" is refused by name`) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if c != nil || f != nil {
		t.Error("refused, but given")
	}
}
