// SPDX-License-Identifier: Apache-2.0

package nitro

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/hf/nsm/ioc"
	"github.com/hf/nsm/request"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// module is a security module that signs nothing: its document is what it was asked for.
func module(t *testing.T, request []byte) ([]byte, error) {
	var q map[string]map[string]any
	if err := cbor.Unmarshal(request, &q); err != nil {
		t.Error(err)
		return cbor.Marshal(map[string]string{"Error": "InvalidArgument"})
	}
	a := q["Attestation"]
	d, ok := a["user_data"].([]byte)
	if len(q) != 1 || len(a) != 3 || !ok || a["nonce"] != nil || a["public_key"] != nil {
		return cbor.Marshal(map[string]string{"Error": "InvalidOperation"})
	}
	return cbor.Marshal(map[string]any{"Attestation": map[string]any{"document": append([]byte("document of "), d...)}})
}

func fakeCollector(t *testing.T) *Collector {
	return &Collector{testOnlyAsk: func(b []byte) ([]byte, error) { return module(t, b) }}
}

func TestCollect(t *testing.T) {
	c := fakeCollector(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			d := envelope.Sum([]byte{byte(i)})
			e, err := c.Collect(t.Context(), d)
			if err != nil || !bytes.Equal(e.Evidence, append([]byte("document of "), d[:]...)) || e.Platform != attestation.PlatformNitro {
				t.Errorf("%+v, %v", e, err)
			}
			if _, err := e.Encode(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := c.Collect(t.Context(), envelope.Digest{}); !errors.Is(err, attestation.ErrBinding) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Collect(ctx, envelope.Sum(nil)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestRequestIsTheLibrarys: hf/nsm, which others reach the module with, writes the same bytes; so is the ioctl's number.
func TestRequestIsTheLibrarys(t *testing.T) {
	d := envelope.Sum(nil)
	q := &request.Attestation{UserData: d[:]}
	want, err := cbor.Marshal(q.Encoded())
	if err != nil || !bytes.Equal(attestationRequest(d[:]), want) {
		t.Errorf("%x, want %x (%v)", attestationRequest(d[:]), want, err)
	}
	if want := ioc.Command(ioc.READ|ioc.WRITE, 0x0a, 0, 32); raw != uintptr(want) {
		t.Errorf("ioctl %#x, want %#x", uintptr(raw), want)
	}
}

func TestAnswers(t *testing.T) {
	good, err := cbor.Marshal(map[string]any{"Attestation": map[string]any{"document": bytes.Repeat([]byte{7}, 5000)}})
	if err != nil {
		t.Fatal(err)
	}
	open := append([]byte{0xbf}, good[1:]...)
	inner := bytes.Index(open, []byte("\xa1\x68document"))
	open[inner] = 0xbf
	open = append(open, 0xff, 0xff)
	for name, b := range map[string][]byte{"definite": good, "indefinite": open} {
		if doc, err := document(b); err != nil || len(doc) != 5000 {
			t.Errorf("%s: %d bytes, %v", name, len(doc), err)
		}
	}
	for n := range good {
		if _, err := document(good[:n]); err == nil {
			t.Errorf("%d bytes of an answer are enough", n)
		}
	}
	for name, b := range map[string][]byte{
		"trailing": append(bytes.Clone(good), 0), "not closed": open[:len(open)-1], "huge": {0xa1, 0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"empty document": []byte("\xa1\x6bAttestation\xa1\x68document\x40"), "text": []byte("\xa1\x6bAttestation\xa1\x68document\x61a"),
		"another answer": []byte("\xa1\x69GetRandom\xa1\x66random\x41\x00"), "two members": []byte("\xa2\x6bAttestation\xa1\x68document\x41\x00\x61a\x00"),
	} {
		if doc, err := document(b); !errors.Is(err, errAnswer) {
			t.Errorf("%s: %x, %v", name, doc, err)
		}
	}
	if _, err := document([]byte("\xa1\x65Error\x70InvalidOperation")); err == nil || !strings.Contains(err.Error(), "InvalidOperation") {
		t.Error(err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("\xa1\x6bAttestation\xa1\x68document\x41\x00"))
	f.Add([]byte("\xbf\x6bAttestation\xbf\x68document\x41\x00\xff\xff"))
	f.Add([]byte("\xa1\x65Error\x70InvalidOperation"))
	f.Fuzz(func(t *testing.T, b []byte) {
		doc, err := document(b)
		var v map[string]map[string][]byte
		if err == nil && (cbor.Unmarshal(b, &v) != nil || !bytes.Equal(v["Attestation"]["document"], doc)) {
			t.Errorf("%x reads as %x, the library has %x", b, doc, v)
		}
	})
}

func TestModuleFails(t *testing.T) {
	for name, ask := range map[string]func([]byte) ([]byte, error){
		"gone":    func([]byte) ([]byte, error) { return nil, os.ErrNotExist },
		"refuses": func([]byte) ([]byte, error) { return cbor.Marshal(map[string]string{"Error": "InternalError"}) },
		"empty":   func([]byte) ([]byte, error) { return nil, nil },
	} {
		c := &Collector{testOnlyAsk: ask}
		if e, err := c.Collect(t.Context(), envelope.Sum(nil)); !errors.Is(err, ErrDevice) || e.Evidence != nil {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

func TestOpenOutsideAnEnclave(t *testing.T) {
	for _, device := range []string{"", "/dev/null", "/dev/tpm0"} {
		if _, err := Open(Config{Device: device}); !errors.Is(err, ErrConfig) {
			t.Errorf("%q: %v", device, err)
		}
	}
	if _, err := os.Stat(Device); err == nil {
		t.Skip("this machine has a security module")
	}
	if _, err := Open(Config{Device: Device}); !errors.Is(err, ErrDevice) {
		t.Error(err)
	}
	if _, err := askDevice(attestationRequest(make([]byte, 32))); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestEndorsementsAreReadAnew: a file that changes is sent as it is, one that breaks ends the collecting.
func TestEndorsementsAreReadAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "endorsements.json")
	write := func(list []attestation.Endorsement) {
		b, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := fakeCollector(t)
	c.cfg.EndorsementsFile = file
	for _, body := range []string{"one", "two"} {
		write([]attestation.Endorsement{{Type: attestation.CRLType, Body: []byte(body)}})
		e, err := c.Collect(t.Context(), envelope.Sum(nil))
		if err != nil || len(e.Endorsements) != 1 || string(e.Endorsements[0].Body) != body {
			t.Errorf("%+v, %v", e.Endorsements, err)
		}
	}
	write(nil)
	if _, err := c.Collect(t.Context(), envelope.Sum(nil)); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}
