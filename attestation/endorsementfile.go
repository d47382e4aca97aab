// SPDX-License-Identifier: Apache-2.0

package attestation

import (
	"fmt"
	"io"
	"os"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// ReadEndorsements reads a file of endorsements, a JSON list of {"type", "body"}, for a collector to send along with its
// evidence. The host writes it and nothing in it is trusted: a verifier checks who signed what is in it. It is read anew
// each time, since vendors' statements expire while an enclave runs. Errors: [ErrMalformed], or the system's.
func ReadEndorsements(path string) ([]Endorsement, error) {
	b, err := readRegular(path, MaxEvidence)
	if err != nil {
		return nil, fmt.Errorf("endorsements: %w", err)
	}
	var list []Endorsement
	if err := envelope.DecodeStrict(b, MaxEvidence, &list); err != nil {
		return nil, fmt.Errorf("%w: %s: want a JSON list of {\"type\", \"body\"}: %w", ErrMalformed, path, err)
	}
	if len(list) == 0 || len(list) > maxEndorsement {
		return nil, fmt.Errorf("%w: %s: %d endorsements, want 1 to %d", ErrMalformed, path, len(list), maxEndorsement)
	}
	for _, x := range list {
		if x.Type == "" || len(x.Body) == 0 {
			return nil, fmt.Errorf("%w: %s: empty endorsement", ErrMalformed, path)
		}
	}
	return list, nil
}

// readRegular reads no more than limit bytes, and from nothing that could keep a reader waiting.
func readRegular(path string, limit int64) ([]byte, error) {
	i, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !i.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case i.Size() > limit:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, err
}
