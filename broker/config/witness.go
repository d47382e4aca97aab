// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Witness makes the broker's address a witness of transparency logs too, under /witness/. Its key and what it signed are
// in the folder witness.
type Witness struct {
	Logs []string `json:"logs"` // verifier keys, "<origin>+<key hash>+<base64>"
}

// Witness is the folder of the directory's witness, if it is one.
func (l Layout) Witness() string { return l.at("witness") }

// Parse reads the logs' keys. Errors: [ErrConfig].
func (w *Witness) Parse() ([]*tlog.Log, error) {
	var out []*tlog.Log
	seen := map[string]bool{}
	for _, k := range w.Logs {
		l, err := tlog.NewLog(k)
		if err != nil {
			return nil, fmt.Errorf("%w: witness: %w", ErrConfig, err)
		}
		if seen[l.Origin()] {
			return nil, fmt.Errorf("%w: witness: log %s twice", ErrConfig, l.Origin())
		}
		seen[l.Origin()] = true
		out = append(out, l)
	}
	return out, nil
}
