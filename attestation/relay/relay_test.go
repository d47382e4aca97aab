// SPDX-License-Identifier: Apache-2.0

package relay_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/relay"
)

// helper answers one connection with raw bytes.
func helper(t *testing.T, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var q relay.Request
		if relay.Read(conn, &q) == nil && raw != nil {
			conn.Write(raw)
			return
		}
		io.Copy(io.Discard, conn) // says nothing until the other end gives up
	}()
	return path
}

func frame(s string) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...) }

func TestHostileHelper(t *testing.T) {
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"nothing":        {[]byte{}, relay.ErrRelay},
		"cut short":      {frame(`{"body":"cQ==","error":""}`)[:9], relay.ErrRelay},
		"huge length":    {[]byte{0xff, 0xff, 0xff, 0xff}, relay.ErrRelay},
		"zero length":    {frame(""), relay.ErrRelay},
		"no JSON":        {frame("quote"), relay.ErrRelay},
		"unknown member": {frame(`{"body":"cQ==","error":"","x":1}`), relay.ErrRelay},
		"empty answer":   {frame(`{"body":"","error":""}`), relay.ErrRelay},
		"its own words":  {frame(`{"body":"","error":"no\u0007` + strings.Repeat("o", 9000) + `"}`), relay.ErrRefused},
	} {
		got, err := relay.Ask(t.Context(), helper(t, c.raw), relay.KindAzureTDQuote, []byte("r"))
		if got != nil || !errors.Is(err, c.want) || len(err.Error()) > 500 || strings.ContainsRune(err.Error(), 7) {
			t.Errorf("%s: %q, %.300q", name, got, err)
		}
	}
	if got, err := relay.Ask(t.Context(), helper(t, frame(`{"body":"cQ==","error":""}`)), relay.KindAzureTDQuote, []byte("r")); err != nil || string(got) != "q" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSilentHelper(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := relay.Ask(ctx, helper(t, nil), relay.KindAzureTDQuote, []byte("r")); !errors.Is(err, relay.ErrRelay) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestAskRefusesItself(t *testing.T) {
	for name, c := range map[string]struct {
		socket string
		body   []byte
		want   error
	}{
		"no socket": {"", []byte("r"), relay.ErrConfig},
		"no body":   {"s", nil, relay.ErrConfig},
		"huge body": {"s", make([]byte, relay.MaxBody+1), relay.ErrConfig},
		"no helper": {filepath.Join(t.TempDir(), "none"), []byte("r"), relay.ErrRelay},
	} {
		if _, err := relay.Ask(t.Context(), c.socket, relay.KindAzureTDQuote, c.body); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnnouncedTooMuch: more than a frame's bound is refused before any of it is read.
func TestAnnouncedTooMuch(t *testing.T) {
	const bound = 96 << 10
	for n, want := range map[uint32]int{bound + 1: 4, 1 << 31: 4, 0: 4, bound: 4 + bound} {
		stream := bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, n), make([]byte, 2*bound)...))
		err := relay.Read(stream, &relay.Request{})
		if read := 4 + 2*bound - stream.Len(); err == nil || read != want {
			t.Errorf("%d announced: %d bytes were read, want %d: %v", n, read, want, err)
		}
	}
}

// FuzzRead: what is read is written as the same bytes, and nothing else is read.
func FuzzRead(f *testing.F) {
	f.Add(frame(`{"body":"cQ==","kind":"azure-tdquote"}`))
	f.Add(frame(`{}`))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var q relay.Request
		if relay.Read(bytes.NewReader(b), &q) != nil {
			return
		}
		var out bytes.Buffer
		if err := relay.Write(&out, &q); err != nil || !bytes.HasPrefix(b, out.Bytes()) {
			t.Errorf("%q was read, and written as %q (%v)", b, out.Bytes(), err)
		}
	})
}
