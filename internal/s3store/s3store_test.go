// SPDX-License-Identifier: Apache-2.0

package s3store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/dataset/storetest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/s3store"
	"github.com/glovebox-dev/glovebox/internal/s3store/s3test"
)

func open(t *testing.T, c s3store.Config) *s3store.Store {
	t.Helper()
	s, err := s3store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, s dataset.Store, b []byte) envelope.Digest {
	t.Helper()
	d, n, err := s.Put(t.Context(), bytes.NewReader(b))
	if err != nil || n != int64(len(b)) || d != envelope.Sum(b) {
		t.Fatalf("Put = %v, %d, %v", d, n, err)
	}
	return d
}

// TestSuite is the contract of stores, on a real server.
func TestSuite(t *testing.T) {
	srv := s3test.Start(t)
	n := 0
	storetest.Run(t, func(t *testing.T) dataset.Store {
		c := srv.Config()
		c.Prefix = "store/" + string(rune('a'+n))
		n++
		return open(t, c)
	})
}

// TestLargeBlob goes up in parts and comes down in ranges, whatever their places.
func TestLargeBlob(t *testing.T) {
	srv := s3test.Start(t)
	c := srv.Config()
	c.Spool = t.TempDir()
	s := open(t, c)
	b := random(t, 21<<20+12345)
	d := put(t, s, b)
	onDisk, err := os.ReadFile(filepath.Join(srv.Folder, d.Hex()[:2], d.Hex()[2:]))
	if err != nil || !bytes.Equal(onDisk, b) {
		t.Fatalf("the object is not the blob: %v", err)
	}
	if left, err := os.ReadDir(c.Spool); err != nil || len(left) != 0 {
		t.Errorf("%d files wait in the spool, %v", len(left), err)
	}
	for _, r := range []struct{ off, n int }{{0, 1}, {1<<20 - 1, 2}, {3 << 20, 5 << 20}, {len(b) - 7, 7}, {0, len(b)}} {
		p := make([]byte, r.n)
		if n, err := s.ReadAt(t.Context(), d, p, int64(r.off)); n != r.n || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(p, b[r.off:r.off+r.n]) {
			t.Errorf("ReadAt(%d, %d) = %d, %v", r.off, r.n, n, err)
		}
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			p := make([]byte, 65_600)
			for off := i * 1000; off+len(p) <= len(b); off += 16 * len(p) {
				if n, err := s.ReadAt(context.Background(), d, p, int64(off)); n != len(p) || err != nil || !bytes.Equal(p, b[off:off+n]) {
					t.Errorf("ReadAt(%d) = %d, %v", off, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := s.Remove(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadAt(t.Context(), d, make([]byte, 1), 0); !errors.Is(err, dataset.ErrNoBlob) {
		t.Errorf("a removed blob is read: %v", err)
	}
}

// between is a proxy in front of the real server that misbehaves as told.
func between(t *testing.T, srv *s3test.Server, misbehave func(w http.ResponseWriter, r *http.Request, pass http.Handler)) s3store.Config {
	t.Helper()
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: srv.Endpoint})
			r.Out.Host = r.In.Host // which is signed
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { misbehave(w, r, pass) }))
	t.Cleanup(p.Close)
	c := srv.Config()
	c.Endpoint = strings.TrimPrefix(p.URL, "http://")
	c.Patience, c.Pause = 2*time.Second, time.Millisecond
	return c
}

// rewriting changes the body of an answer.
type rewriting struct {
	http.ResponseWriter
	change func([]byte) []byte
}

func (w rewriting) Write(b []byte) (int, error) {
	if _, err := w.ResponseWriter.Write(w.change(bytes.Clone(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

func isRead(r *http.Request) bool { return r.Method == http.MethodGet && r.Header.Get("Range") != "" }

// TestServerThatBreaksOff: what came is kept, and the rest asked for again.
func TestServerThatBreaksOff(t *testing.T) {
	srv := s3test.Start(t)
	var cut atomic.Int32
	s := open(t, between(t, srv, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if isRead(r) && cut.Add(1)%3 != 0 {
			left := 100_000
			pass.ServeHTTP(rewriting{w, func(b []byte) []byte {
				if left -= len(b); left < 0 {
					panic(http.ErrAbortHandler)
				}
				return b
			}}, r)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	b := random(t, 3<<20)
	d := put(t, s, b)
	p := make([]byte, len(b))
	if n, err := s.ReadAt(t.Context(), d, p, 0); n != len(b) || err != nil || !bytes.Equal(p, b) {
		t.Fatalf("ReadAt = %d, %v after %d requests", n, err, cut.Load())
	}
	if cut.Load() < 6 {
		t.Errorf("%d requests: nothing broke off", cut.Load())
	}
}

// TestServerThatAnswersNonsense: none of these is taken for data, and each ends.
func TestServerThatAnswersNonsense(t *testing.T) {
	srv := s3test.Start(t)
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, pass http.Handler)
		want   error
	}{
		"another range": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Content-Range", "bytes 7-16/1000")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(make([]byte, 10))
		}, s3store.ErrUnavailable},
		"no range": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) { w.Write(make([]byte, 3<<20)) }, s3store.ErrUnavailable},
		"a size that overflows": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Content-Range", "bytes 0-9/99999999999999999999")
			w.WriteHeader(http.StatusPartialContent)
		}, s3store.ErrUnavailable},
		"no bytes": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Content-Range", "bytes 0-1048575/3145728")
			w.Header().Set("Content-Length", "1048576")
			w.WriteHeader(http.StatusPartialContent)
		}, s3store.ErrUnavailable},
		"an error for ever": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusInternalServerError)
		}, s3store.ErrUnavailable},
		"a page":      {func(w http.ResponseWriter, r *http.Request, _ http.Handler) { io.WriteString(w, "<html>hello</html>") }, s3store.ErrUnavailable},
		"credentials": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) { w.WriteHeader(http.StatusForbidden) }, s3store.ErrCredentials},
		"it is gone":  {func(w http.ResponseWriter, r *http.Request, _ http.Handler) { w.WriteHeader(http.StatusNotFound) }, dataset.ErrNoBlob},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, between(t, srv, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if isRead(r) {
					c.answer(w, r, pass)
					return
				}
				pass.ServeHTTP(w, r)
			}))
			d := put(t, s, random(t, 3<<20))
			if n, err := s.ReadAt(t.Context(), d, make([]byte, 100), 0); n != 0 || !errors.Is(err, c.want) {
				t.Errorf("ReadAt = %d, %v; want %v", n, err, c.want)
			}
		})
	}
}

// TestServerThatStandsStill is given up after a while, in the middle of a block too; and a reader who leaves is not kept.
func TestServerThatStandsStill(t *testing.T) {
	srv := s3test.Start(t)
	stop := make(chan struct{})
	defer close(stop)
	c := between(t, srv, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if isRead(r) {
			w.Header().Set("Content-Range", "bytes 0-1048575/3145728")
			w.WriteHeader(http.StatusPartialContent)
			w.(http.Flusher).Flush()
			select {
			case <-stop:
			case <-r.Context().Done():
			}
			return
		}
		pass.ServeHTTP(w, r)
	})
	c.Patience = 300 * time.Millisecond
	s := open(t, c)
	d := put(t, s, random(t, 3<<20))
	if _, err := s.ReadAt(t.Context(), d, make([]byte, 1), 0); !errors.Is(err, s3store.ErrUnavailable) {
		t.Errorf("ReadAt = %v, want that it is away", err)
	}
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := s.ReadAt(ctx, d, make([]byte, 1), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadAt of one who left = %v", err)
	}
}

// TestServerThatDrips brings a byte now and then, so that it never stands still. What came counts, and it is given up all the same.
func TestServerThatDrips(t *testing.T) {
	srv := s3test.Start(t)
	var asked atomic.Int32
	c := between(t, srv, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if !isRead(r) {
			pass.ServeHTTP(w, r)
			return
		}
		asked.Add(1)
		first, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
		w.Header().Set("Content-Range", "bytes "+first+"-1048575/3145728")
		w.WriteHeader(http.StatusPartialContent)
		for r.Context().Err() == nil {
			w.Write([]byte{1})
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	})
	c.Patience = 200 * time.Millisecond
	s := open(t, c)
	d := put(t, s, random(t, 3<<20))
	if _, err := s.ReadAt(t.Context(), d, make([]byte, 1), 0); !errors.Is(err, s3store.ErrUnavailable) {
		t.Errorf("ReadAt = %v, want that it is away", err)
	}
	if n := asked.Load(); n != 5 {
		t.Errorf("asked %d times", n)
	}
}

// TestServerThatAnswersWithoutEnd: what the client would decode is cut off, whichever request it answers.
func TestServerThatAnswersWithoutEnd(t *testing.T) {
	const much = 64 << 20
	srv := s3test.Start(t)
	for name, c := range map[string]struct {
		hit    func(r *http.Request) bool
		status int
		begin  string
	}{
		"where the bucket is":     {func(r *http.Request) bool { return r.URL.Query().Has("location") }, http.StatusOK, "<LocationConstraint>"},
		"why it does not say":     {func(r *http.Request) bool { return r.URL.Query().Has("location") }, http.StatusForbidden, "<Error><Message>"},
		"the name of an upload":   {func(r *http.Request) bool { return r.Method == http.MethodPost }, http.StatusOK, "<InitiateMultipartUploadResult><UploadId>"},
		"the parts of an upload":  {func(r *http.Request) bool { return r.URL.Query().Has("partNumber") }, http.StatusOK, "<x>"},
		"why a part is not taken": {func(r *http.Request) bool { return r.URL.Query().Has("partNumber") }, http.StatusBadRequest, "<Error><Code>"},
		"why there is no block":   {isRead, http.StatusForbidden, "<Error><Message>"},
		"a whole blob":            {isRead, http.StatusOK, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			var answers, whole atomic.Int32
			cfg := between(t, srv, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if !c.hit(r) {
					pass.ServeHTTP(w, r)
					return
				}
				answers.Add(1)
				io.Copy(io.Discard, r.Body)
				w.WriteHeader(c.status)
				io.WriteString(w, c.begin)
				b := bytes.Repeat([]byte("a"), 1<<20)
				for range much / len(b) {
					if _, err := w.Write(b); err != nil {
						return
					}
				}
				whole.Add(1)
			})
			cfg.Region, cfg.Patience = "", time.Minute
			s, err := s3store.Open(t.Context(), cfg)
			if err == nil {
				var d envelope.Digest
				if d, _, err = s.Put(t.Context(), bytes.NewReader(random(t, 9<<20))); err == nil {
					_, err = s.ReadAt(t.Context(), d, make([]byte, 1), 0)
				}
			}
			if !errors.Is(err, s3store.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			if answers.Load() == 0 || whole.Load() != 0 {
				t.Errorf("%d of %d answers of %d bytes were read to their end", whole.Load(), answers.Load(), much)
			}
		})
	}
}

// TestServerThatDoesNotSayWhere begins to answer where the bucket is, and stops: nobody waits for ever.
func TestServerThatDoesNotSayWhere(t *testing.T) {
	srv := s3test.Start(t)
	var asked atomic.Int32
	c := between(t, srv, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if !r.URL.Query().Has("location") {
			pass.ServeHTTP(w, r)
			return
		}
		asked.Add(1)
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	c.Region, c.Patience = "", 100*time.Millisecond
	if _, err := s3store.Open(t.Context(), c); !errors.Is(err, s3store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if n := asked.Load(); n != 5 {
		t.Errorf("asked %d times", n)
	}
}

// TestServerThatTakesOtherBytes: a server that keeps less than it was given is found out.
func TestServerThatTakesOtherBytes(t *testing.T) {
	srv := s3test.Start(t)
	s := open(t, between(t, srv, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodPut {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("ETag", `"d41d8cd98f00b204e9800998ecf8427e"`)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	if _, _, err := s.Put(t.Context(), bytes.NewReader(random(t, 1000))); err == nil {
		t.Error("a blob that the server threw away counts as kept")
	}
}

// TestCredentialsExpire in the middle: the error says so at once, and what is there stays.
func TestCredentialsExpire(t *testing.T) {
	srv := s3test.Start(t)
	var expired atomic.Bool
	var asked atomic.Int32
	c := between(t, srv, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if expired.Load() {
			asked.Add(1)
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `<?xml version="1.0"?><Error><Code>ExpiredToken</Code><Message>secret words</Message></Error>`)
			return
		}
		pass.ServeHTTP(w, r)
	})
	s := open(t, c)
	first := random(t, 1000)
	d := put(t, s, first)
	expired.Store(true)
	_, _, err := s.Put(t.Context(), bytes.NewReader(random(t, 1000)))
	if !errors.Is(err, s3store.ErrCredentials) || strings.Contains(err.Error(), "secret words") {
		t.Errorf("Put = %v", err)
	}
	if asked.Load() > 4 {
		t.Errorf("asked %d times with credentials that are over", asked.Load())
	}
	if _, err := s.Size(t.Context(), envelope.Sum([]byte("another"))); !errors.Is(err, s3store.ErrCredentials) {
		t.Errorf("Size, which asks with HEAD = %v", err)
	}
	if _, err := s3store.Open(t.Context(), c); !errors.Is(err, s3store.ErrCredentials) {
		t.Errorf("Open, which asks with HEAD = %v", err)
	}
	expired.Store(false)
	p := make([]byte, len(first))
	if _, err := s.ReadAt(t.Context(), d, p, 0); err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(p, first) {
		t.Errorf("what was kept before: %v", err)
	}
}

// TestOpen refuses what cannot work before anything is packed.
func TestOpen(t *testing.T) {
	srv := s3test.Start(t)
	c := srv.Config()
	c.Bucket = "elsewhere"
	if _, err := s3store.Open(t.Context(), c); !errors.Is(err, s3store.ErrBucket) {
		t.Errorf("no bucket: %v", err)
	}
	c = srv.Config()
	c.Credentials = credentials.NewStaticV4(s3test.AccessKey, "wrong", "")
	if _, err := s3store.Open(t.Context(), c); !errors.Is(err, s3store.ErrCredentials) {
		t.Errorf("wrong key: %v", err)
	}
	c.Endpoint, c.Pause = "127.0.0.1:1", time.Millisecond
	if _, err := s3store.Open(t.Context(), c); !errors.Is(err, s3store.ErrUnavailable) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestParse(t *testing.T) {
	none := func(string) string { return "" }
	c, err := s3store.Parse("s3://bucket/a/b?endpoint=http://127.0.0.1:7070&region=eu-central-1", none)
	if err != nil || c.Bucket != "bucket" || c.Prefix != "a/b" || c.Endpoint != "127.0.0.1:7070" || !c.Insecure || !c.PathStyle || c.Region != "eu-central-1" {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = s3store.Parse("s3://bucket", func(name string) string {
		return map[string]string{"AWS_ENDPOINT_URL": "https://s3.example.org", "AWS_REGION": "r"}[name]
	})
	if err != nil || c.Endpoint != "s3.example.org" || c.Insecure || c.Region != "r" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = s3store.Parse("s3://bucket", none); err != nil || c.Endpoint != "s3.amazonaws.com" || c.PathStyle {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []string{
		"", "s3://", "bucket", "https://bucket/x", "s3://key:secret@bucket/x", "s3://bucket/a//b", "s3://bucket/../x", "s3://bucket?endpoint=", "s3://bucket?endpoint=ftp://x",
		"s3://bucket?endpoint=http://x/path", "s3://bucket?endpoint=http://k:s@x", "s3://bucket?what=1", "s3://bucket?path-style=maybe", "s3://bucket?region=a&region=b", "s3://bucket#x", "s3://b\x00",
	} {
		if _, err := s3store.Parse(bad, none); !errors.Is(err, s3store.ErrConfig) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestDamagedBlobIsMended: packing a damaged blob again mends it, though it has the right length.
func TestDamagedBlobIsMended(t *testing.T) {
	srv := s3test.Start(t)
	s := open(t, srv.Config())
	b := random(t, 3<<20)
	d := put(t, s, b)
	file := filepath.Join(srv.Folder, d.Hex()[:2], d.Hex()[2:])
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damage"), 2<<20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	put(t, s, b)
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, b) {
		t.Errorf("the damage is still there: %v", err)
	}
	p := make([]byte, len(b))
	if _, err := s.ReadAt(t.Context(), d, p, 0); err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(p, b) {
		t.Errorf("the store still gives the damaged blob: %v", err)
	}
}
