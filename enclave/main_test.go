// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"os"
	"testing"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
)

// TestMain lets this test's processes be the sandbox's, as the enclave's binary is.
func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}
