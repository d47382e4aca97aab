// SPDX-License-Identifier: Apache-2.0

// Package source names what can be wrong with a dataset that comes in somebody else's format.
//
// Trust domain: the creator's side, before anything is sealed. Its one job: the packages below it (parquet, webdataset,
// images) turn outside formats into what [dataset.Pack] takes, and say with these errors why they do not. Neither the
// enclave nor broker or host link any of them: what an enclave reads stays CSV, JSON Lines or tar.
//
// A source is deterministic: the same input gives the same text, byte for byte, so that what reads it may skip what it had
// before. None holds more than a bounded part of its input in memory, and none panics on what it reads.
package source

import "errors"

// Errors of the sources. Messages name files, columns and places, never contents.
var (
	// ErrCorrupt is input that is not what its format says, or contradicts itself.
	ErrCorrupt = errors.New("source: damaged")
	// ErrType is input of a kind that has no exact text, or that this release does not know.
	ErrType = errors.New("source: type that cannot be packed")
	// ErrValue is one value that has no exact text.
	ErrValue = errors.New("source: value that cannot be packed")
	// ErrEncrypted is input whose own encryption hides it.
	ErrEncrypted = errors.New("source: encrypted")
	// ErrLimit is input that is larger than it may be, or expands to more than an honest one would: a bomb.
	ErrLimit = errors.New("source: over a limit")
	// ErrName is the name of a file inside the input that could lead elsewhere, or means two things.
	ErrName = errors.New("source: name that cannot be packed")
	// ErrMixed is a folder whose files do not belong together.
	ErrMixed = errors.New("source: files that do not belong together")
)
