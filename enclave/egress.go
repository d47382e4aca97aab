// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// logName is the archive's entry for the code's own words, present only when every grant seals logs.
const logName = "log.txt"

// sealed is a result ready to leave in two parts: the payload is noise until its header is known.
type sealed struct {
	header, payload []byte
	digest          envelope.Digest // of header ‖ payload: the usage attestation's subject
	commitment      envelope.Digest
	outputs         []usage.Output
}

// parseRecipient reads the job's age recipient; only native ones ("age1…", hybrid "age1pq1…") work without plug-ins.
func parseRecipient(s string) (age.Recipient, error) {
	rs, err := age.ParseRecipients(strings.NewReader(s))
	if err != nil || len(rs) != 1 {
		return nil, fmt.Errorf("%w: recipient is not one age recipient", ErrJob)
	}
	return rs[0], nil
}

// seal packs the declared outputs in the job's order and encrypts them to the buyer. Sizes are checked again here: the
// worker that reported them is not trusted.
func (r *attempt) seal(out *outcome) (*sealed, error) {
	j := &r.job.Predicate
	recipient, err := parseRecipient(j.Recipient)
	if err != nil {
		return nil, err
	}
	declared, total := outputsOf(j), int64(0)
	s := &sealed{}
	a := newArchive()
	for _, f := range out.worker.Outputs {
		o, ok := declared[f.Name]
		if !ok || int64(len(f.Data)) > o.MaxBytes {
			return nil, fmt.Errorf("%w: undeclared, repeated or oversized", ErrEgress)
		}
		delete(declared, f.Name) // each leaves once
		if total += int64(len(f.Data)); total > r.outputCap() {
			return nil, fmt.Errorf("%w: more than %d bytes in all", ErrEgress, r.outputCap())
		}
		a.add(f.Name, f.Data)
		s.outputs = append(s.outputs, usage.Output{Name: o.Name, Class: o.Class, Bytes: int64(len(f.Data))})
	}
	if r.logs() {
		a.add(logName, out.worker.Logs)
	}
	plain, commitment, err := a.close()
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	s.commitment = commitment
	return s, s.encrypt(plain, recipient)
}

// encrypt splits the age file where its header and payload nonce end.
func (s *sealed) encrypt(plain []byte, to age.Recipient) error {
	var file bytes.Buffer
	file.Grow(len(plain) + len(plain)/1024 + 4096)
	w, err := age.Encrypt(&file, to)
	if err != nil {
		return fmt.Errorf("%w: encrypt: %w", ErrEgress, err)
	}
	split := file.Len()
	if _, err := w.Write(plain); err != nil {
		return fmt.Errorf("%w: encrypt: %w", ErrEgress, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("%w: encrypt: %w", ErrEgress, err)
	}
	b := file.Bytes()
	s.header, s.payload, s.digest = b[:split:split], b[split:], sha256.Sum256(b)
	return nil
}

// archive writes a deterministic tar and remembers what its commitment is over.
type archive struct {
	buf   bytes.Buffer
	w     *tar.Writer
	files []usage.File
	err   error
}

func newArchive() *archive {
	a := &archive{}
	a.w = tar.NewWriter(&a.buf)
	return a
}

func (a *archive) add(name string, data []byte) {
	a.put(name, data)
	a.files = append(a.files, usage.File{Name: name, Digest: envelope.Sum(data)})
}

func (a *archive) put(name string, data []byte) {
	if a.err != nil {
		return
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if a.err = a.w.WriteHeader(h); a.err == nil {
		_, a.err = io.Copy(a.w, bytes.NewReader(data))
	}
}

// close adds the salt and returns the archive with its commitment.
func (a *archive) close() ([]byte, envelope.Digest, error) {
	salt := envelope.NewNonce()
	a.put(usage.SaltName, []byte(salt.String()))
	if a.err == nil {
		a.err = a.w.Close()
	}
	return a.buf.Bytes(), usage.Commitment(salt, a.files), a.err
}

// reservedOutput reports whether an output would clash with an entry the enclave writes itself.
func reservedOutput(o job.Output) bool { return o.Name == logName || o.Name == usage.SaltName }
