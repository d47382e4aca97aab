// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/snp/snptest"
)

// fakeGuest answers as Linux's sev-guest driver documents.
type fakeGuest struct {
	t        *testing.T
	table    []byte
	busy     int    // answers "busy" so often first
	fault    uint64 // and this always, with EIO
	wants    uint32 // bytes of certificates, if not the table's
	status   uint32
	size     uint32
	hang     chan struct{}
	asked    int
	response int // bytes
}

func (g *fakeGuest) extReport(data [64]byte, certs []byte) (response []byte, used uint32, fault uint64, err error) {
	g.asked++
	if g.hang != nil {
		<-g.hang
	}
	if g.asked <= g.busy {
		return nil, 0, vmmBusy << 32, syscall.EAGAIN
	}
	if g.fault != 0 {
		return nil, 0, g.fault, syscall.EIO
	}
	want := uint32((len(g.table) + pageSize - 1) / pageSize * pageSize)
	if g.wants != 0 {
		want = g.wants
	}
	if want > uint32(len(certs)) {
		return nil, want, vmmInvalidLength << 32, syscall.EIO
	}
	copy(certs, g.table)
	response = make([]byte, g.response)
	if len(response) >= responseReport {
		binary.LittleEndian.PutUint32(response[responseStatus:], g.status)
		binary.LittleEndian.PutUint32(response[responseLength:], g.size)
		copy(response[responseReport:], snptest.New(g.t, "Milan").Report(data))
	}
	return response, want, 0, nil
}

func newGuest(t *testing.T) *fakeGuest {
	return &fakeGuest{t: t, size: ReportSize, response: responseSize}
}

func TestDevice(t *testing.T) {
	small, large := makeTable(entry{guidVCEK, []byte("key")}), makeTable(entry{guidVCEK, make([]byte, 8000)}, entry{guidASK, make([]byte, 8000)}, entry{guidARK, make([]byte, 8000)})
	for name, c := range map[string]struct {
		table []byte
		asked int
		certs int
	}{
		"no certificates":               {nil, 1, 0},
		"in the buffer":                 {small, 1, 1},
		"more than the buffer can hold": {large, 2, 3},
	} {
		g := newGuest(t)
		g.table = c.table
		data := [64]byte{9}
		report, table, err := (&device{g}).report(t.Context(), data)
		if err != nil || g.asked != c.asked || len(report) != ReportSize || !bytes.Equal(report[0x50:0x90], data[:]) {
			t.Errorf("%s: asked %d times: %v", name, g.asked, err)
			continue
		}
		certs, err := ParseTable(table)
		if err != nil || len(certs) != c.certs {
			t.Errorf("%s: %d certificates: %v", name, len(certs), err)
		}
	}
}

func TestDeviceRefuses(t *testing.T) {
	for name, change := range map[string]func(g *fakeGuest){
		"firmware error":             func(g *fakeGuest) { g.fault = 0x16 },
		"wants too much":             func(g *fakeGuest) { g.wants = maxTable + pageSize },
		"wants half a page":          func(g *fakeGuest) { g.wants = 5*pageSize + 1 },
		"status":                     func(g *fakeGuest) { g.status = 0x16 },
		"report of another size":     func(g *fakeGuest) { g.size = ReportSize - 1 },
		"short response":             func(g *fakeGuest) { g.response = 100 },
		"says length, wants less":    func(g *fakeGuest) { g.fault = vmmInvalidLength << 32 },
		"an error of another vendor": func(g *fakeGuest) { g.fault = 7 << 32 },
	} {
		g := newGuest(t)
		change(g)
		if _, _, err := (&device{g}).report(t.Context(), [64]byte{}); !errors.Is(err, ErrDevice) || g.asked > 2 {
			t.Errorf("%s: asked %d times: %v", name, g.asked, err)
		}
	}
}

// TestDeviceBusy: a host may limit how often it is asked; the wait is the caller's to end.
func TestDeviceBusy(t *testing.T) {
	g := newGuest(t)
	g.busy = 1 << 30
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := (&device{g}).report(ctx, [64]byte{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	hung := newGuest(t)
	hung.hang = make(chan struct{})
	defer close(hung.hang)
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := (&device{hung}).report(ctx, [64]byte{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hangs: got %v", err)
	}
}
