// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"

	"github.com/transparency-dev/tessera/client"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// inclusion proves an entry against the latest checkpoint, with the cosignatures it has so far.
func (s *sequencer) inclusion(ctx context.Context, index int64) (tlog.Proof, []byte, error) {
	text, size, err := s.checkpoint(ctx)
	if err != nil {
		return tlog.Proof{}, nil, err
	}
	if index < 0 || index >= size {
		return tlog.Proof{}, nil, fmt.Errorf("%w: entry %d of a log with %d", ErrUnknown, index, size)
	}
	return s.inclusionUnder(ctx, s.feeder.dress(string(text)), size, index)
}

// cosignedInclusion proves an entry against the newest checkpoint that enough witnesses cosigned. Errors: [ErrNotReady]
// until one covers the entry; [ErrUnwitnessed] if the log has no witnesses.
func (s *sequencer) cosignedInclusion(ctx context.Context, index int64) (tlog.Proof, []byte, error) {
	if !s.feeder.on() {
		return tlog.Proof{}, nil, ErrUnwitnessed
	}
	text, size, ok := s.feeder.cosigned()
	if !ok || index >= size {
		return tlog.Proof{}, nil, fmt.Errorf("%w: entry %d is not yet under a cosigned checkpoint", ErrNotReady, index)
	}
	if index < 0 {
		return tlog.Proof{}, nil, fmt.Errorf("%w: entry %d", ErrUnknown, index)
	}
	return s.inclusionUnder(ctx, text, size, index)
}

func (s *sequencer) inclusionUnder(ctx context.Context, checkpoint string, size, index int64) (tlog.Proof, []byte, error) {
	pb, err := client.NewProofBuilder(ctx, uint64(size), s.reader.ReadTile)
	if err != nil {
		return tlog.Proof{}, nil, fmt.Errorf("prove: %w", err)
	}
	path, err := pb.InclusionProof(ctx, uint64(index))
	if err != nil {
		return tlog.Proof{}, nil, fmt.Errorf("prove: %w", err)
	}
	p := tlog.Proof{Index: index, Size: size, Hashes: []envelope.Digest{}, Checkpoint: checkpoint}
	if p.Hashes, err = toDigests(path); err != nil {
		return tlog.Proof{}, nil, err
	}
	body, err := s.bodies(ctx, index, 1, size)
	if err != nil {
		return tlog.Proof{}, nil, err
	}
	if _, err := s.log.VerifyInclusion(body[0], p); err != nil {
		return tlog.Proof{}, nil, err
	}
	return p, body[0], nil
}

// consistency proves that the tree of size to begins with that of size from, both published.
func (s *sequencer) consistency(ctx context.Context, from, to int64) ([]envelope.Digest, error) {
	pb, err := client.NewProofBuilder(ctx, uint64(to), s.reader.ReadTile)
	if err != nil {
		return nil, fmt.Errorf("prove: %w", err)
	}
	path, err := pb.ConsistencyProof(ctx, uint64(from), uint64(to))
	if err != nil {
		return nil, fmt.Errorf("prove: %w", err)
	}
	return toDigests(path)
}

func toDigests(path [][]byte) ([]envelope.Digest, error) {
	out := []envelope.Digest{}
	for _, b := range path {
		d, err := toDigest(b)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}
