// SPDX-License-Identifier: Apache-2.0

// Package tsm asks the kernel for attestation reports through configfs (/sys/kernel/config/tsm/report, Linux 6.7), which
// AMD SEV-SNP guests and Intel TDX guests share.
//
// Trust domain: enclave. Its one job: one report over 64 bytes, made for this caller alone, within bounds. It never met
// hardware here: its tests run against a fake of what the kernel documents (Documentation/ABI/testing/configfs-tsm).
// github.com/google/go-configfs-tsm does the same; it reads without a bound, cannot be interrupted, and would bring a
// second module into the measured binary.
package tsm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"syscall"
	"time"
)

// Errors.
var (
	ErrUnavailable = errors.New("tsm: the kernel offers no reports through configfs")
	ErrProvider    = errors.New("tsm: reports are another platform's")
	ErrReport      = errors.New("tsm: no report")
	ErrRace        = fmt.Errorf("%w: somebody else wrote to the request", ErrReport)
)

// Providers, as the kernel names them.
const (
	ProviderSNP = "sev_guest"
	ProviderTDX = "tdx_guest"
)

// Reports asks for the reports of one provider. Safe for concurrent use: every request has a directory of its own.
type Reports struct {
	provider   string
	testOnlyFS files
}

// Open refuses a provider other than [ProviderSNP] and [ProviderTDX], and with [ErrUnavailable] a kernel that has no such
// directory. Which provider the kernel has is seen at the first report.
func Open(provider string) (*Reports, error) { return open(provider, kernel{}) }

func open(provider string, fsys files) (*Reports, error) {
	if provider != ProviderSNP && provider != ProviderTDX {
		return nil, fmt.Errorf("%w: %q is not known", ErrProvider, provider)
	}
	if err := fsys.stat(root); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return &Reports{provider, fsys}, nil
}

// Report makes a report over reportData, at VMPL 0 where there are such levels. The auxblob is what the host added, such
// as certificates; it is nil where the platform or the host has none. The kernel cannot be interrupted: when ctx ends
// first, Report returns, and the request is removed once the kernel has answered.
func (r *Reports) Report(ctx context.Context, reportData [64]byte) (provider string, outblob, auxblob []byte, err error) {
	type answer struct {
		out, aux []byte
		err      error
	}
	done := make(chan answer, 1)
	go func() {
		var a answer
		a.out, a.aux, a.err = r.attempts(ctx, reportData)
		done <- a
	}()
	select {
	case <-ctx.Done():
		return "", nil, nil, fmt.Errorf("%w: %w", ErrReport, context.Cause(ctx))
	case a := <-done:
		if a.err != nil {
			return "", nil, nil, a.err
		}
		return r.provider, a.out, a.aux, nil
	}
}

// attempts asks again where the platform is busy with somebody else's request.
func (r *Reports) attempts(ctx context.Context, reportData [64]byte) (out, aux []byte, err error) {
	for i := 1; ; i++ {
		out, aux, err = r.once(reportData)
		busy := errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR)
		if !busy || i == maxAttempts {
			return out, aux, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("%w: %w", ErrReport, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// once makes a request, reads its answer and removes it.
func (r *Reports) once(reportData [64]byte) (out, aux []byte, err error) {
	q := &request{fsys: r.testOnlyFS, dir: path.Join(root, "glovebox-"+rand.Text())}
	if err := q.fsys.mkdir(q.dir); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrReport, err)
	}
	defer func() {
		if rerr := q.fsys.rmdir(q.dir); rerr != nil && err == nil {
			out, aux, err = nil, nil, fmt.Errorf("%w: request not removed: %w", ErrReport, rerr)
		}
	}()
	if err := q.write(r.provider, reportData[:]); err != nil {
		return nil, nil, err
	}
	if out, err = q.read("outblob"); err != nil {
		return nil, nil, err
	}
	if len(out) == 0 {
		return nil, nil, fmt.Errorf("%w: outblob is empty", ErrReport)
	}
	if aux, err = q.read("auxblob"); errors.Is(err, fs.ErrNotExist) || (err == nil && len(aux) == 0) {
		return out, nil, nil
	}
	return out, aux, err
}

// request is one directory under [root].
type request struct {
	fsys       files
	dir        string
	generation uint64 // that the kernel must show: one more for each of our writes
}

// write checks who will answer and asks. The kernel reports a refused inblob to nobody, since it looks at it after the
// file was closed: only the generation shows that it took it.
func (q *request) write(provider string, reportData []byte) error {
	seen, err := q.attribute("provider")
	if err != nil {
		return err
	}
	if string(seen) != provider {
		return fmt.Errorf("%w: the kernel's is %q, want %q", ErrProvider, seen, provider)
	}
	if q.generation, err = q.readGeneration(); err != nil {
		return err
	}
	if provider == ProviderSNP {
		if err := q.set("privlevel", []byte(vmpl)); err != nil {
			return err
		}
	}
	return q.set("inblob", reportData)
}

func (q *request) set(name string, value []byte) error {
	if err := q.fsys.write(path.Join(q.dir, name), value); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrReport, name, err)
	}
	q.generation++
	return q.checkGeneration(name)
}

func (q *request) read(name string) ([]byte, error) {
	b, err := q.fsys.read(path.Join(q.dir, name), maxBlob)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrReport, name, err)
	}
	return b, q.checkGeneration(name)
}

// attribute reads a line of text.
func (q *request) attribute(name string) ([]byte, error) {
	b, err := q.fsys.read(path.Join(q.dir, name), maxAttribute)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrReport, name, err)
	}
	return bytes.TrimSuffix(b, []byte("\n")), nil
}

func (q *request) readGeneration() (uint64, error) {
	b, err := q.attribute("generation")
	if err != nil {
		return 0, err
	}
	g, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: generation: %w", ErrReport, err)
	}
	return g, nil
}

func (q *request) checkGeneration(after string) error {
	g, err := q.readGeneration()
	if err != nil {
		return err
	}
	if g != q.generation {
		return fmt.Errorf("%w: generation %d after %s, want %d", ErrRace, g, after, q.generation)
	}
	return nil
}
