// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
)

// each runs f for 0 to n-1 on every processor, and for a part of them in short tests.
func each(n int, f func(i int)) (ran int) {
	step := 1 // or odd: every bit of a byte has its turn
	switch {
	case raceDetector:
		step = 97
	case testing.Short():
		step = 29
	}
	var next, count atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := int(next.Add(int64(step))) - step
				if i >= n {
					return
				}
				f(i)
				count.Add(1)
			}
		})
	}
	wg.Wait()
	return int(count.Load())
}

// TestEveryBitOfQuotes: header, TD report, signature, keys, QE report, authentication data, certificates and every length:
// no flipped bit is accepted. There is no byte outside a signature.
func TestEveryBitOfQuotes(t *testing.T) {
	for _, shape := range shapes {
		t.Run(fmt.Sprint(shape), func(t *testing.T) {
			s := newScenario(t, shape[0], shape[1])
			e, f := s.evidence(t), s.format()
			if _, err := f.Authenticate(t.Context(), e, s.now); err != nil {
				t.Fatal(err)
			}
			n := each(8*len(e.Evidence), func(i int) {
				m := *e
				m.Evidence = bytes.Clone(e.Evidence)
				m.Evidence[i/8] ^= 1 << (i % 8)
				if r, err := f.Authenticate(t.Context(), &m, s.now); err == nil {
					t.Errorf("byte %d bit %d accepted: %+v", i/8, i%8, r.Measurements)
				}
			})
			t.Logf("%d bits of %d flipped, none accepted", n, 8*len(e.Evidence))
		})
	}
}

// TestEveryByteOfCollateral: TCB info, QE identity, both CRLs and the TCB signing certificate.
func TestEveryByteOfCollateral(t *testing.T) {
	s := newScenario(t, 5, 3)
	e, f := s.evidence(t), s.format()
	all := 0
	for k, x := range e.Endorsements {
		n := each(len(x.Body), func(i int) {
			for _, bit := range []byte{1, 0x20, 0x80} { // 0x20 changes the case of a letter
				m := *e
				m.Endorsements = append([]attestation.Endorsement{}, e.Endorsements...)
				m.Endorsements[k].Body = bytes.Clone(x.Body)
				m.Endorsements[k].Body[i] ^= bit
				if _, err := f.Authenticate(t.Context(), &m, s.now); err == nil {
					t.Errorf("%s, byte %d with %#x accepted", x.Type, i, bit)
				}
			}
		})
		all += n
	}
	t.Logf("3 bits in each of %d bytes of %d statements flipped, none accepted", all, len(e.Endorsements))
}

// TestEveryBitOfEventLog: whatever is accepted leads to the same registers. No signature covers the rest of a log: the type
// and text of an event, and in its first event the version of the format and who wrote it. Text that is not what a digest is
// of is not shown to people.
func TestEveryBitOfEventLog(t *testing.T) {
	s := newScenario(t, 4, 2)
	e, f := s.evidence(t), s.format()
	want, err := f.Authenticate(t.Context(), e, s.now)
	if err != nil {
		t.Fatal(err)
	}
	log := e.EventLogs[0].Body
	free := unsigned(t, log)
	var accepted atomic.Int64
	n := each(8*len(log), func(i int) {
		m := *e
		m.EventLogs = []attestation.EventLog{{Type: attestation.CCELLog, Body: bytes.Clone(log)}}
		m.EventLogs[0].Body[i/8] ^= 1 << (i % 8)
		r, err := f.Authenticate(t.Context(), &m, s.now)
		if err != nil {
			return
		}
		accepted.Add(1)
		if !free[i/8] || cmp.Diff(r.Measurements, want.Measurements) != "" {
			t.Errorf("byte %d bit %d accepted", i/8, i%8)
		}
	})
	t.Logf("%d bits of %d flipped, %d accepted: types and texts of events", n, 8*len(log), accepted.Load())
}

// unsigned are the bytes of a log that no digest covers.
func unsigned(t *testing.T, log []byte) map[int]bool {
	t.Helper()
	out := map[int]bool{}
	head := len(eventlog.CCHeader())
	out[0] = true                   // the first event may be of register 0 or 1
	for i := 32 + 16; i < 56; i++ { // behind the name of the format: class, version, errata, size of a word
		out[i] = true
	}
	l, err := eventlog.ParseCC(log)
	if err != nil {
		t.Fatal(err)
	}
	for at, i := head, 0; i < len(l.Events); i++ {
		for k := 4; k < 8; k++ {
			out[at+k] = true
		}
		at += 4 + 4 + 4 + 2 + 48 + 4
		for range l.Events[i].Data {
			out[at] = true
			at++
		}
	}
	return out
}
