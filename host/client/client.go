// SPDX-License-Identifier: Apache-2.0

// Package client talks to a host.
//
// Trust domain: whoever uses it; the host at the other end is untrusted. Its one job: bounded requests and answers. It
// believes nothing: results, bundles and manifests are for the caller to verify.
package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	api "github.com/glovebox-dev/glovebox/host/api/glovebox/v1/gloveboxv1connect"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// ErrChanged means that a blob's bytes are not what its digest and length say, here or on the way.
var ErrChanged = errors.New("host/client: the bytes changed")

// ErrTooLarge means that the host sent more than the caller wanted.
var ErrTooLarge = errors.New("host/client: more bytes than allowed")

// States in which a job has ended, and the one before, in which its result waits for the log.
const (
	StatePublishing = "publishing"
	StateCompleted  = "completed"
	StateFailed     = "failed"
	StateCancelled  = "cancelled"
)

const (
	uploadChunk = 256 << 10
	maxAnswer   = 256 << 20 // a bundle with the largest manifests
	dialTimeout = 10 * time.Second
	headerWait  = 2 * time.Minute
	idleTimeout = time.Minute
)

// Client is a host's API. The four services are exported for what the helpers below do not cover.
type Client struct {
	Jobs     api.JobServiceClient
	Blobs    api.BlobServiceClient
	Log      api.LogServiceClient
	Operator api.OperatorServiceClient
	http     *http.Client
}

// New makes a client for a host's URL. It does not connect.
func New(address string) *Client {
	d := &net.Dialer{Timeout: dialTimeout}
	h := &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: d.DialContext, ResponseHeaderTimeout: headerWait,
			IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	opt := connect.WithReadMaxBytes(maxAnswer)
	return &Client{
		Jobs: api.NewJobServiceClient(h, address, opt), Blobs: api.NewBlobServiceClient(h, address, opt),
		Log: api.NewLogServiceClient(h, address, opt), Operator: api.NewOperatorServiceClient(h, address, opt), http: h,
	}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ended reports whether a job in this state will not change any more.
func Ended(state string) bool {
	return state == StateCompleted || state == StateFailed || state == StateCancelled
}

// Hint is the next step that the host proposes with an error, or "".
func Hint(err error) string {
	e, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return ""
	}
	for _, d := range e.Details() {
		if v, err := d.Value(); err == nil {
			if h, ok := v.(*pb.ErrorHint); ok {
				return h.Hint
			}
		}
	}
	return ""
}

// TryAgain reports whether the same request may succeed later.
func TryAgain(err error) bool {
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeAborted:
		return true
	}
	return false
}

// Submit queues a signed job, once.
func (c *Client) Submit(ctx context.Context, signed []byte) (*pb.Job, error) {
	r, err := c.Jobs.Submit(ctx, connect.NewRequest(&pb.SubmitRequest{Job: signed}))
	if err != nil {
		return nil, err
	}
	return r.Msg.Job, nil
}

// Job is a job's present state.
func (c *Client) Job(ctx context.Context, id envelope.Digest) (*pb.Job, error) {
	r, err := c.Jobs.Get(ctx, connect.NewRequest(&pb.GetRequest{Job: id.String()}))
	if err != nil {
		return nil, err
	}
	return r.Msg.Job, nil
}

// List is all jobs of a buyer (a did:key), newest first; of everybody if buyer is "".
func (c *Client) List(ctx context.Context, buyer string) ([]*pb.Job, error) {
	var out []*pb.Job
	for q := (&pb.ListRequest{Buyer: buyer}); ; {
		r, err := c.Jobs.List(ctx, connect.NewRequest(q))
		if err != nil {
			return nil, err
		}
		out = append(out, r.Msg.Jobs...)
		if q.Page = r.Msg.NextPage; q.Page == "" {
			return out, nil
		}
	}
}

// Cancel hands over a signed cancellation.
func (c *Client) Cancel(ctx context.Context, signed []byte) (*pb.Job, error) {
	r, err := c.Jobs.Cancel(ctx, connect.NewRequest(&pb.CancelRequest{Cancel: signed}))
	if err != nil {
		return nil, err
	}
	return r.Msg.Job, nil
}

// Probe asks an idle enclave for evidence. It is not verified; without any, the message says why there is none.
func (c *Client) Probe(ctx context.Context, probe []byte) (evidence []byte, message string, err error) {
	r, err := c.Jobs.Probe(ctx, connect.NewRequest(&pb.ProbeRequest{Probe: probe}))
	if err != nil {
		return nil, "", err
	}
	return r.Msg.Evidence, r.Msg.Message, nil
}

// Watch calls f with the job now and after every change, until the job has ended, f returns an error, or ctx ends.
func (c *Client) Watch(ctx context.Context, id envelope.Digest, f func(*pb.Job) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.Jobs.Watch(ctx, connect.NewRequest(&pb.WatchRequest{Job: id.String()}))
	if err != nil {
		return err
	}
	defer s.Close()
	for s.Receive() {
		if err := f(s.Msg().Job); err != nil {
			return err
		}
	}
	return s.Err()
}

// Result writes the age file of a completed job, at most limit bytes, and returns its digest and length.
func (c *Client) Result(ctx context.Context, id envelope.Digest, w io.Writer, limit int64) (d envelope.Digest, n int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.Jobs.FetchResult(ctx, connect.NewRequest(&pb.FetchResultRequest{Job: id.String()}))
	if err != nil {
		return d, 0, err
	}
	defer s.Close()
	h := sha256.New()
	for s.Receive() {
		if n += int64(len(s.Msg().Chunk)); n > limit {
			return d, n, fmt.Errorf("%w: %d", ErrTooLarge, limit)
		}
		h.Write(s.Msg().Chunk)
		if _, err := w.Write(s.Msg().Chunk); err != nil {
			return d, n, err
		}
	}
	return envelope.Digest(h.Sum(nil)), n, s.Err()
}

// Bundle is the bundle of a job that ended with a usage attestation. It is not verified.
func (c *Client) Bundle(ctx context.Context, id envelope.Digest) ([]byte, error) {
	r, err := c.Jobs.FetchBundle(ctx, connect.NewRequest(&pb.FetchBundleRequest{Job: id.String()}))
	if err != nil {
		return nil, err
	}
	return r.Msg.Bundle, nil
}

// PutBlob uploads a blob that has, or is claimed to have, the given digest and length.
func (c *Client) PutBlob(ctx context.Context, d envelope.Digest, size int64, r io.Reader) error {
	s := c.Blobs.Put(ctx)
	err := s.Send(&pb.PutRequest{Part: &pb.PutRequest_Header{Header: &pb.PutHeader{Digest: d.String(), Size: size}}})
	u := &uploader{r: io.LimitReader(r, size+1), hash: sha256.New()}
	for err == nil && !u.ended {
		err = u.next(s)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.CloseAndReceive() //nolint:errcheck // the first error counts
		return err
	}
	out, err := s.CloseAndReceive() // io.EOF above means that the host has answered already
	if err != nil {
		if u.ended && (u.n != size || envelope.Digest(u.hash.Sum(nil)) != d) {
			return fmt.Errorf("%w: %d bytes, want %d with digest %s: %w", ErrChanged, u.n, size, d, err)
		}
		return err
	}
	if out.Msg.Digest != d.String() || out.Msg.Size != size {
		return fmt.Errorf("%w: the host kept %s", ErrChanged, out.Msg.Digest)
	}
	return nil
}

type uploader struct {
	r     io.Reader
	hash  hash.Hash
	n     int64
	ended bool
}

func (u *uploader) next(s *connect.ClientStreamForClient[pb.PutRequest, pb.PutResponse]) error {
	buf := make([]byte, uploadChunk)
	n, err := io.ReadFull(u.r, buf)
	if n > 0 {
		u.hash.Write(buf[:n])
		u.n += int64(n)
		if err := s.Send(&pb.PutRequest{Part: &pb.PutRequest_Chunk{Chunk: buf[:n]}}); err != nil {
			return err
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		u.ended = true
		return nil
	}
	return err
}

// Missing is which of the blobs the host does not have.
func (c *Client) Missing(ctx context.Context, digests []envelope.Digest) ([]envelope.Digest, error) {
	const page = 1024
	var out []envelope.Digest
	for len(digests) > 0 {
		n := min(page, len(digests))
		q := new(pb.HasRequest)
		for _, d := range digests[:n] {
			q.Digests = append(q.Digests, d.String())
		}
		digests = digests[n:]
		r, err := c.Blobs.Has(ctx, connect.NewRequest(q))
		if err != nil {
			return nil, err
		}
		for _, t := range r.Msg.Missing {
			d, err := envelope.ParseDigest(t)
			if err != nil {
				return nil, err
			}
			out = append(out, d)
		}
	}
	return out, nil
}

// PutManifest publishes a package whose blobs have been uploaded.
func (c *Client) PutManifest(ctx context.Context, signed []byte) error {
	_, err := c.Blobs.PutManifest(ctx, connect.NewRequest(&pb.PutManifestRequest{Manifest: signed}))
	return err
}

// Manifest is a signed manifest by the digest of its statement. It is not verified.
func (c *Client) Manifest(ctx context.Context, id envelope.Digest) ([]byte, error) {
	r, err := c.Blobs.GetManifest(ctx, connect.NewRequest(&pb.GetManifestRequest{Id: id.String()}))
	if err != nil {
		return nil, err
	}
	return r.Msg.Manifest, nil
}

// Manifests lists what is published, of one kind ("dataset", "code") or of both ("").
func (c *Client) Manifests(ctx context.Context, kind string) ([]*pb.Manifest, error) {
	var out []*pb.Manifest
	for q := (&pb.ListManifestsRequest{Kind: kind}); ; {
		r, err := c.Blobs.ListManifests(ctx, connect.NewRequest(q))
		if err != nil {
			return nil, err
		}
		out = append(out, r.Msg.Manifests...)
		if q.Page = r.Msg.NextPage; q.Page == "" {
			return out, nil
		}
	}
}

// AppendRecord logs a record that broker signed. It may be repeated.
func (c *Client) AppendRecord(ctx context.Context, record []byte, broker envelope.PublicKey) error {
	_, err := c.Log.AppendRecord(ctx, connect.NewRequest(&pb.AppendRecordRequest{Record: record, Broker: broker.String()}))
	return err
}

// Records lists signed records; of them only grants that nothing accounts for, if open.
func (c *Client) Records(ctx context.Context, open bool) ([]*pb.Record, error) {
	var out []*pb.Record
	for q := (&pb.ListRecordsRequest{OpenGrants: open}); ; {
		r, err := c.Log.ListRecords(ctx, connect.NewRequest(q))
		if err != nil {
			return nil, err
		}
		out = append(out, r.Msg.Records...)
		if q.Page = r.Msg.NextPage; q.Page == "" {
			return out, nil
		}
	}
}

// Status is the operator's view.
func (c *Client) Status(ctx context.Context) (*pb.StatusResponse, error) {
	r, err := c.Operator.Status(ctx, connect.NewRequest(&pb.StatusRequest{}))
	if err != nil {
		return nil, err
	}
	return r.Msg, nil
}
