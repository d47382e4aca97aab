// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/sdk/go/glovebox/train"
)

// TestSample trains outside the sandbox, without privacy: five passes over the sample, in steps of 0.5.
func TestSample(t *testing.T) {
	config, err := os.ReadFile("train.json")
	if err != nil {
		t.Fatal(err)
	}
	sample, err := os.ReadFile("sample.csv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(sample)), "\n")
	got, err := train.Run(open, train.NewConfig(string(config)), 5, 0.5, lines...)
	if err != nil || got.Records != len(lines) || got.Score < 0.85 {
		t.Errorf("%+v, %v; want a score of 0.85 on %d records", got, err, len(lines))
	}
}
