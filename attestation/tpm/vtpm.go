// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// ErrIndex means that the TPM has no such index, so that it is not the cloud's that was expected.
var ErrIndex = errors.New("tpm: no such index")

// VTPM is a cloud's virtual TPM, open: what the collectors of clouds need of one, and nothing that changes it.
type VTPM struct{ t transport.TPM }

// Quoted is a quote by a cloud's attestation key, with what it is over.
type Quoted struct {
	Public    []byte            // TPMT_PUBLIC of the key
	PCRs      map[string]string // of [CloudPCRs]
	Message   []byte            // TPMS_ATTEST
	Signature []byte            // TPMT_SIGNATURE
}

// CloudPCRs are the registers that are quoted in clouds: all that cannot be reset without a restart.
func CloudPCRs() []int { return []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} }

// WithVTPM opens device ("unix:PATH" or /dev/tpmrmN) for f and closes it again.
func WithVTPM(ctx context.Context, device string, f func(*VTPM) error) error {
	return withDevice(ctx, device, func(t transport.TPM) error { return f(&VTPM{t}) })
}

// ReadIndex reads a whole index that the owner, with the empty password that clouds leave, may read. Errors: [ErrIndex].
func (v *VTPM) ReadIndex(index uint32) ([]byte, error) {
	handle := tpm2.TPMHandle(index)
	p, err := tpm2.NVReadPublic{NVIndex: handle}.Execute(v.t)
	if err != nil {
		return nil, fmt.Errorf("%w %#08x: %w", ErrIndex, index, err)
	}
	public, err := p.NVPublic.Contents()
	if err != nil || public.DataSize == 0 || public.DataSize > maxIndex {
		return nil, fmt.Errorf("%w %#08x of 1 to %d bytes (%v)", ErrIndex, index, maxIndex, err)
	}
	var out []byte
	for size := public.DataSize; len(out) < int(size); {
		r, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: handle, Name: p.NVName},
			Size:       min(indexBlock, size-uint16(len(out))), Offset: uint16(len(out)),
		}.Execute(v.t)
		if err != nil {
			return nil, fmt.Errorf("read index %#08x: %w", index, err)
		}
		if len(r.Data.Buffer) == 0 || len(out)+len(r.Data.Buffer) > int(size) {
			return nil, fmt.Errorf("read index %#08x: %d bytes at %d", index, len(r.Data.Buffer), len(out))
		}
		out = append(out, r.Data.Buffer...)
	}
	return out, nil
}

// QuotePersistent quotes over d with a key that the cloud left in the TPM.
func (v *VTPM) QuotePersistent(handle uint32, d envelope.Digest) (*Quoted, error) {
	p, err := tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(handle)}.Execute(v.t)
	if err != nil {
		return nil, fmt.Errorf("read key %#08x: %w", handle, err)
	}
	return v.quote(&primary{tpm2.TPMHandle(handle), p.Name, p.OutPublic.Bytes()}, d)
}

// QuoteTemplate quotes over d with the primary key of the endorsement hierarchy that a TPMT_PUBLIC makes.
func (v *VTPM) QuoteTemplate(template []byte, d envelope.Digest) (q *Quoted, err error) {
	t, err := tpm2.Unmarshal[tpm2.TPMTPublic](template)
	if err != nil {
		return nil, fmt.Errorf("template of the attestation key: %w", err)
	}
	p, err := createPrimary(v.t, *t)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.flush(v.t)) }()
	return v.quote(p, d)
}

// quote makes a quote and reads the registers it is over. An extend between the two makes it try again.
func (v *VTPM) quote(key *primary, d envelope.Digest) (q *Quoted, err error) {
	for range pcrAttempts {
		r, qerr := tpm2.Quote{
			SignHandle:     tpm2.AuthHandle{Handle: key.handle, Name: key.name, Auth: tpm2.PasswordAuth(nil)},
			QualifyingData: tpm2.TPM2BData{Buffer: d[:]},
			InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
			PCRSelect:      selection(CloudPCRs()),
		}.Execute(v.t)
		if qerr != nil {
			return nil, fmt.Errorf("quote: %w", qerr)
		}
		q = &Quoted{Public: key.public, Message: r.Quoted.Bytes(), Signature: tpm2.Marshal(r.Signature)}
		if q.PCRs, err = readValues(v.t, CloudPCRs()); err != nil {
			return nil, err
		}
		if err = q.check(d); !errors.Is(err, quote.ErrPCRs) {
			return q, err
		}
	}
	return nil, err
}

// check refuses a quote that is not over d and these values. Who signed it is the caller's question.
func (q *Quoted) check(d envelope.Digest) error {
	a, err := quote.ParseAttest(q.Message)
	if err != nil {
		return err
	}
	if !bytes.Equal(a.Qualifying, d[:]) {
		return fmt.Errorf("%w: over other data", quote.ErrQuote)
	}
	_, err = a.CheckValues(q.PCRs)
	return err
}
