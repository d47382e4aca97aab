// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package endorsements_test

import "testing"

const offlineEnv = "GLOVEBOX_TEST_OFFLINE"

func runWithoutNetwork(t *testing.T, _ string) {
	t.Helper()
	t.Skip("SKIP 1: only Linux has network namespaces")
}

func verifyOffline(*testing.T, string) {}
