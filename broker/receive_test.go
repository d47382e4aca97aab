// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// stall opens n requests, sends a part of a body of length bytes, and then nothing.
func stall(t *testing.T, srv *httptest.Server, n, length int, body string) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		must(t, err)
		t.Cleanup(func() { c.Close() })
		_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", exchangePath, length, body)
		must(t, err)
	}
	time.Sleep(200 * time.Millisecond)
}

func post(t *testing.T, srv *httptest.Server, body []byte) (int, *grant.Reply) {
	t.Helper()
	resp, err := http.Post(srv.URL+exchangePath, "application/json", bytes.NewReader(body))
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, nil
	}
	r, err := grant.ParseReply(b)
	must(t, err)
	return resp.StatusCode, r
}

// TestStalledRequestsTakeNoSlot: strangers who begin requests and do not end them keep nobody else waiting.
func TestStalledRequestsTakeNoSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	srv := httptest.NewServer(w.creator.Handler())
	t.Cleanup(srv.Close)
	stall(t, srv, 64, 1000, `{"heartbeat":"`)
	stall(t, srv, 16, 1<<20, `{"commit":"`+string(bytes.Repeat([]byte("A"), 1<<17)))
	stall(t, srv, 64, 30<<20, `{"release":{"code":"`+string(bytes.Repeat([]byte("A"), 1<<17)))
	for i := range int64(3) {
		if _, r := post(t, srv, encode(t, &grant.Message{Heartbeat: e.signHeartbeat(w.data, i+1, 0)})); r == nil || len(r.Allowance) == 0 {
			t.Fatalf("heartbeat %d: %+v", i+1, r)
		}
	}
	if _, r := post(t, srv, encode(t, &grant.Message{Challenge: &grant.ChallengeRequest{Manifest: w.data.ID, Job: w.jobID}})); r == nil || len(r.Challenge) == 0 {
		t.Fatalf("challenge: %+v", r)
	}
	large := encode(t, &grant.Message{Plan: &grant.PlanRequest{Job: bytes.Repeat([]byte("j"), 1000), Manifest: bytes.Repeat([]byte("m"), 4<<20)}})
	if status, r := post(t, srv, large); r == nil || r.Error.Code != grant.CodeInvalid {
		t.Fatalf("a large message: %d, %+v", status, r)
	}
	if _, r := post(t, srv, encode(t, &grant.Message{Commit: e.usage(func(s *usage.Statement) { s.Packages[1].Heartbeat = 3 })})); r == nil || len(r.Commit) == 0 {
		t.Fatalf("commit: %+v", r)
	}
}

// TestSlowRequestIsCutOff: a body that does not arrive in time ends its request.
func TestSlowRequestIsCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the deadline")
	}
	t.Parallel()
	w := newWorld(t)
	srv := httptest.NewServer(w.creator.Handler())
	t.Cleanup(srv.Close)
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	must(t, err)
	defer c.Close()
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", exchangePath)
	must(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	if b, err := io.ReadAll(c); err != nil || !bytes.Contains(b, []byte("400")) {
		t.Errorf("%v: %s", err, b)
	}
}

// TestMessageTooLargeForItsKind: nothing is decoded of a heartbeat that has the size of a manifest.
func TestMessageTooLargeForItsKind(t *testing.T) {
	w := newWorld(t)
	srv := httptest.NewServer(w.creator.Handler())
	t.Cleanup(srv.Close)
	inner := append(bytes.Repeat([]byte(`{"name":"","digest":{"sha256":""}},`), 300_000), []byte(`{}]}`)...)
	dsse := []byte(`{"payload":"` + base64.StdEncoding.EncodeToString(append([]byte(`{"_type":"x","subject":[`), inner...)) + `","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}]}`)
	wrapped := base64.StdEncoding.EncodeToString(dsse)
	for name, msg := range map[string]string{
		"challenge": `{"challenge":{"job":"` + wrapped + `"}}`,
		"heartbeat": `{"heartbeat":"` + wrapped + `"}`,
		"commit":    `{"commit":"` + wrapped + `"}`,
		"no kind":   `{"x":"` + wrapped + `"}`,
		"job":       `{"plan":{"job":"` + wrapped + `","manifest":""}}`,
		"code":      `{"release":{"code":"` + wrapped + `","evidence":"","job":"","manifest":"","ticket":""}}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := w.creator.exchange([]byte(msg))
		runtime.ReadMemStats(&after)
		if r.Error == nil || r.Error.Code != grant.CodeInvalid {
			t.Errorf("%s: %+v", name, r.Error)
		}
		if name == "job" || name == "code" {
			continue // a large message of a kind that may be: its members are not decoded
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 4*uint64(len(msg)) {
			t.Errorf("%s: %d bytes allocated for a message of %d", name, took, len(msg))
		}
		if status, _ := post(t, srv, []byte(msg)); status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d", name, status)
		}
	}
	_, err := w.creator.Heartbeat(t.Context(), dsse)
	want(t, err, envelope.ErrTooLarge)
	_, err = w.creator.Commit(t.Context(), dsse, nil)
	want(t, err, envelope.ErrTooLarge)
}

// TestLeaseIsForgotten: what a broker keeps in memory about a lease goes when the lease ends.
func TestLeaseIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	if n := w.creator.Remembered(); n != 1 {
		t.Fatalf("%d leases remembered", n)
	}
	_, err := e.commit(w.data, e.usage(failed))
	must(t, err)
	if n := w.creator.Remembered(); n != 0 {
		t.Errorf("%d leases remembered after the commit", n)
	}
}
