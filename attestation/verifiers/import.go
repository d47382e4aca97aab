// SPDX-License-Identifier: Apache-2.0

package verifiers

import (
	"errors"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
)

// ErrImport means that a vendor's files make no evidence of the platform they are said to be of.
var ErrImport = errors.New("verifiers: files are not this platform's evidence")

// importer makes an envelope of a vendor's files.
type importer func(attestation.Raw) (*attestation.Evidence, error)

// maxRawFiles bounds the files of one kind, far above what any vendor's evidence has.
const maxRawFiles = 64

// Import makes an envelope of raw files of platform p, bound to nothing. It believes nothing in them: what it returns is
// for an inspector to judge. Errors: [attestation.ErrPlatform], [ErrImport].
func Import(p attestation.Platform, raw attestation.Raw) (*attestation.Evidence, error) {
	read := importers()[p]
	if read == nil {
		return nil, fmt.Errorf("%w: nothing is imported of platform %q; of these: %q", attestation.ErrPlatform, p, Importable())
	}
	if err := bounded(raw); err != nil {
		return nil, err
	}
	e, err := imported(read, raw)
	if err != nil {
		return nil, fmt.Errorf("%w (%s): %w", ErrImport, p, err)
	}
	if e == nil || e.Platform != p || e.Bound() {
		return nil, fmt.Errorf("%w (%s): the importer made other evidence", ErrImport, p)
	}
	b, err := e.Encode()
	if err == nil {
		e, err = attestation.ParseImported(b)
	}
	if err != nil {
		return nil, fmt.Errorf("%w (%s): %w", ErrImport, p, err)
	}
	return e, nil
}

// Importable are the platforms whose files this build can import, in the order people read them.
func Importable() []attestation.Platform {
	known := importers()
	return slices.DeleteFunc(attestation.Platforms(), func(p attestation.Platform) bool { return known[p] == nil })
}

// imported keeps a parser's panic from being more than a refusal.
func imported(read importer, raw attestation.Raw) (e *attestation.Evidence, err error) {
	defer func() {
		if recover() != nil {
			e, err = nil, errors.New("the importer panicked on these files")
		}
	}()
	return read(raw)
}

func bounded(raw attestation.Raw) error {
	size := len(raw.Report)
	for _, files := range [][][]byte{raw.Certs, raw.Collateral, raw.EventLogs} {
		if len(files) > maxRawFiles {
			return fmt.Errorf("%w: %d files of one kind, at most %d are read", ErrImport, len(files), maxRawFiles)
		}
		for _, f := range files {
			size += len(f)
		}
	}
	if size > attestation.MaxEvidence {
		return fmt.Errorf("%w: %d bytes in all, evidence has at most %d", ErrImport, size, attestation.MaxEvidence)
	}
	return nil
}

// importSimulated takes the platform's own format as it is; it has nothing else.
func importSimulated(raw attestation.Raw) (*attestation.Evidence, error) {
	if len(raw.Report) == 0 {
		return nil, errors.New("no report: a simulated platform's is the JSON that its key signed")
	}
	if len(raw.Certs)+len(raw.Collateral)+len(raw.EventLogs) != 0 {
		return nil, errors.New("this platform has no certificates, no collateral and no event log")
	}
	return &attestation.Evidence{Version: 1, Platform: simulated.Platform, Evidence: raw.Report}, nil
}
