// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"syscall"

	"connectrpc.com/connect"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// Errors. The API carries each with a code of its own and a hint.
var (
	ErrConfig      = errors.New("host: invalid configuration")
	ErrLocked      = errors.New("host: another host uses this directory")
	ErrInvalid     = errors.New("host: invalid request")
	ErrDigest      = errors.New("host: the bytes do not have the digest they were sent under")
	ErrSize        = errors.New("host: the bytes do not have the length they were sent under")
	ErrTooLarge    = errors.New("host: too large")
	ErrUnknown     = errors.New("host: not here")
	ErrIncomplete  = errors.New("host: blobs are missing")
	ErrNotReady    = errors.New("host: not ready")
	ErrNoResult    = errors.New("host: ended without a result")
	ErrBusy        = errors.New("host: busy")
	ErrFull        = errors.New("host: no space left on the disk")
	ErrFenced      = errors.New("host: this attempt is over")
	ErrAddress     = errors.New("host: not the address of a broker of this job")
	ErrRelay       = errors.New("host: broker did not answer")
	ErrUnwitnessed = errors.New("host: the log has no witnesses")
	ErrSigner      = errors.New("host: not signed by the package's broker")
)

// answers says how each error travels: the first match wins.
var answers = []struct {
	err  error
	code connect.Code
	hint string
}{
	{context.Canceled, connect.CodeCanceled, ""},
	{context.DeadlineExceeded, connect.CodeDeadlineExceeded, "try again"},
	{ErrUnknown, connect.CodeNotFound, "check the digest; publish what the job names before submitting it"},
	{dataset.ErrNoBlob, connect.CodeNotFound, "upload the blob first"},
	{ErrIncomplete, connect.CodeFailedPrecondition, "upload all blobs of the package, then publish its manifest"},
	{ErrNoResult, connect.CodeFailedPrecondition, "the job's reason says why; submit the work again as a new job"},
	{ErrNotReady, connect.CodeUnavailable, "watch the job until it has ended, then try again"},
	{ErrUnwitnessed, connect.CodeFailedPrecondition, "its operator names some with: glovebox operator up --witness URL=KEY"},
	{ErrBusy, connect.CodeUnavailable, "try again in a moment"},
	{ErrFull, connect.CodeResourceExhausted, "the operator has to free space on the host's disk"},
	{dataset.ErrFull, connect.CodeResourceExhausted, "the operator has to free space on the host's disk"},
	{ErrTooLarge, connect.CodeInvalidArgument, "split it, or ask the operator about the limits"},
	{envelope.ErrTooLarge, connect.CodeInvalidArgument, "split it, or ask the operator about the limits"},
	{ErrDigest, connect.CodeInvalidArgument, "the bytes changed on the way or on disk: check the source and send them again"},
	{ErrSize, connect.CodeInvalidArgument, "the bytes changed on the way or on disk: check the source and send them again"},
	{ErrSigner, connect.CodePermissionDenied, "only the broker that a published manifest pins, or that its owner handed over to since, may log records about it"},
	{dataset.ErrHistory, connect.CodeFailedPrecondition, "publish a version that was packed with --previous and the newest version's digest; a published version is never replaced"},
	{envelope.ErrIntegrity, connect.CodeInvalidArgument, "sign with the key that the statement names"},
	{envelope.ErrMalformed, connect.CodeInvalidArgument, "send the file exactly as it was signed"},
	{envelope.ErrDigest, connect.CodeInvalidArgument, "a digest is sha256: and 64 lower-case hex digits"},
	{envelope.ErrKey, connect.CodeInvalidArgument, "a key is a did:key of a P-256 key"},
	{envelope.ErrRole, connect.CodeInvalidArgument, "sign with the key of the right role"},
	{job.ErrInvalid, connect.CodeInvalidArgument, "make the job with this release's tools"},
	{grant.ErrInvalid, connect.CodeInvalidArgument, "send the record exactly as the broker signed it"},
	{dataset.ErrManifest, connect.CodeInvalidArgument, "pack the dataset with this release's tools"},
	{ErrInvalid, connect.CodeInvalidArgument, ""},
}

// answer turns an error into what the API sends.
func answer(err error) error {
	if err == nil {
		return nil
	}
	if c, ok := errors.AsType[*connect.Error](err); ok {
		return c
	}
	err = diskError(err)
	for _, a := range answers {
		if errors.Is(err, a.err) {
			return withHint(connect.NewError(a.code, err), a.hint)
		}
	}
	return withHint(connect.NewError(connect.CodeInternal, err), "the host's log has more")
}

func withHint(e *connect.Error, hint string) *connect.Error {
	if hint == "" {
		return e
	}
	if d, err := connect.NewErrorDetail(&pb.ErrorHint{Hint: hint}); err == nil {
		e.AddDetail(d)
	}
	return e
}

// diskError names a full disk.
func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return errors.Join(ErrFull, err)
	}
	return err
}
