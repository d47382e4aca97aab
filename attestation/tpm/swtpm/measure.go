// SPDX-License-Identifier: Apache-2.0

package swtpm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// MeasureFile stands for the measured launch of an enclave binary: it extends PCR 14 with the file's SHA-256 and appends
// the event to the log. If it fails half-way, log and PCR disagree and every verifier refuses the evidence.
func (i *Instance) MeasureFile(ctx context.Context, path string) (envelope.Digest, error) {
	d, err := hashFile(path)
	if err != nil {
		return d, fmt.Errorf("%w: %w", ErrMeasure, err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	next, err := eventlog.Append(i.log[:len(i.log):len(i.log)], eventlog.Event{
		PCR: quote.EnclavePCR, Type: eventlog.IPL, Digest: d, Data: []byte(eventlog.EnclaveEvent),
	})
	if err != nil {
		return d, fmt.Errorf("%w: %w", ErrMeasure, err)
	}
	if err := tpm.Extend(ctx, i.Device(), quote.EnclavePCR, d); err != nil {
		return d, fmt.Errorf("%w: %w", ErrMeasure, err)
	}
	i.log = next
	return d, i.writeLog()
}

func (i *Instance) beginLog() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	log, err := eventlog.Append(eventlog.Header(), eventlog.Event{
		PCR: 0, Type: eventlog.NoAction, Data: []byte("Glovebox software TPM, no firmware"),
	})
	if err != nil {
		return err
	}
	i.log = log
	return i.writeLog()
}

// writeLog replaces the file in one step, so that a reader never sees half of it.
func (i *Instance) writeLog() error { return replaceFile(i.EventLogFile, i.log) }

func replaceFile(path string, b []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, werr := f.Write(b)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return os.Rename(tmp, path)
}

func hashFile(path string) (envelope.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return envelope.Digest{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return envelope.Digest{}, err
	}
	if !st.Mode().IsRegular() {
		return envelope.Digest{}, fmt.Errorf("%s is not a regular file", path)
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return envelope.Digest{}, err
	}
	return envelope.Digest(h.Sum(nil)), nil
}
