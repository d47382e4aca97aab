// SPDX-License-Identifier: Apache-2.0

// Package ego is the SGX platform as EGo's runtime offers it.
//
// Trust domain: enclave, in builds with the tag "ego" (cgo). Its one job: call EGo, and nothing else; the rules of what may
// be asked when are package sgx's. EGo brings net/http and crypto/tls along, so that the enclave reaches this package in
// those builds only. Without the tag it refuses. It was compiled, vetted and run outside an enclave here, never in one; and
// an SGX enclave is one process, while the enclave's program starts a process for each worker, so that it does not run in
// EGo as it is.
package ego

import (
	"errors"

	"github.com/glovebox-dev/glovebox/attestation/sgx"
)

// ErrRefused is that of builds without EGo.
var ErrRefused = errors.New(`platform "sgx" is refused by name: this build has no EGo runtime; build with ego-go and the tag "ego"`)

// Config is the collector's configuration.
type Config = sgx.Config
