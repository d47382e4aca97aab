// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"
)

// Layout of MSG_REPORT_RSP (AMD 56860), which the device answers with.
const (
	responseSize   = 4000
	responseStatus = 0
	responseLength = 4
	responseReport = 0x20
)

// What a host answers through the device instead of a report (Linux, include/uapi/linux/sev-guest.h), in the upper half.
const (
	vmmInvalidLength = 1
	vmmBusy          = 2
)

// device is /dev/sev-guest.
type device struct{ testOnlyGuest guest }

// guest is its SNP_GET_EXT_REPORT at VMPL 0: the response, the bytes of certs that are used or wanted, and what host and
// firmware say of a failure.
type guest interface {
	extReport(data [64]byte, certs []byte) (response []byte, used uint32, fault uint64, err error)
}

// report asks with as much room for certificates as the host wants. The device cannot be interrupted; when ctx ends
// first, report returns and the answer is dropped.
func (d *device) report(ctx context.Context, data [64]byte) (report, table []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, deviceTime)
	defer cancel()
	type answer struct {
		report, table []byte
		err           error
	}
	done := make(chan answer, 1)
	go func() {
		var a answer
		a.report, a.table, a.err = d.attempts(ctx, data)
		done <- a
	}()
	select {
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("%w: %w", ErrDevice, context.Cause(ctx))
	case a := <-done:
		return a.report, a.table, a.err
	}
}

func (d *device) attempts(ctx context.Context, data [64]byte) (report, table []byte, err error) {
	certs := make([]byte, 4*pageSize)
	for grown := false; ; {
		response, used, fault, err := d.testOnlyGuest.extReport(data, certs)
		switch {
		case err == nil:
			report, err = readResponse(response)
			return report, certs, err
		case fault>>32 == vmmInvalidLength && !grown && used > uint32(len(certs)) && used <= maxTable && used%pageSize == 0:
			certs, grown = make([]byte, used), true
		case fault>>32 == vmmBusy:
			select {
			case <-ctx.Done():
				return nil, nil, fmt.Errorf("%w: %w", ErrDevice, context.Cause(ctx))
			case <-time.After(busyPause):
			}
		default:
			return nil, nil, fmt.Errorf("%w: %w (host and firmware say %#x)", ErrDevice, err, fault)
		}
	}
}

func readResponse(b []byte) ([]byte, error) {
	if len(b) != responseSize {
		return nil, fmt.Errorf("%w: response of %d bytes", ErrDevice, len(b))
	}
	status, size := binary.LittleEndian.Uint32(b[responseStatus:]), binary.LittleEndian.Uint32(b[responseLength:])
	if status != 0 || size != ReportSize {
		return nil, fmt.Errorf("%w: status %#x, report of %d bytes, want %d", ErrDevice, status, size, ReportSize)
	}
	return b[responseReport : responseReport+ReportSize : responseReport+ReportSize], nil
}
