// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Log says where the broker must see its grants before it commits to what they were used for. docs/spec/commit.md.
type Log struct {
	Key       string   `json:"key"`       // verifier key of the log at logURL, ORIGIN+HASH+BASE64
	Witnesses []string `json:"witnesses"` // verifier keys of type cosignature/v1
	Threshold int      `json:"threshold"` // how many of them must have signed
}

// Open is the log and the witnesses as those who verify proofs take them. Errors: [ErrConfig].
func (l *Log) Open() (*tlog.Log, *tlog.Witnesses, error) {
	log, err := tlog.NewLog(l.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: log.key: %w", ErrConfig, err)
	}
	w, err := tlog.NewWitnesses(l.Threshold, l.Witnesses...)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: log.witnesses: %w", ErrConfig, err)
	}
	return log, w, nil
}

func (c *Config) validateLog() error {
	if c.Log == nil {
		return nil
	}
	if c.LogURL == "" {
		return fmt.Errorf("%w: log without logURL: nobody could be asked for a proof", ErrConfig)
	}
	_, _, err := c.Log.Open()
	return err
}
