// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

const maxVerbAnswer = 64 << 20

// askVerb runs one of glovebox-broker's verbs on the owner's directory and decodes its answer into v. Ledger, keyholder
// and policy engine are linked there, not here. in, if any, goes to its standard input: secrets never go into arguments.
// Words and exit code of a refusal become ours.
func (o *owner) askVerb(ctx context.Context, v any, in io.Reader, verb string, args ...string) error {
	path, err := companion("glovebox-broker")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, append([]string{verb, "--config", o.layout.Config()}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			return fmt.Errorf("glovebox-broker %s: %w", verb, err)
		}
		return verbError(exit.ExitCode(), stderr.String())
	}
	if stdout.Len() > maxVerbAnswer {
		return fmt.Errorf("glovebox-broker %s answers %d bytes", verb, stdout.Len())
	}
	if err := json.Unmarshal(stdout.Bytes(), v); err != nil {
		return fmt.Errorf("glovebox-broker %s: %w", verb, err)
	}
	return nil
}

// verbError makes an error of what a verb wrote: its error and hint lines.
func verbError(code int, words string) error {
	e := &Error{Kind: KindError}
	switch k := Kind(code); k {
	case KindUsage, KindDenied, KindVerify, KindTryAgain:
		e.Kind = k
	}
	var message []string
	for line := range strings.Lines(words) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "glovebox-broker: "))
		if hint, ok := strings.CutPrefix(line, "hint: "); ok {
			e.Hint = hint
		} else if line != "" {
			message = append(message, strings.TrimPrefix(line, "error: "))
		}
	}
	if len(message) == 0 {
		message = []string{fmt.Sprintf("glovebox-broker ended with code %d", code)}
	}
	e.Err = errors.New(strings.Join(message, "\n"))
	return e
}
