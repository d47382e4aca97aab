// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
)

// withDevice opens the device, runs f and closes it again, all within ctx and operationTime.
func withDevice(ctx context.Context, device string, f func(transport.TPM) error) error {
	if err := checkDevice(device); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, operationTime)
	defer cancel()
	t, err := dial(ctx, device)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDevice, err)
	}
	ferr := f(&patient{ctx, t})
	if ctx.Err() != nil {
		ferr = errors.Join(ferr, context.Cause(ctx))
	}
	if err := errors.Join(ferr, t.Close()); err != nil {
		return fmt.Errorf("%w: %w", ErrDevice, err)
	}
	return nil
}

func dial(ctx context.Context, device string) (transport.TPMCloser, error) {
	path, ok := strings.CutPrefix(device, unixPrefix)
	if !ok {
		return linuxtpm.Open(device)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // the next use fails anyway
	return &socket{c, stop}, nil
}

// patient sends a command again when the TPM answers that it was not able to start it, as the specification asks of
// callers. The kernel does so for its devices; a socket has nobody who does.
type patient struct {
	ctx context.Context //nolint:containedctx // of one use of the device
	t   transport.TPM
}

// Send implements [transport.TPM].
func (p *patient) Send(command []byte) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		response, err := p.t.Send(command)
		if err != nil || attempt == sendAttempts || len(response) < 10 {
			return response, err
		}
		switch tpm2.TPMRC(binary.BigEndian.Uint32(response[6:])) {
		case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting:
		default:
			return response, nil
		}
		select {
		case <-p.ctx.Done():
			return nil, context.Cause(p.ctx)
		case <-time.After(sendPause):
		}
	}
}

// socket is a software TPM's raw command stream. Framing is the TPM's own: both headers are tag, size, code.
type socket struct {
	conn net.Conn
	stop func() bool
}

// Send implements [transport.TPM].
func (s *socket) Send(command []byte) ([]byte, error) {
	if _, err := s.conn.Write(command); err != nil {
		return nil, err
	}
	var header [10]byte
	if _, err := io.ReadFull(s.conn, header[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(header[2:])
	if n < uint32(len(header)) || n > maxResponse {
		return nil, fmt.Errorf("response of %d bytes, at most %d", n, maxResponse)
	}
	response := make([]byte, n)
	copy(response, header[:])
	_, err := io.ReadFull(s.conn, response[len(header):])
	return response, err
}

// Close implements [io.Closer].
func (s *socket) Close() error {
	s.stop()
	return s.conn.Close()
}
