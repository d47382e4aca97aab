// SPDX-License-Identifier: Apache-2.0

package swtpmtest

import (
	"net"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm"
)

// with speaks to the instance, as whoever made the machine does: the cloud.
func with(t testing.TB, i *swtpm.Instance, f func(transport.TPM)) {
	t.Helper()
	c, err := net.Dial("unix", i.Socket)
	if err != nil {
		t.Fatal(err)
	}
	tpm := transport.FromReadWriteCloser(c)
	defer tpm.Close() //nolint:errcheck // nothing is left to write
	f(tpm)
}

// WriteIndex defines an index that the owner may read, and fills it. A software TPM's hold at most 2048 bytes.
func WriteIndex(t testing.TB, i *swtpm.Instance, index uint32, data []byte) {
	t.Helper()
	owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	public := tpm2.TPMSNVPublic{
		NVIndex: tpm2.TPMHandle(index), NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(data)),
		Attributes: tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, NoDA: true, NT: tpm2.TPMNTOrdinary},
	}
	with(t, i, func(tpm transport.TPM) {
		if _, err := (tpm2.NVDefineSpace{AuthHandle: owner, PublicInfo: tpm2.New2B(public)}).Execute(tpm); err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(data); at += 512 {
			r, err := tpm2.NVReadPublic{NVIndex: public.NVIndex}.Execute(tpm)
			if err != nil {
				t.Fatal(err)
			}
			_, err = tpm2.NVWrite{
				AuthHandle: owner, NVIndex: tpm2.NamedHandle{Handle: public.NVIndex, Name: r.NVName},
				Data: tpm2.TPM2BMaxNVBuffer{Buffer: data[at:min(at+512, len(data))]}, Offset: uint16(at),
			}.Execute(tpm)
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// RemoveIndex undoes [WriteIndex].
func RemoveIndex(t testing.TB, i *swtpm.Instance, index uint32) {
	t.Helper()
	with(t, i, func(tpm transport.TPM) {
		r, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(index)}.Execute(tpm)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tpm2.NVUndefineSpace{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(index), Name: r.NVName},
		}.Execute(tpm)
		if err != nil {
			t.Fatal(err)
		}
	})
}

// Key makes a primary key of the endorsement hierarchy and returns its TPMT_PUBLIC. If persistent is not zero, the key
// stays in the TPM under that handle.
func Key(t testing.TB, i *swtpm.Instance, template tpm2.TPMTPublic, persistent uint32) (public []byte) {
	t.Helper()
	with(t, i, func(tpm transport.TPM) {
		k, err := tpm2.CreatePrimary{
			PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)}, InPublic: tpm2.New2B(template),
		}.Execute(tpm)
		if err != nil {
			t.Fatal(err)
		}
		public = k.OutPublic.Bytes()
		if persistent != 0 {
			_, err = tpm2.EvictControl{
				Auth:             tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
				ObjectHandle:     &tpm2.NamedHandle{Handle: k.ObjectHandle, Name: k.Name},
				PersistentHandle: tpm2.TPMHandle(persistent),
			}.Execute(tpm)
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := (tpm2.FlushContext{FlushHandle: k.ObjectHandle}).Execute(tpm); err != nil {
			t.Fatal(err)
		}
	})
	return public
}
