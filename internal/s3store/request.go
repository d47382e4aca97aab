// SPDX-License-Identifier: Apache-2.0

package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// errNonsense is an answer that no S3 server gives.
var errNonsense = errors.New("not an answer to what was asked")

// bounded is a transport that reads short answers to their end before the client sees them, and refuses long ones: the client
// decodes whatever comes, without a limit. Only blocks pass as they come, since this package reads them, and no more than it
// asked for.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t bounded) RoundTrip(q *http.Request) (*http.Response, error) {
	a, err := t.next.RoundTrip(q)
	if err != nil || a.StatusCode == http.StatusPartialContent && q.Method == http.MethodGet && q.Header.Get("Range") != "" {
		return a, err
	}
	b, err := io.ReadAll(io.LimitReader(a.Body, maxAnswer+1))
	a.Body.Close() //nolint:errcheck // all that counts was read
	if err != nil {
		return nil, err
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("%w: more than %d bytes", errNonsense, maxAnswer)
	}
	a.Body = io.NopCloser(bytes.NewReader(b))
	return a, nil
}

// again makes a request until it succeeds, fails for good, or has failed too often.
func (s *Store) again(ctx context.Context, request func(context.Context) error) error {
	pause := s.c.Pause
	for n := 1; ; n++ {
		err := request(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		final, told := judge(err)
		if final {
			return told
		}
		if n == tries {
			return fmt.Errorf("%w: %s, asked %d times: %w", ErrUnavailable, s.c.Endpoint, n, told)
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// judge says whether asking again is of no use, and the error in the words of this package. What servers write is not
// repeated but for its code.
func judge(err error) (final bool, told error) {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errNonsense) {
		return false, err
	}
	r := minio.ToErrorResponse(err)
	switch r.Code {
	case minio.NoSuchKey:
		return true, dataset.ErrNoBlob
	case minio.NoSuchBucket:
		return true, ErrBucket
	case minio.AccessDenied, "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "RequestTimeTooSkewed",
		"AuthorizationHeaderMalformed", "InvalidClientTokenId":
		return true, fmt.Errorf("%w: %s", ErrCredentials, code(r.Code))
	case "":
	default:
		err = errors.New(code(r.Code))
	}
	switch {
	case r.StatusCode == http.StatusNotFound:
		return true, dataset.ErrNoBlob
	case r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden:
		return true, fmt.Errorf("%w: status %d", ErrCredentials, r.StatusCode)
	case r.StatusCode == http.StatusRequestTimeout || r.StatusCode == http.StatusTooManyRequests:
	case r.StatusCode >= 400 && r.StatusCode < 500: // an answer to HEAD has no code, whatever is wrong
		return true, fmt.Errorf("%w: status %d, %w", ErrRefused, r.StatusCode, err)
	}
	return false, err
}

// code keeps a server's text to what codes are made of.
func code(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
	return s[:min(len(s), 64)]
}

// fetch reads one block. A request that breaks off goes on where it stopped.
func (s *Store) fetch(ctx context.Context, d envelope.Digest, index int64) (*block, error) {
	b := &block{data: make([]byte, 0, blockSize)}
	err := s.again(ctx, func(ctx context.Context) error { return s.part(ctx, d, index*blockSize, b) })
	if err != nil {
		return nil, err
	}
	return b, nil
}

// part continues a block that begins at off.
func (s *Store) part(ctx context.Context, d envelope.Digest, off int64, b *block) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	giveUp := func() { cancel(context.DeadlineExceeded) }
	still, drip := time.AfterFunc(s.c.Patience, giveUp), time.AfterFunc(dripPatience*s.c.Patience, giveUp)
	defer still.Stop()
	defer drip.Stop()
	from, to := off+int64(len(b.data)), off+blockSize
	var o minio.GetObjectOptions
	if err := o.SetRange(from, to-1); err != nil {
		return err
	}
	body, _, head, err := minio.Core{Client: s.api}.GetObject(ctx, s.c.Bucket, s.key(d), o)
	if minio.ToErrorResponse(err).Code == "InvalidRange" || minio.ToErrorResponse(err).StatusCode == http.StatusRequestedRangeNotSatisfiable {
		b.last = true // the blob ends before, or exactly there
		return nil
	}
	if err != nil {
		return slow(ctx, err)
	}
	defer body.Close()
	first, size, err := contentRange(head.Get("Content-Range"))
	if err != nil || first != from {
		return fmt.Errorf("%w: a range that begins at %d, not at %d", errNonsense, first, from)
	}
	want := min(to, size) - off
	for int64(len(b.data)) < want {
		n, err := body.Read(b.data[len(b.data):want])
		b.data = b.data[:len(b.data)+n]
		if n > 0 {
			still.Reset(s.c.Patience)
		}
		switch {
		case int64(len(b.data)) == want:
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return slow(ctx, err)
		}
	}
	b.last = to >= size
	return nil
}

// slow names the watchdog as the reason of a request that it ended.
func slow(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return err
}

// contentRange reads "bytes FIRST-LAST/SIZE" (RFC 9110, section 14.4).
func contentRange(s string) (first, size int64, err error) {
	rest, ok := strings.CutPrefix(s, "bytes ")
	span, total, ok2 := strings.Cut(rest, "/")
	from, to, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, errNonsense
	}
	first, err = strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	size, err3 := strconv.ParseInt(total, 10, 64)
	if errors.Join(err, err2, err3) != nil || first < 0 || last < first || size <= last {
		return 0, 0, errNonsense
	}
	return first, size, nil
}
