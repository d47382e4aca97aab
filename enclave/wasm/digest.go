// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/enclave/blas"
	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// wazeroVersion is the release of the engine in go.mod; a test holds the two together.
const wazeroVersion = "v1.12.0"

// Digest identifies what executes modules: the engine, its version and every setting that changes a result or a count. It
// is part of the binding that a broker appraises.
func Digest() envelope.Digest {
	return envelope.Hash("glovebox.dev/wasm-engine/v2",
		[]byte("wazero "+wazeroVersion), []byte("compiler"), []byte("core-features-v2"),
		[]byte("wasi_snapshot_preview1"), []byte("glovebox/1"), []byte("tx/1"),
		fmt.Appendf(nil, "clock epoch %d step %d", ClockEpoch, clockStep), []byte("random chacha8"),
		[]byte(fuel.CostTable), []byte(blas.Version))
}
