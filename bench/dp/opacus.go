// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

//go:embed opacus.py
var opacusProgram []byte

// errOpacus says how to have Opacus measured.
var errOpacus = errors.New("no Python here has torch and can have opacus: apt-get install python3-torch python3-scipy python3-pip, or set GLOVEBOX_PYTHON")

// opacusPackages go with any torch from 1.13 on, and are fetched into the user's cache where they are missing.
var opacusPackages = []string{"opacus==1.4.0", "opt-einsum==3.4.0"}

// opacus is a Python that has it.
type opacus struct {
	python, path, program string
	tables                [2]string // records, and dense ones
	versions              string
}

// newOpacus finds a Python with torch and sees to it that it has opacus.
func newOpacus(ctx context.Context, dir string, tables [2][][]byte) (*opacus, error) {
	o := &opacus{program: filepath.Join(dir, "measure.py")}
	if err := os.WriteFile(o.program, opacusProgram, 0o600); err != nil {
		return nil, err
	}
	for i, lines := range tables {
		o.tables[i] = filepath.Join(dir, fmt.Sprintf("records%d.csv", i))
		if err := os.WriteFile(o.tables[i], append(bytes.Join(lines, []byte("\n")), '\n'), 0o600); err != nil {
			return nil, err
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	o.path = filepath.Join(cache, "glovebox", "opacus-1.4.0")
	for _, o.python = range []string{os.Getenv("GLOVEBOX_PYTHON"), "python3", "/usr/bin/python3"} {
		if o.python == "" || exec.CommandContext(ctx, o.python, "-c", "import torch").Run() != nil {
			continue
		}
		if _, err := o.run(ctx, o.tables[0]); err == nil {
			return o, nil
		}
		args := append([]string{"-m", "pip", "install", "--quiet", "--no-deps", "--target", o.path}, opacusPackages...)
		if exec.CommandContext(ctx, o.python, args...).Run() != nil { // Debian's Python may be without pip; another's does
			_ = exec.CommandContext(ctx, "pip", args[2:]...).Run()
		}
		if _, err := o.run(ctx, o.tables[0]); err != nil {
			return nil, err
		}
		return o, nil
	}
	return nil, errOpacus
}

// run runs the program for some models.
func (o *opacus) run(ctx context.Context, table string, models ...string) (map[string]any, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, o.python, append([]string{o.program, table}, models...)...)
	cmd.Env, cmd.Stderr = append(os.Environ(), "PYTHONPATH="+o.path, "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "MKL_NUM_THREADS=1"), &stderr
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.Bytes()[max(0, stderr.Len()-300):])
	}
	said := map[string]any{}
	if err := json.Unmarshal(b, &said); err != nil {
		return nil, err
	}
	o.versions, _ = said["versions"].(string)
	return said, nil
}

// each is what one gradient takes, of a record of the numbered table.
func (o *opacus) each(ctx context.Context, model string, table int) (cost, error) {
	said, err := o.run(ctx, o.tables[table], model)
	if err != nil {
		return cost{}, err
	}
	s, _ := said[model].([]any)
	if len(s) != 2 {
		return cost{}, fmt.Errorf("opacus said %v of %s", said[model], model)
	}
	cpu, _ := s[0].(float64)
	wall, _ := s[1].(float64)
	return cost{time.Duration(cpu * float64(time.Second)), time.Duration(wall * float64(time.Second))}, nil
}
