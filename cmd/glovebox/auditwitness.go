// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/host/client/tiles"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// trustedWitnesses are those that a trust file names; nil if it names none, or is a bare trusted root.
func trustedWitnesses(path string) (*tlog.Witnesses, error) {
	b, err := readBounded(path, usage.MaxTrust)
	if err != nil {
		return nil, err
	}
	if _, err := usage.ParseTrustedRoot(b); err == nil {
		return nil, nil
	}
	t, err := loadTrust(path)
	if err != nil || t.Witnesses == nil {
		return nil, err
	}
	return tlog.NewWitnesses(t.Witnesses.Threshold, t.Witnesses.Keys...)
}

// cosignedLog notes whether enough of the trusted witnesses cosigned what the log shows, and finds where they did not, or where
// what they saw is no part of it.
func cosignedLog(ctx context.Context, v *logView, l *tlog.Log, w *tlog.Witnesses, where string) error {
	if v.Witnessed = "unwitnessed"; w == nil || v.Size == 0 {
		return nil
	}
	s, err := tiles.Open(where)
	if err != nil {
		return err
	}
	text, err := s.Checkpoint(ctx)
	if err != nil {
		return explainTiles(err)
	}
	cp, sigs, err := w.Cosigned(l, text)
	if err != nil {
		v.refuse(fmt.Sprintf("%d entries are shown, and not cosigned as the trust file asks: %v", v.Size, err))
		return nil
	}
	now := tlog.Checkpoint{Origin: v.Origin, Size: v.Size, Root: v.Root}
	large, small := now, cp
	if small.Size > large.Size {
		large, small = small, large
	}
	root, _, err := s.Prefix(ctx, large, small.Size)
	switch {
	case errors.Is(err, tiles.ErrTile), errors.Is(err, tiles.ErrGone):
		v.refuse(err.Error())
		return nil
	case err != nil:
		return explainTiles(err)
	case root != small.Root:
		v.refuse(fmt.Sprintf("witnesses cosigned %d entries that are no part of the %d shown: the log forked", cp.Size, now.Size))
		return nil
	}
	v.Witnessed = fmt.Sprintf("witnessed: %d entries by %s", cp.Size, amount(int64(len(sigs)), "witnesses"))
	return nil
}

func (v *logView) refuse(finding string) {
	v.Verified, v.Findings = false, append(v.Findings, finding)
}

// logFiles is where a host serves its log's files.
func logFiles(host string) string { return strings.TrimRight(host, "/") + "/log" }
