// SPDX-License-Identifier: Apache-2.0

package hcl

import (
	"bytes"
	"crypto/sha512"
	"fmt"
)

// Layout of TDREPORT_STRUCT (Intel TDX Module ABI, table "TDREPORT_STRUCT definition"), as far as it can be compared.
const (
	tdReportType = 0x81
	tcbInfoHash  = 32 // SHA-384 of TEE_TCB_INFO
	tdInfoHash   = 80 // SHA-384 of TDINFO
	tdReportData = 128
	tcbInfo      = 256
	tcbInfoSize  = 239
	tcbInfoTCB   = tcbInfo + 8 // TEE_TCB_SVN, MRSEAM, MRSIGNERSEAM, SEAM attributes
	tcbFields    = 16 + 48 + 48 + 8
	tdInfo       = 512
	tdFields     = 8 + 8 + 8*48 // ATTRIBUTES, XFAM, MRTD, MRCONFIGID, MROWNER, MROWNERCONFIG, RTMR0 to RTMR3
)

// CheckTDReport compares a TD report with the body of the quote that was made of it: TEE_TCB_SVN, MRSEAM, MRSIGNERSEAM,
// SEAM attributes, then the TD's own fields, then report data, as they stand in a quote. A TD report is authenticated by a
// key of the machine that made it, so elsewhere it proves nothing; the quote does. But evidence whose parts disagree was
// put together.
func CheckTDReport(report, body []byte) error {
	if len(report) != tdReportSize || len(body) < tcbFields+tdFields+64 {
		return fmt.Errorf("%w: TD report of %d bytes, quote's body of %d", ErrMalformed, len(report), len(body))
	}
	tcb, info := sha512.Sum384(report[tcbInfo:tcbInfo+tcbInfoSize]), sha512.Sum384(report[tdInfo:])
	quoted := body[tcbFields+tdFields:][:64]
	switch {
	case report[0] != tdReportType:
		return fmt.Errorf("%w: report of type %#x, want %#x (TDX)", ErrMalformed, report[0], tdReportType)
	case !bytes.Equal(report[tcbInfoHash:][:len(tcb)], tcb[:]) || !bytes.Equal(report[tdInfoHash:][:len(info)], info[:]):
		return fmt.Errorf("%w: TD report does not hash to what it says", ErrMalformed)
	case !bytes.Equal(report[tdReportData:][:64], quoted):
		return fmt.Errorf("%w: TD report and TD quote have different report data", ErrMalformed)
	case !bytes.Equal(report[tcbInfoTCB:][:tcbFields], body[:tcbFields]), !bytes.Equal(report[tdInfo:][:tdFields], body[tcbFields:][:tdFields]):
		return fmt.Errorf("%w: TD report and TD quote are of different trust domains", ErrMalformed)
	}
	return nil
}
