// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Kind sorts failures by what the caller should do; its value is the exit code.
type Kind int

// The kinds.
const (
	KindError    Kind = 1 // something went wrong
	KindUsage    Kind = 2 // the command line makes no sense
	KindDenied   Kind = 3 // an owner's policy says no
	KindVerify   Kind = 4 // a signature, proof or digest does not hold
	KindTryAgain Kind = 5 // something is away or busy
)

// Error is a failure with its kind and the next step for a person.
type Error struct {
	Kind Kind
	Hint string
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Errorf starts an error with its hint; finish it with because or from.
func Errorf(k Kind, hint string, args ...any) *Error {
	return &Error{Kind: k, Hint: fmt.Sprintf(hint, args...)}
}

func (e *Error) because(format string, args ...any) error {
	e.Err = fmt.Errorf(format, args...)
	return e
}

func (e *Error) from(err error) error {
	e.Err = err
	return e
}

func usageError(err error) error {
	return Errorf(KindUsage, "run the command with --help to see its flags").from(err)
}

// ExitCode is the process's exit code for err: 0 for nil, else the kind's number.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	return int(classify(err).Kind)
}

// errInterrupted is how people call a context that a signal ended.
type errInterrupted struct{ err error }

func (errInterrupted) Error() string { return "interrupted" }

func (e errInterrupted) Unwrap() error { return e.err }

// classify finds the kind and hint of any error: the outermost [Error] decides, then the sentinels of the packages.
func classify(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return &Error{e.Kind, e.Hint, err}
	}
	if errors.Is(err, context.Canceled) {
		return &Error{Kind: KindTryAgain, Err: errInterrupted{err}}
	}
	for _, s := range sentinels() {
		if errors.Is(err, s.target) {
			return &Error{Kind: s.kind, Hint: s.hint, Err: err}
		}
	}
	return &Error{Kind: KindError, Err: err}
}

// printError writes the error and hint lines.
func printError(w io.Writer, err error) {
	e := classify(err)
	fmt.Fprintf(w, "glovebox: error: %s\n", indent(e.Error()))
	if e.Hint != "" {
		fmt.Fprintf(w, "glovebox: hint: %s\n", indent(e.Hint))
	}
}

// indent keeps the further lines of a message under its first. Errors of the file system have names in them as they are.
func indent(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, l := range lines {
		lines[i] = strings.Map(func(r rune) rune {
			if r == '\t' {
				return r
			}
			return harmless(r)
		}, l)
	}
	return strings.Join(lines, "\n  ")
}
