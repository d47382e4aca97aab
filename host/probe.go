// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"connectrpc.com/connect"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/door"
)

// Bounds of probes.
const (
	maxProbe    = 16 << 10 // as enclaves take them
	maxProbes   = 16       // that wait for an idle enclave
	probeWait   = 10 * time.Second
	probeAnswer = time.Minute     // of an enclave that has it
	probeStall  = 2 * time.Minute // after which an enclave that does not answer is replaced
)

// probe is a question of somebody who wants to see an enclave's evidence before any job is sent.
type probe struct {
	token  string
	raw    []byte
	answer chan door.Probed // holds one, so that nobody waits for whoever asked
}

func (s jobService) Probe(ctx context.Context, r *connect.Request[pb.ProbeRequest]) (*connect.Response[pb.ProbeResponse], error) {
	return reply(s.h.probe(ctx, r.Msg.Probe))
}

// probe hands a question to the first enclave that is idle and waits for its answer. The host reads neither.
func (h *Host) probe(ctx context.Context, raw []byte) (*pb.ProbeResponse, error) {
	if len(raw) == 0 || len(raw) > maxProbe {
		return nil, fmt.Errorf("%w: probe of %d bytes, want 1 to %d", ErrInvalid, len(raw), maxProbe)
	}
	if len(h.slots) == 0 {
		return nil, fmt.Errorf("%w: this host runs no enclaves", ErrBusy)
	}
	if h.asking.Add(1) > maxProbes {
		h.asking.Add(-1)
		return nil, fmt.Errorf("%w: too many ask for evidence", ErrBusy)
	}
	defer h.asking.Add(-1)
	p := &probe{rand.Text(), raw, make(chan door.Probed, 1)}
	select {
	case h.probes <- p:
	case <-time.After(probeWait):
		return nil, fmt.Errorf("%w: no enclave is idle", ErrBusy)
	case <-h.stopped:
		return nil, fmt.Errorf("%w: the host is stopping", ErrBusy)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case a := <-p.answer:
		return &pb.ProbeResponse{Evidence: a.Evidence, Message: clip(a.Message)}, nil
	case <-time.After(probeAnswer):
		return nil, fmt.Errorf("%w: the enclave does not answer", ErrBusy)
	case <-h.stopped:
		return nil, fmt.Errorf("%w: the host is stopping", ErrBusy)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// give makes p the enclave's task.
func (d *desk) give(p *probe) *door.Assignment {
	d.mu.Lock()
	d.probe, d.lastWord = p, time.Now()
	d.mu.Unlock()
	return &door.Assignment{Token: p.token, Job: p.raw, Probe: true}
}

// Probed implements [door.Handler].
func (d *desk) Probed(_ context.Context, token string, a door.Probed) error {
	d.mu.Lock()
	p := d.probe
	if p == nil || p.token != token {
		d.mu.Unlock()
		return ErrFenced
	}
	d.probe, d.lastWord = nil, time.Now()
	d.mu.Unlock()
	p.answer <- a
	return nil
}
