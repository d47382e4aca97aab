// SPDX-License-Identifier: Apache-2.0

package tx

import (
	"encoding/json"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
)

// Config is what tx_init is given, as canonical JSON.
type Config struct {
	Columns []string        `json:"columns"` // of CSV, in order; else empty
	Config  json.RawMessage `json:"config"`  // the step's
	Format  dataset.Format  `json:"format"`
	Shape   string          `json:"shape"`
}

// NewConfig is the configuration of a step's module for records of a schema.
func NewConfig(s *dataset.Step, in transforms.Schema) ([]byte, error) {
	c := Config{Columns: in.Columns, Config: s.Config, Format: in.Format, Shape: s.Shape}
	if c.Columns == nil {
		c.Columns = []string{}
	}
	b, err := envelope.Canonical(c)
	if err == nil && len(b) > MaxConfig {
		err = fmt.Errorf("%d bytes, at most %d", len(b), MaxConfig)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: configuration of a module: %w", transforms.ErrConfig, err)
	}
	return b, nil
}

// Pinned refuses a module that is not the one a step names.
func Pinned(s *dataset.Step, module []byte) error {
	if s.Name != dataset.StepModule || envelope.Sum(module) != s.Digest {
		return fmt.Errorf("%w: a module with another digest", transforms.ErrUnknown)
	}
	return nil
}
