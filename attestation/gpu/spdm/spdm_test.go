// SPDX-License-Identifier: Apache-2.0

package spdm_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/gpu/gputest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/spdm"
)

func signed(edit func(r *gputest.Report)) (*gputest.Vendor, []byte) {
	v, r := gputest.New(gputest.Options{}), gputest.NewReport([32]byte{1, 2, 3})
	if edit != nil {
		edit(r)
	}
	return v, v.Sign(r)
}

func TestParse(t *testing.T) {
	v, b := signed(nil)
	r, err := spdm.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if r.Nonce != [32]byte{1, 2, 3} || len(r.Measurements) != 64 || !bytes.Equal(r.Measurements[64], gputest.Measurement(63)) {
		t.Errorf("%x %d", r.Nonce, len(r.Measurements))
	}
	if o := r.Opaque; o.Driver != gputest.Driver || o.VBIOS != gputest.VBIOS || o.Project != "1010" || o.Feature != "SPT" || !bytes.Equal(o.FWID, gputest.FWID()) {
		t.Errorf("%+v", o)
	}
	if err := r.Verify(&v.Device[0].Key.PublicKey); err != nil {
		t.Error(err)
	}
	if err := r.Verify(&v.Device[1].Key.PublicKey); !errors.Is(err, spdm.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	if err := r.Verify(nil); !errors.Is(err, spdm.ErrSignature) {
		t.Errorf("no key: %v", err)
	}
}

// TestTrim: up to three zero bytes behind a report go, and nothing else does.
func TestTrim(t *testing.T) {
	_, b := signed(nil)
	for _, x := range []struct {
		tail string
		goes bool
	}{{"", true}, {"\x00", true}, {"\x00\x00\x00", true}, {"\x00\x00\x00\x00", false}, {"\x01", false}, {"\x00\x01", false}} {
		in := append(b[:len(b):len(b)], x.tail...)
		if got := spdm.Trim(in); bytes.Equal(got, b) != x.goes || !x.goes && !bytes.Equal(got, in) {
			t.Errorf("%q: %d bytes of %d", x.tail, len(got), len(in))
		}
	}
	for i := range b {
		if got := spdm.Trim(b[:i]); len(got) != i {
			t.Errorf("%d bytes became %d", i, len(got))
		}
	}
}

// FuzzParse: no panic, bounded time, and every byte of what parses is accounted for.
func FuzzParse(f *testing.F) {
	_, good := signed(nil)
	_, small := signed(func(r *gputest.Report) { r.Measurements = r.Measurements[:2] })
	seeds := [][]byte{good, small, good[:200], append(good[:len(good):len(good)], 0, 0), bytes.Repeat([]byte{0x11}, 5000), {}}
	if len(seeds) < 6 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		r, err := spdm.Parse(spdm.Trim(b))
		if time.Since(start) > 30*time.Second {
			t.Error("too slow")
		}
		if err != nil {
			if !errors.Is(err, spdm.ErrMalformed) {
				t.Errorf("%v", err)
			}
			return
		}
		if len(r.Measurements) == 0 || r.Opaque.Driver == "" || r.Opaque.VBIOS == "" || len(r.Record) > len(b) {
			t.Errorf("%+v", r)
		}
	})
}
