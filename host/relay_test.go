// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/door"
)

const errNoSpace = syscall.ENOSPC

func brokerServer(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

func TestRelay(t *testing.T) {
	r := newRelay(time.Second, nil)
	defer r.close()
	echo := brokerServer(t, func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodPost || q.URL.Path != exchangePath || q.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		b, _ := io.ReadAll(q.Body)
		w.Write(append([]byte("echo "), b...))
	})
	got, err := r.post(context.Background(), map[string]bool{echo: true}, echo, []byte("\x00opaque"), maxReply)
	if err != nil || string(got) != "echo \x00opaque" {
		t.Fatalf("%q, %v", got, err)
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		msg     []byte
		want    error
	}{
		"redirect": {func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, echo, http.StatusTemporaryRedirect) }, []byte("m"), ErrRelay},
		"away":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, []byte("m"), ErrRelay},
		"drops":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, []byte("m"), ErrRelay},
		"slow":     {func(_ http.ResponseWriter, q *http.Request) { io.ReadAll(q.Body); <-q.Context().Done() }, []byte("m"), ErrRelay},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for b := bytes.Repeat([]byte("x"), 1<<20); ; {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		}, []byte("m"), ErrRelay},
		"no message":       {nil, nil, ErrTooLarge},
		"oversize message": {nil, make([]byte, maxReply+1), ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			at := brokerServer(t, c.handler)
			if _, err := r.post(context.Background(), map[string]bool{at: true}, at, c.msg, maxReply); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

// An answer is read no further than the question's bound: this broker never comes to its end.
func TestRelayBoundsAnswers(t *testing.T) {
	r := newRelay(time.Minute, nil)
	defer r.close()
	at := brokerServer(t, func(w http.ResponseWriter, q *http.Request) {
		io.ReadAll(q.Body)
		w.Write(make([]byte, 100))
		http.NewResponseController(w).Flush()
		<-q.Context().Done()
	})
	d := &desk{h: &Host{relay: r}, attempt: &attempt{addresses: map[string]bool{at: true}}}
	if _, err := d.Relay(t.Context(), at, []byte("m"), 99); !errors.Is(err, ErrRelay) || !strings.Contains(err.Error(), "more than 99 bytes") {
		t.Errorf("100 bytes where 99 may be: %v", err)
	}
}

func TestRelayRefusesOtherAddresses(t *testing.T) {
	r := newRelay(time.Second, nil)
	defer r.close()
	reached := false
	at := brokerServer(t, func(http.ResponseWriter, *http.Request) { reached = true })
	for _, allowed := range []map[string]bool{nil, {}, {at + "/other": true}, {at: false}} {
		for _, a := range []string{at, at + "/", "", "file:///etc/passwd"} {
			if _, err := r.post(context.Background(), allowed, a, []byte("m"), maxReply); !errors.Is(err, ErrAddress) {
				t.Errorf("%q with %v: %v", a, allowed, err)
			}
		}
	}
	for _, a := range []string{
		"http://169.254.169.254", "http://[fe80::1]:80", "http://0.0.0.0:80", "http://224.0.0.1", "http://[::ffff:169.254.169.254]",
		"http://[64:ff9b::169.254.169.254]", "http://[fd00:ec2::254]", "http://100.100.100.200", "http://[::ffff:100.100.100.200]",
		"http://[fd20:ce::254]", "http://168.63.129.16", "http://192.0.0.192",
	} {
		if _, err := r.post(context.Background(), map[string]bool{a: true}, a, []byte("m"), maxReply); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", a, err)
		}
	}
	if reached {
		t.Error("a message went out")
	}
}

// A proxy that the environment names sees nothing; one that the operator configured carries every message.
func TestRelayUsesTheConfiguredProxyOnly(t *testing.T) {
	proxied := 0
	proxy := brokerServer(t, func(w http.ResponseWriter, q *http.Request) {
		proxied++
		w.Write([]byte("proxied " + q.URL.Host))
	})
	t.Setenv("HTTP_PROXY", proxy)
	t.Setenv("http_proxy", proxy)
	const broker = "http://broker.invalid"
	allowed := map[string]bool{broker: true}
	r := newRelay(time.Second, nil)
	defer r.close()
	if b, err := r.post(context.Background(), allowed, broker, []byte("m"), maxReply); !errors.Is(err, ErrRelay) || proxied != 0 {
		t.Errorf("%q, %v, %d requests at the environment's proxy", b, err, proxied)
	}
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	through := newRelay(time.Second, u)
	defer through.close()
	if b, err := through.post(context.Background(), allowed, broker, []byte("m"), maxReply); err != nil || string(b) != "proxied broker.invalid" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestRelayTimeoutIsBounded(t *testing.T) {
	c := Config{Dir: "x", Origin: "log.test"}
	if err := c.fill(); err != nil || c.RelayTimeout != 10*time.Second {
		t.Errorf("default of %s, %v", c.RelayTimeout, err)
	}
	c = Config{Dir: "x", Origin: "log.test", RelayTimeout: 10*time.Second + 1}
	if err := c.fill(); !errors.Is(err, ErrConfig) {
		t.Errorf("longer than that: %v", err)
	}
}

// Only brokers of the job that the enclave has right now may be reached.
func TestRelayFollowsTheJob(t *testing.T) {
	at := brokerServer(t, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("answer")) })
	errs := make(chan error, 3)
	w := newWorld(t, at, with(func(ctx context.Context, c *door.Client, launch int) error {
		if launch > 0 {
			<-ctx.Done()
			return nil
		}
		_, err := c.Relay(ctx, at, []byte("before"))
		errs <- err
		var a *door.Assignment
		for a == nil && err != nil {
			var nerr error
			if a, nerr = c.Next(ctx); nerr != nil {
				return nerr
			}
		}
		_, err = c.Relay(ctx, at, []byte("during"))
		errs <- err
		if err := c.Abandon(ctx, a.Token, door.Abandon{Code: "x", Message: "done"}); err != nil {
			return err
		}
		_, err = c.Relay(ctx, at, []byte("after"))
		errs <- err
		<-ctx.Done()
		return nil
	}))
	w.wait(w.submit(nil))
	for i, wantRefused := range []bool{true, false, true} {
		if err := <-errs; errors.Is(err, door.ErrRefused) != wantRefused || (!wantRefused && err != nil) {
			t.Errorf("message %d: %v", i, err)
		}
	}
}
