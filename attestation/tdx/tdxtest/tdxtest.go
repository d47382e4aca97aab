// SPDX-License-Identifier: Apache-2.0

// Package tdxtest makes quotes of trust domains that never were.
//
// Trust domain: tests only.
package tdxtest

import (
	"crypto/sha512"
	"encoding/binary"

	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
)

// TD is what a fake trust domain reports. Tests change what they are about.
type TD struct {
	Version        int // of the quote: 4 or 5
	BodyType       int // of version 5: 2 or 3
	TCBSVN         [16]byte
	MRSEAM         [48]byte
	MRSIGNERSEAM   [48]byte
	SEAMAttributes uint64
	Attributes     uint64
	XFAM           uint64
	MRTD           [48]byte
	MRCONFIGID     [48]byte
	MROWNER        [48]byte
	MROWNERCONFIG  [48]byte
	RTMR           [4][48]byte
	ReportData     [64]byte
	TCBSVN2        [16]byte // of body type 3
	MRSERVICETD    [48]byte // of body type 3
	Log            []byte   // CCEL that leads to RTMR
}

// New is a trust domain as it should be, whose boot is in its log.
func New(version, bodyType int, reportData [64]byte) *TD {
	td := &TD{
		Version: version, BodyType: bodyType, TCBSVN: current(), TCBSVN2: current(), MRSEAM: sum("MRSEAM"),
		Attributes: 1 << 28, XFAM: 0x61ae7, MRTD: sum("MRTD"), ReportData: reportData, Log: eventlog.CCHeader(),
	}
	for i, s := range []string{"configuration", "boot loader", "kernel command line"} {
		td.Measure(i, s)
	}
	return td
}

// current is the SVN of a platform that dcaptest's statements call up to date, under module version 1.
func current() [16]byte { return [16]byte{5, 1, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5} }

func sum(s string) [48]byte { return sha512.Sum384([]byte(s)) }

// Measure extends an RTMR and adds to the log.
func (t *TD) Measure(rtmr int, data string) {
	e := eventlog.CCEvent{Register: rtmr + 1, Type: eventlog.IPL, Digest: sum(data), Data: []byte(data)}
	log, err := eventlog.AppendCC(t.Log, e)
	if err != nil {
		panic("tdxtest: " + err.Error())
	}
	t.Log = log
	t.RTMR[rtmr] = sha512.Sum384(append(t.RTMR[rtmr][:], e.Digest[:]...))
}

// Signed is header and body: what a quoting enclave signs.
func (t *TD) Signed() []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, uint16(t.Version))
	b = le.AppendUint16(b, 2)    // ECDSA P-256
	b = le.AppendUint32(b, 0x81) // TDX
	b = append(b, 0, 0, 0, 0)
	b = append(b, 0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07)
	b = append(b, make([]byte, 20)...)
	body := t.body()
	if t.Version == 5 {
		b = le.AppendUint16(b, uint16(t.BodyType))
		b = le.AppendUint32(b, uint32(len(body)))
	}
	return append(b, body...)
}

func (t *TD) body() []byte {
	le := binary.LittleEndian
	b := append(append([]byte{}, t.TCBSVN[:]...), t.MRSEAM[:]...)
	b = append(b, t.MRSIGNERSEAM[:]...)
	b = le.AppendUint64(b, t.SEAMAttributes)
	b = le.AppendUint64(b, t.Attributes)
	b = le.AppendUint64(b, t.XFAM)
	for _, m := range [][48]byte{t.MRTD, t.MRCONFIGID, t.MROWNER, t.MROWNERCONFIG, t.RTMR[0], t.RTMR[1], t.RTMR[2], t.RTMR[3]} {
		b = append(b, m[:]...)
	}
	b = append(b, t.ReportData[:]...)
	if t.Version == 5 && t.BodyType == 3 {
		b = append(append(b, t.TCBSVN2[:]...), t.MRSERVICETD[:]...)
	}
	return b
}

// Quote puts signature data behind what was signed.
func Quote(signed, authData []byte) []byte {
	b := binary.LittleEndian.AppendUint32(append([]byte{}, signed...), uint32(len(authData)))
	return append(b, authData...)
}
