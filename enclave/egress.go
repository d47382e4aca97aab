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

// seal encrypts the declared outputs to the buyer, as a tar archive in the job's order. Sizes are checked again here: the
// worker that reported them is not trusted. The archive is never whole in memory: it is encrypted as it is written.
func (r *attempt) seal(out *outcome) (*sealed, error) {
	j := &r.job.Predicate
	recipient, err := parseRecipient(j.Recipient)
	if err != nil {
		return nil, err
	}
	s := &sealed{}
	if err := r.checkOutputs(out, s); err != nil {
		return nil, err
	}
	a, err := newArchive(recipient)
	if err != nil {
		return nil, err
	}
	for _, f := range out.worker.Outputs {
		a.add(f.Name, f.Data)
	}
	if r.logs() {
		a.add(logName, out.worker.Logs)
	}
	return s, a.close(s)
}

// checkOutputs refuses what was not declared, twice, too large, or too much, and lists the rest.
func (r *attempt) checkOutputs(out *outcome, s *sealed) error {
	declared, total := outputsOf(&r.job.Predicate), int64(0)
	for _, f := range out.worker.Outputs {
		o, ok := declared[f.Name]
		if !ok || int64(len(f.Data)) > o.MaxBytes {
			return fmt.Errorf("%w: undeclared, repeated or oversized", ErrEgress)
		}
		delete(declared, f.Name) // each leaves once
		if total += int64(len(f.Data)); total > r.outputCap() {
			return fmt.Errorf("%w: more than %d bytes in all", ErrEgress, r.outputCap())
		}
		s.outputs = append(s.outputs, usage.Output{Name: o.Name, Class: o.Class, Bytes: int64(len(f.Data))})
	}
	return nil
}

// archive is a deterministic tar on its way into an age file, and remembers what its commitment is over.
type archive struct {
	file  bytes.Buffer // header and payload of the age file
	split int          // where its header and payload nonce end
	age   io.WriteCloser
	tar   *tar.Writer
	files []usage.File
	err   error
}

func newArchive(to age.Recipient) (*archive, error) {
	a := &archive{}
	var err error
	if a.age, err = age.Encrypt(&a.file, to); err != nil {
		return nil, fmt.Errorf("%w: encrypt: %w", ErrEgress, err)
	}
	a.split = a.file.Len()
	a.tar = tar.NewWriter(a.age)
	return a, nil
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
	if a.err = a.tar.WriteHeader(h); a.err == nil {
		_, a.err = io.Copy(a.tar, bytes.NewReader(data))
	}
}

// close adds the salt, ends the age file, and fills s.
func (a *archive) close(s *sealed) error {
	salt := envelope.NewNonce()
	a.put(usage.SaltName, []byte(salt.String()))
	if a.err == nil {
		a.err = a.tar.Close()
	}
	if a.err == nil {
		a.err = a.age.Close()
	}
	if a.err != nil {
		return fmt.Errorf("%w: encrypt: %w", ErrEgress, a.err)
	}
	b := a.file.Bytes()
	s.header, s.payload, s.digest = b[:a.split:a.split], b[a.split:], sha256.Sum256(b)
	s.commitment = usage.Commitment(salt, a.files)
	return nil
}

// reservedOutput reports whether an output would clash with an entry the enclave writes itself.
func reservedOutput(o job.Output) bool { return o.Name == logName || o.Name == usage.SaltName }
