// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"encoding/hex"
	"os"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func hexName(d envelope.Digest) string { return hex.EncodeToString(d[:]) }

func remove(t testing.TB, path string) {
	t.Helper()
	must(t, os.Remove(path))
}
