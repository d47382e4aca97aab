// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
	"github.com/glovebox-dev/glovebox/attestation/sgx/verify"
)

// region is a stretch of evidence and what keeps it from being changed. Those that no signature covers are marked: their
// bytes are refused all the same, since each may have one value only.
type region struct {
	name, held string
	unsigned   bool
	size       int
}

// regions of a quote of version 3 (without EGo's header), in order, to the last byte.
func regions(t *testing.T, q []byte) []region {
	t.Helper()
	auth := int(binary.LittleEndian.Uint16(q[436+576:]))
	at := 436 + 578 + auth
	chain := int(binary.LittleEndian.Uint32(q[at+2:]))
	return []region{
		{"header", "signed by the attestation key", false, 48},
		{"enclave report", "signed by the attestation key", false, 384},
		{"length of signature data", "must be the length of what follows", true, 4},
		{"quote signature", "is the signature", false, 64},
		{"attestation key", "hashed in the QE report, which the PCK signed", false, 64},
		{"QE report", "signed by the PCK", false, 384},
		{"QE report signature", "is the signature", false, 64},
		{"length of authentication data", "must lead to certification data that ends where the quote does", true, 2},
		{"authentication data", "hashed in the QE report, which the PCK signed", false, auth},
		{"type of certification data", "must be 5", true, 2},
		{"length of certification data", "must be the length of what follows", true, 4},
		{"certificates", "in each, the certified part is signed by the next and the root by itself, algorithm and signature are parsed as DER; " +
			"PEM lines and a NUL at the end may be written in one way only", false, chain},
	}
}

// hunt flips bits of b, hands each to judge and returns how many there were and the offsets that were accepted.
func hunt(b []byte, each func(at int) []byte, judge func(b []byte) bool) (tried int, accepted []int) {
	var n atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			mine := bytes.Clone(b)
			for at := w; at < len(mine); at += workers {
				for _, mask := range each(at) {
					mine[at] ^= mask
					if judge(mine) {
						mu.Lock()
						accepted = append(accepted, at)
						mu.Unlock()
					}
					mine[at] ^= mask
					n.Add(1)
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(accepted)
	return int(n.Load()), accepted
}

func everyBit(int) []byte { return []byte{1, 2, 4, 8, 16, 32, 64, 128} }

// oneBit of each byte, another one for each.
func oneBit(at int) []byte { return []byte{1 << (at % 8)} }

func sampled(each func(int) []byte, step int) func(int) []byte {
	return func(at int) []byte {
		if at%step != 0 {
			return nil
		}
		return each(at)
	}
}

// flips tries all of e.
func flips(t *testing.T, f attestation.Format, e *attestation.Evidence, now int64) {
	t.Helper()
	if _, err := f.Authenticate(context.Background(), e, now); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	bits, bytewise := everyBit, oneBit
	if testing.Short() {
		bits, bytewise = sampled(everyBit, 37), sampled(oneBit, 37)
	}
	tried, accepted := hunt(e.Evidence, bits, func(b []byte) bool {
		x := *e
		x.Evidence = b
		_, err := f.Authenticate(context.Background(), &x, now)
		return err == nil
	})
	total := tried
	at := 0
	for _, r := range regions(t, e.Evidence) {
		n := 0
		for _, a := range accepted {
			if a >= at && a < at+r.size {
				n++
			}
		}
		outside := ""
		if r.unsigned {
			outside = " (outside every signature)"
		}
		t.Logf("quote [%d:%d] %s%s: %s; accepted %d", at, at+r.size, r.name, outside, r.held, n)
		at += r.size
	}
	if at != len(e.Evidence) || len(accepted) != 0 {
		t.Errorf("regions cover %d of %d bytes; flips accepted at %v", at, len(e.Evidence), accepted)
	}
	for i, end := range e.Endorsements {
		tried, accepted := hunt(end.Body, bytewise, func(b []byte) bool {
			x := *e
			x.Endorsements = slices.Clone(e.Endorsements)
			x.Endorsements[i].Body = b
			_, err := f.Authenticate(context.Background(), &x, now)
			return err == nil
		})
		total += tried
		t.Logf("%s, %d bytes: %s; accepted %d", end.Type, len(end.Body), held(end.Type), len(accepted))
		if len(accepted) != 0 {
			t.Errorf("%s: flips accepted at %v", end.Type, accepted)
		}
	}
	t.Logf("%d mutations tried, none accepted", total)
}

func held(typ string) string {
	switch typ {
	case attestation.CertificateType, attestation.CRLType:
		return "signed by the issuer; lengths, algorithm and signature around the signed part are DER, which has one spelling"
	case attestation.ChainType:
		return "as certificates in the quote; PEM lines are outside the signature and may be written in one way only"
	}
	return "the document is signed; the wrapper around it and the signature's digits are outside and may be written in one way only"
}

// TestEveryBitOfEvidence: no change of a single bit of the quote, and of no byte of the collateral, is accepted. Two
// signatures of ECDSA over one message are both good, (r, s) and (r, n-s): that is no bit flip, and says the same.
func TestEveryBitOfEvidence(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	flips(t, verify.NewTestFormat(v.Pin()), evidence(t, v), v.Now.Unix())
}

// TestEveryBitOfRealEvidence is the same with a real quote and Intel's collateral.
func TestEveryBitOfRealEvidence(t *testing.T) {
	for _, v := range vectors() {
		if v.name != "dcap-qvl" && v.name != "oasis: collateral of 2025" {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			e, err := verify.Import(attestation.Raw{Report: v.quote(t), Collateral: v.collateral(t)})
			if err != nil {
				t.Fatal(err)
			}
			f, err := verify.NewFormat()
			if err != nil {
				t.Fatal(err)
			}
			flips(t, f, e, at(t, v.at))
		})
	}
}

// TestEveryByteOfEGoHeader: nothing signs OpenEnclave's header, and each byte of it may have one value only.
func TestEveryByteOfEGoHeader(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	e := evidence(t, v)
	whole := wrap(e.Evidence)
	tried, accepted := hunt(whole[:16], everyBit, func(h []byte) bool {
		x := *e
		x.Evidence = append(bytes.Clone(h), whole[16:]...)
		_, err := judge(&x, v)
		return err == nil
	})
	if len(accepted) != 0 || tried != 128 {
		t.Errorf("%d tried, accepted at %v", tried, accepted)
	}
}

// TestMixedEvidence: parts of two platforms, each in order by itself.
func TestMixedEvidence(t *testing.T) {
	a, b := dcaptest.New(dcap.SGX), dcaptest.New(dcap.SGX)
	b.PCKKey, b.AttestationKey = dcaptest.Key("another PCK"), dcaptest.Key("another attestation key")
	b.QEReportKey, b.QuoteKey = b.PCKKey, b.AttestationKey
	ea, eb := evidence(t, a), evidence(t, b)
	if _, err := judge(eb, b); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	qa, qb := ea.Evidence, eb.Evidence
	if len(regions(t, qa)) != len(regions(t, qb)) {
		t.Fatal("not of one shape")
	}
	at, n := 0, 0
	for _, r := range regions(t, qa) {
		x := *ea
		x.Evidence = append(append(bytes.Clone(qa[:at]), qb[at:at+r.size]...), qa[at+r.size:]...)
		if r.name == "certificates" { // of any length
			x.Evidence = append(bytes.Clone(qa[:at-4]), qb[at-4:]...)
			binary.LittleEndian.PutUint32(x.Evidence[432:], uint32(len(x.Evidence)-436))
		}
		if !bytes.Equal(x.Evidence, qa) {
			n++
			if _, err := judge(&x, a); err == nil {
				t.Errorf("%s of another platform is accepted", r.name)
			}
		}
		at += r.size
	}
	if n < 5 {
		t.Errorf("only %d parts differ", n)
	}
}
