// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"connectrpc.com/connect"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

type blobService struct{ h *Host }

func (s blobService) Put(ctx context.Context, in *connect.ClientStream[pb.PutRequest]) (*connect.Response[pb.PutResponse], error) {
	return reply(s.h.putBlob(ctx, in))
}

// putBlob keeps the blob only if its bytes have the announced length and digest.
func (h *Host) putBlob(ctx context.Context, in *connect.ClientStream[pb.PutRequest]) (*pb.PutResponse, error) {
	if !in.Receive() {
		return nil, errors.Join(fmt.Errorf("%w: upload without a header", ErrInvalid), in.Err())
	}
	head := in.Msg().GetHeader()
	if head == nil {
		return nil, fmt.Errorf("%w: upload without a header", ErrInvalid)
	}
	want, err := digestOf(head.Digest)
	if err != nil {
		return nil, err
	}
	if err := h.admit(head.Size); err != nil {
		return nil, err
	}
	if n, err := h.blobs.Size(ctx, want); err == nil && n == head.Size {
		return &pb.PutResponse{Digest: want.String(), Size: n}, nil // here already; the rest is not read
	}
	r := &upload{in: in, want: want, left: head.Size, hash: sha256.New()}
	d, n, err := h.blobs.Put(ctx, r)
	if err != nil {
		return nil, err
	}
	return &pb.PutResponse{Digest: d.String(), Size: n}, nil
}

// admit refuses a blob by its length, before any of it is read.
func (h *Host) admit(size int64) error {
	if size < 1 || size > h.cfg.MaxBlob {
		return fmt.Errorf("%w: blob of %d bytes, want 1 to %d", ErrTooLarge, size, h.cfg.MaxBlob)
	}
	left, err := free(h.cfg.Dir)
	if err != nil {
		return err
	}
	if size > left-diskReserve {
		return fmt.Errorf("%w: blob of %d bytes, %d are free and %d stay reserved", ErrFull, size, left, int64(diskReserve))
	}
	return nil
}

// upload reads a blob from its messages. It ends with an error instead of io.EOF when length or digest are not what was
// announced, so that the store keeps nothing.
type upload struct {
	in   *connect.ClientStream[pb.PutRequest]
	want envelope.Digest
	left int64
	hash hash.Hash
	buf  []byte
}

func (u *upload) Read(p []byte) (int, error) {
	for len(u.buf) == 0 {
		if !u.in.Receive() {
			return 0, u.end(u.in.Err())
		}
		c, ok := u.in.Msg().Part.(*pb.PutRequest_Chunk)
		if !ok || len(c.Chunk) > maxChunk {
			return 0, fmt.Errorf("%w: want chunks of at most %d bytes after the header", ErrInvalid, maxChunk)
		}
		if u.left -= int64(len(c.Chunk)); u.left < 0 {
			return 0, fmt.Errorf("%w: more bytes than announced", ErrSize)
		}
		u.hash.Write(c.Chunk)
		u.buf = c.Chunk
	}
	n := copy(p, u.buf)
	u.buf = u.buf[n:]
	return n, nil
}

func (u *upload) end(err error) error {
	switch {
	case err != nil:
		return err
	case u.left > 0:
		return fmt.Errorf("%w: %d bytes are missing", ErrSize, u.left)
	case envelope.Digest(u.hash.Sum(nil)) != u.want:
		return fmt.Errorf("%w: %s", ErrDigest, u.want)
	}
	return io.EOF
}

func (s blobService) Has(ctx context.Context, r *connect.Request[pb.HasRequest]) (*connect.Response[pb.HasResponse], error) {
	if len(r.Msg.Digests) > maxHas {
		return nil, answer(fmt.Errorf("%w: %d digests, at most %d", ErrTooLarge, len(r.Msg.Digests), maxHas))
	}
	out := new(pb.HasResponse)
	for _, t := range r.Msg.Digests {
		d, err := digestOf(t)
		if err != nil {
			return nil, answer(err)
		}
		_, err = s.h.blobs.Size(ctx, d)
		switch {
		case errors.Is(err, dataset.ErrNoBlob):
			out.Missing = append(out.Missing, t)
		case err != nil:
			return nil, answer(err)
		}
	}
	return connect.NewResponse(out), nil
}

func (s blobService) PutManifest(ctx context.Context, r *connect.Request[pb.PutManifestRequest]) (*connect.Response[pb.PutManifestResponse], error) {
	id, created, err := s.h.putManifest(ctx, r.Msg.Manifest)
	return reply(&pb.PutManifestResponse{Id: id.String(), Created: created}, err)
}

func (s blobService) GetManifest(ctx context.Context, r *connect.Request[pb.GetManifestRequest]) (*connect.Response[pb.GetManifestResponse], error) {
	id, err := digestOf(r.Msg.Id)
	if err != nil {
		return nil, answer(err)
	}
	b, err := s.h.signedManifest(ctx, id)
	return reply(&pb.GetManifestResponse{Manifest: b}, err)
}

func (s blobService) ListManifests(ctx context.Context, r *connect.Request[pb.ListManifestsRequest]) (*connect.Response[pb.ListManifestsResponse], error) {
	list, next, err := s.h.listManifests(ctx, r.Msg)
	return reply(&pb.ListManifestsResponse{Manifests: list, NextPage: next}, err)
}
