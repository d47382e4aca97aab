// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"context"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// ReadMeasurements reads the quoted PCRs of a TPM, for an operator who prepares reference values. It trusts the device.
func ReadMeasurements(ctx context.Context, device string) (map[string]string, error) {
	var out map[string]string
	err := withDevice(ctx, device, func(t transport.TPM) (err error) {
		out, err = readPCRs(t)
		return err
	})
	return out, err
}

// EndorsementKey is the TPMT_PUBLIC of the TPM's endorsement key, for whoever certifies it.
func EndorsementKey(ctx context.Context, device string) ([]byte, error) {
	var out []byte
	err := withDevice(ctx, device, func(t transport.TPM) (err error) {
		out, err = publicOf(t, ekTemplate())
		return err
	})
	return out, err
}

// Extend measures d into a PCR of the SHA-256 bank, as a launcher does before it starts what it measured.
func Extend(ctx context.Context, device string, pcr int, d envelope.Digest) error {
	if pcr < 0 || pcr > 23 || d.IsZero() {
		return fmt.Errorf("%w: PCR %d", ErrConfig, pcr)
	}
	return withDevice(ctx, device, func(t transport.TPM) error {
		_, err := tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
			Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: d[:]}}},
		}.Execute(t)
		return err
	})
}
