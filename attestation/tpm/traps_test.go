// SPDX-License-Identifier: Apache-2.0

package tpm_test

import (
	"net"
	"slices"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm/swtpmtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
)

func speak(t *testing.T, i *swtpm.Instance) transport.TPMCloser {
	t.Helper()
	c, err := net.Dial("unix", i.Socket)
	if err != nil {
		t.Fatal(err)
	}
	return transport.FromReadWriteCloser(c)
}

// TestTPMResettablePCR23: PCRs 16 and 23 can be reset by anybody at any time, so that their values prove nothing; PCR 15
// and the enclave's 14 cannot. None that can is quoted by our collectors.
func TestTPMResettablePCR23(t *testing.T) {
	i := swtpmtest.Start(t)
	dev := speak(t, i)
	defer dev.Close() //nolint:errcheck // ends the test
	for pcr, resettable := range map[int]bool{16: true, 23: true, 15: false, quote.EnclavePCR: false, 0: false} {
		_, err := tpm2.PCRReset{PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)}}.Execute(dev)
		if (err == nil) != resettable {
			t.Errorf("PCR %d: %v", pcr, err)
		}
		if resettable && (slices.Contains(quote.PCRs(), pcr) || slices.Contains(tpm.CloudPCRs(), pcr)) {
			t.Errorf("PCR %d is quoted", pcr)
		}
	}
}

// TestTPMOwnerHierarchyHidesResetCount: a key of the owner hierarchy has its quotes' reset count and firmware version
// obfuscated, and its qualified name says which hierarchy it is of. Such a quote is refused.
func TestTPMOwnerHierarchyHidesResetCount(t *testing.T) {
	i := swtpmtest.Start(t)
	dev := speak(t, i)
	defer dev.Close() //nolint:errcheck // ends the test
	seen := map[tpm2.TPMHandle]*quote.Attest{}
	var public []byte
	for _, hierarchy := range []tpm2.TPMHandle{tpm2.TPMRHEndorsement, tpm2.TPMRHOwner} {
		k, err := tpm2.CreatePrimary{
			PrimaryHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: tpm2.PasswordAuth(nil)}, InPublic: tpm2.New2B(tpmtest.ECCTemplate()),
		}.Execute(dev)
		if err != nil {
			t.Fatal(err)
		}
		q, err := tpm2.Quote{
			SignHandle: tpm2.AuthHandle{Handle: k.ObjectHandle, Name: k.Name, Auth: tpm2.PasswordAuth(nil)},
			InScheme:   tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
			PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
				{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(0)},
			}},
		}.Execute(dev)
		if err != nil {
			t.Fatal(err)
		}
		if seen[hierarchy], err = quote.ParseAttest(q.Quoted.Bytes()); err != nil {
			t.Fatal(err)
		}
		if public = k.OutPublic.Bytes(); hierarchy == tpm2.TPMRHEndorsement {
			checkHierarchy(t, seen[hierarchy], public, true)
		}
		if _, err := (tpm2.FlushContext{FlushHandle: k.ObjectHandle}).Execute(dev); err != nil {
			t.Fatal(err)
		}
	}
	checkHierarchy(t, seen[tpm2.TPMRHOwner], public, false)
	a, b := seen[tpm2.TPMRHEndorsement], seen[tpm2.TPMRHOwner]
	if a.ResetCount == b.ResetCount && a.Firmware == b.Firmware {
		t.Errorf("not obfuscated: %d resets, firmware %#x", b.ResetCount, b.Firmware)
	}
}

func checkHierarchy(t *testing.T, a *quote.Attest, public []byte, endorsement bool) {
	t.Helper()
	k, err := quote.CheckCloudAK(public)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(a.Signer, k.QualifiedName()) != endorsement {
		t.Errorf("qualified signer %x, of the endorsement hierarchy %x", a.Signer, k.QualifiedName())
	}
}
