// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// watchPace is the least time between two messages of one Watch.
const watchPace = 100 * time.Millisecond

type jobService struct{ h *Host }

func (s jobService) Submit(ctx context.Context, r *connect.Request[pb.SubmitRequest]) (*connect.Response[pb.SubmitResponse], error) {
	return reply(s.h.submit(ctx, r.Msg.Job))
}

func (h *Host) submit(ctx context.Context, signed []byte) (*pb.SubmitResponse, error) {
	v, err := verifiedJob(signed)
	if err != nil {
		return nil, err
	}
	_, leaves, err := h.packages(ctx, &v.Predicate)
	if err != nil {
		return nil, err
	}
	created, err := h.queue.submit(ctx, v.ID, v.Predicate.Buyer.String(), signed, leaves, h.cfg.MaxQueued)
	if err != nil {
		return nil, err
	}
	j, err := h.job(ctx, v.ID)
	return &pb.SubmitResponse{Job: j, Created: created}, err
}

func (s jobService) Get(ctx context.Context, r *connect.Request[pb.GetRequest]) (*connect.Response[pb.GetResponse], error) {
	id, err := digestOf(r.Msg.Job)
	if err != nil {
		return nil, answer(err)
	}
	j, err := s.h.job(ctx, id)
	if err != nil {
		return nil, answer(err)
	}
	signed, err := s.h.signedJob(ctx, id)
	return reply(&pb.GetResponse{Job: j, Signed: signed}, err)
}

func (s jobService) List(ctx context.Context, r *connect.Request[pb.ListRequest]) (*connect.Response[pb.ListResponse], error) {
	jobs, next, err := s.h.listJobs(ctx, r.Msg)
	return reply(&pb.ListResponse{Jobs: jobs, NextPage: next}, err)
}

func (s jobService) Watch(ctx context.Context, r *connect.Request[pb.WatchRequest], out *connect.ServerStream[pb.WatchResponse]) error {
	id, err := digestOf(r.Msg.Job)
	if err != nil {
		return answer(err)
	}
	changed, stop, err := s.h.hub.watch(id)
	if err != nil {
		return answer(err)
	}
	defer stop()
	var last *pb.Job
	for {
		j, err := s.h.job(ctx, id)
		if err != nil {
			return answer(err)
		}
		if last == nil || !proto.Equal(last, j) {
			if err := out.Send(&pb.WatchResponse{Job: j}); err != nil {
				return err
			}
			last = j
		}
		if ended(j.State) {
			return nil
		}
		if err := s.h.await(ctx, changed, &last); err != nil {
			return answer(err)
		}
	}
}

// await returns when there may be news, not too soon after the last. After a long silence it forgets what was sent, so
// that the watcher sees life.
func (h *Host) await(ctx context.Context, changed <-chan struct{}, last **pb.Job) error {
	select {
	case <-time.After(watchPace):
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-changed:
	case <-time.After(keepalive):
		*last = nil
	case <-h.stopped:
		return fmt.Errorf("%w: the host is stopping", ErrBusy)
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (s jobService) Cancel(ctx context.Context, r *connect.Request[pb.CancelRequest]) (*connect.Response[pb.CancelResponse], error) {
	j, err := s.h.cancel(ctx, r.Msg.Cancel)
	return reply(&pb.CancelResponse{Job: j}, err)
}

// cancel acts on the signed word of the job's own buyer only.
func (h *Host) cancel(ctx context.Context, signed []byte) (*pb.Job, error) {
	if len(signed) > maxCancel {
		return nil, fmt.Errorf("%w: cancellation of %d bytes", ErrTooLarge, len(signed))
	}
	p, err := envelope.Peek[job.Cancel](signed, envelope.CancelType)
	if err != nil {
		return nil, err
	}
	id := p.Predicate.Job
	b, err := h.signedJob(ctx, id)
	if err != nil {
		return nil, err
	}
	v, err := verifiedJob(b)
	if err != nil {
		return nil, err
	}
	if _, err := job.VerifyCancel(signed, v.Predicate.Buyer); err != nil {
		return nil, err
	}
	if err := h.queue.cancel(ctx, id); err != nil {
		return nil, err
	}
	return h.job(ctx, id)
}

func (s jobService) FetchResult(ctx context.Context, r *connect.Request[pb.FetchResultRequest], out *connect.ServerStream[pb.FetchResultResponse]) error {
	id, err := digestOf(r.Msg.Job)
	if err != nil {
		return answer(err)
	}
	j, err := s.h.job(ctx, id)
	if err != nil {
		return answer(err)
	}
	if err := ready(j, j.State == StateCompleted); err != nil {
		return answer(err)
	}
	f, err := s.h.results.open(id)
	if err != nil {
		return answer(err)
	}
	defer f.Close()
	return answer(send(f, func(p []byte) error { return out.Send(&pb.FetchResultResponse{Chunk: p}) }))
}

// send copies a file in chunks.
func send(r io.Reader, f func([]byte) error) error {
	buf := make([]byte, maxChunk/4)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := f(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (s jobService) FetchBundle(ctx context.Context, r *connect.Request[pb.FetchBundleRequest]) (*connect.Response[pb.FetchBundleResponse], error) {
	id, err := digestOf(r.Msg.Job)
	if err != nil {
		return nil, answer(err)
	}
	j, err := s.h.job(ctx, id)
	if err != nil {
		return nil, answer(err)
	}
	if err := ready(j, ended(j.State) && j.Usage != ""); err != nil {
		return nil, answer(err)
	}
	b, err := os.ReadFile(s.h.bundlePath(id))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: the bundle of job %s", ErrUnknown, id)
	}
	return reply(&pb.FetchBundleResponse{Bundle: b}, err)
}

// ready says why something cannot be fetched: not yet, or never.
func ready(j *pb.Job, ok bool) error {
	switch {
	case ok:
		return nil
	case ended(j.State):
		return fmt.Errorf("%w: job %s is %s: %s", ErrNoResult, j.Id, j.State, j.Reason)
	}
	return fmt.Errorf("%w: job %s is %s", ErrNotReady, j.Id, j.State)
}
