// SPDX-License-Identifier: Apache-2.0

package keyholder

import "testing"

// SetWorkFactor makes passphrases cheap for a test.
func SetWorkFactor(t *testing.T, n int) {
	old := workFactor
	workFactor = n
	t.Cleanup(func() { workFactor = old })
}
