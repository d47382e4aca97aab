// SPDX-License-Identifier: Apache-2.0

package verifiers_test

import (
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// BenchmarkNew is what an auditor pays for each grant before any evidence is read.
func BenchmarkNew(b *testing.B) {
	brokers := []envelope.PublicKey{attestationtest.PublicKey(b, "broker")}
	for b.Loop() {
		if len(verifiers.New(brokers, nil)) < 10 {
			b.Fatal("formats are missing")
		}
	}
}
