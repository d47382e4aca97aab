// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

type logService struct{ h *Host }

func (s logService) Checkpoint(ctx context.Context, _ *connect.Request[pb.CheckpointRequest]) (*connect.Response[pb.CheckpointResponse], error) {
	text, _, err := s.h.seq.checkpoint(ctx)
	return reply(&pb.CheckpointResponse{Checkpoint: []byte(s.h.seq.feeder.dress(string(text))), Verifier: s.h.seq.vkey}, err)
}

func (s logService) Inclusion(ctx context.Context, r *connect.Request[pb.InclusionRequest]) (*connect.Response[pb.InclusionResponse], error) {
	return reply(s.h.prove(ctx, r.Msg))
}

func (h *Host) prove(ctx context.Context, q *pb.InclusionRequest) (*pb.InclusionResponse, error) {
	var index int64
	switch e := q.Entry.(type) {
	case *pb.InclusionRequest_Index:
		index = e.Index
	case *pb.InclusionRequest_Statement:
		d, err := digestOf(e.Statement)
		if err != nil {
			return nil, err
		}
		if index, err = h.recordIndex(ctx, d); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: name a statement or an index", ErrInvalid)
	}
	prove := h.seq.inclusion
	if q.Cosigned {
		prove = h.seq.cosignedInclusion
	}
	p, body, err := prove(ctx, index)
	if err != nil {
		return nil, err
	}
	out := &pb.InclusionResponse{Index: p.Index, Size: p.Size, Checkpoint: []byte(p.Checkpoint), Body: body}
	for _, d := range p.Hashes {
		out.Hashes = append(out.Hashes, d[:])
	}
	return out, nil
}

func (s logService) Entries(ctx context.Context, r *connect.Request[pb.EntriesRequest]) (*connect.Response[pb.EntriesResponse], error) {
	n := int(r.Msg.Count)
	if r.Msg.First < 0 || n < 1 || n > maxEntries {
		return nil, answer(fmt.Errorf("%w: want first from 0 and count from 1 to %d", ErrInvalid, maxEntries))
	}
	_, size, err := s.h.seq.checkpoint(ctx)
	if err != nil {
		return nil, answer(err)
	}
	bodies, err := s.h.seq.bodies(ctx, r.Msg.First, n, size)
	return reply(&pb.EntriesResponse{Bodies: bodies, Size: size}, err)
}

func (s logService) AppendRecord(ctx context.Context, r *connect.Request[pb.AppendRecordRequest]) (*connect.Response[pb.AppendRecordResponse], error) {
	key, err := envelope.ParsePublicKey(r.Msg.Broker)
	if err != nil {
		return nil, answer(err)
	}
	id, created, err := s.h.appendRecord(ctx, r.Msg.Record, key)
	return reply(&pb.AppendRecordResponse{Statement: id.String(), Created: created}, err)
}

func (s logService) ListRecords(ctx context.Context, r *connect.Request[pb.ListRecordsRequest]) (*connect.Response[pb.ListRecordsResponse], error) {
	list, next, err := s.h.listRecords(ctx, r.Msg)
	return reply(&pb.ListRecordsResponse{Records: list, NextPage: next}, err)
}
