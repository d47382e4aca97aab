// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
)

func TestRunVerifies(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	v := r.Verify()
	for _, f := range v.Findings {
		t.Error(f)
	}
	t.Logf("%d bytes, %+v", len(r.Bundle), v.Facts)
}
