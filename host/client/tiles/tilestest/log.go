// SPDX-License-Identifier: Apache-2.0

// Package tilestest makes logs whose static files lie in a directory, and forks of them under the same key.
//
// Trust domain: tests only; no binary links it. Its one job: what an operator who lies can publish.
package tilestest

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
)

// Log is a log with its entries.
type Log struct {
	*usagetest.Log
	bodies [][]byte
	hashes []xtlog.Hash
}

// New makes a log with n entries.
func New(n int) (*Log, error) {
	l, err := usagetest.NewLog(0)
	if err != nil {
		return nil, err
	}
	out := &Log{Log: l}
	for i := range n {
		if err := out.Add(fmt.Sprintf("entry %d", i)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ReadHashes implements xtlog.HashReader.
func (l *Log) ReadHashes(index []int64) ([]xtlog.Hash, error) {
	var out []xtlog.Hash
	for _, i := range index {
		out = append(out, l.hashes[i])
	}
	return out, nil
}

// Add appends an entry.
func (l *Log) Add(body string) error {
	h, err := xtlog.StoredHashes(int64(len(l.bodies)), []byte(body), l)
	if err != nil {
		return err
	}
	l.hashes, l.bodies = append(l.hashes, h...), append(l.bodies, []byte(body))
	l.Append([]byte(body))
	return nil
}

// Fork is a log under the same key with the same entries, which then goes its own way.
func (l *Log) Fork() *Log {
	return &Log{Log: l.Log.Fork(l.Size()), bodies: append([][]byte{}, l.bodies...), hashes: append([]xtlog.Hash{}, l.hashes...)}
}

// Write publishes the log as it is now, with more signature lines under its checkpoint.
func (l *Log) Write(dir, lines string) error {
	n := int64(len(l.bodies))
	for _, t := range xtlog.NewTiles(8, 0, n) {
		b, err := xtlog.ReadTileData(t, l)
		if err != nil {
			return err
		}
		if err := write(dir, path(fmt.Sprintf("tile/%d/", t.L), t), b); err != nil {
			return err
		}
		if t.L > 0 {
			continue
		}
		b = nil
		for _, body := range l.bodies[t.N*256 : t.N*256+int64(t.W)] {
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
		}
		if err := write(dir, path("tile/entries/", t), b); err != nil {
			return err
		}
	}
	text, err := l.Checkpoint()
	if err != nil {
		return err
	}
	return write(dir, "checkpoint", []byte(text+lines))
}

// path is good for the first thousand tiles of a level.
func path(prefix string, t xtlog.Tile) string {
	if t.W == 256 {
		return fmt.Sprintf("%s%03d", prefix, t.N)
	}
	return fmt.Sprintf("%s%03d.p/%d", prefix, t.N, t.W)
}

func write(dir, name string, b []byte) error {
	p := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		return err
	}
	return os.WriteFile(p, b, 0o600)
}
