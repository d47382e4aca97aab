// SPDX-License-Identifier: Apache-2.0

//go:build ego

package ego

import (
	"errors"

	"github.com/edgelesssys/ego/enclave"

	"github.com/glovebox-dev/glovebox/attestation/sgx"
)

// Enabled reports whether this build has EGo's runtime.
const Enabled = true

// Open asks the platform which enclave this is, see [sgx.Open].
func Open(cfg Config) (*sgx.Collector, error) { return sgx.Open(cfg, runtime{}) }

// runtime implements [sgx.Runtime].
type runtime struct{}

// Self implements [sgx.Runtime]: a local report, which the processor checks.
func (runtime) Self() (sgx.Self, error) {
	r, err := enclave.GetSelfReport()
	if err != nil {
		return sgx.Self{}, err
	}
	return sgx.Self{Debug: r.Debug, MREnclave: r.UniqueID, MRSigner: r.SignerID}, nil
}

// Quote implements [sgx.Runtime].
func (runtime) Quote(data [64]byte) ([]byte, error) { return enclave.GetRemoteReport(data[:]) }

// NewSealKey implements [sgx.Runtime]. The key is random: without that, OpenEnclave's depends on the processor's security
// version alone (openenclave issue 4665).
func (runtime) NewSealKey() (key, info []byte, err error) { return enclave.GetRandomUniqueSealKey() }

// SealKey implements [sgx.Runtime]. EGo reads the first byte of info unasked.
func (runtime) SealKey(info []byte) ([]byte, error) {
	if len(info) == 0 {
		return nil, errors.New("no key information")
	}
	return enclave.GetSealKey(info)
}
