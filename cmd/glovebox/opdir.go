// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"connectrpc.com/connect"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	brokerconfig "github.com/glovebox-dev/glovebox/broker/config"
	hostv1 "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	hostconfig "github.com/glovebox-dev/glovebox/host/config"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// operator is the directory of an operator; the host keeps its state in it too.
type operator struct{ dir string }

func (o operator) at(name string) string { return filepath.Join(o.dir, name) }

// openOperator names the directory; only claim makes it.
func openOperator(dir string) (operator, error) {
	dir, err := filepath.Abs(dir)
	return operator{dir}, err
}

// claim makes the directory if it is not there and holds it against a second start. What it returns lets go of it, and
// removes it if this start made it and came to nothing.
func (o operator) claim() (release func(started bool), err error) {
	_, err = os.Stat(o.dir)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return nil, Errorf(KindUsage, "give a directory that can be written: --dir").from(err)
	}
	f, err := os.OpenFile(o.at(upLockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close() //nolint:errcheck // nothing was written
		return nil, Errorf(KindError, "stop the other one, or give another --dir").because("another operator runs in %s", o.dir)
	}
	return func(started bool) {
		if fresh && !started {
			os.RemoveAll(o.dir) //nolint:errcheck // the error that led here counts
		}
		f.Close() //nolint:errcheck // it holds a lock, not data
	}, nil
}

// freeAddress refuses an address that somebody listens on. Port 0 becomes a free one.
func freeAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", Errorf(KindUsage, "write it like --listen 127.0.0.1:7300").from(err)
	}
	l, err := net.Listen("tcp", listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return "", Errorf(KindError, "choose another --listen, or stop what uses this one").because("%s: address in use", listen)
	}
	if err != nil {
		return "", Errorf(KindUsage, "choose another --listen").from(err)
	}
	if port == "0" {
		_, port, err = net.SplitHostPort(l.Addr().String())
	}
	return net.JoinHostPort(host, port), errors.Join(err, l.Close())
}

// ours reports whether the host that answers has this directory's log, by the key in trusted_root.json. Another host at the
// same address has another.
func (o operator) ours(ctx context.Context, h *hostClient) bool {
	root, err := os.ReadFile(o.at(trustedRootFile))
	if err != nil {
		return false
	}
	l, err := usage.ParseTrustedRoot(root)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, brokerProbe)
	defer cancel()
	r, err := h.Log.Checkpoint(ctx, connect.NewRequest(&hostv1.CheckpointRequest{}))
	if err != nil {
		return false
	}
	theirs, err := tlog.NewLog(r.Msg.GetVerifier())
	return err == nil && theirs.Origin() == l.Origin() && theirs.ID() == l.ID()
}

// url is where the directory's host listens.
func (o operator) url() (string, error) {
	c, err := hostconfig.Load(o.at(hostconfig.FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", Errorf(KindUsage, "start it first: glovebox operator up --dir %s", o.dir).because("%s is not the directory of an operator", o.dir)
	}
	if err != nil {
		return "", err
	}
	return "http://" + c.Listen, nil
}

// writeMeasurement adds the log's key, which the host has made by now, and keeps the measurement for `measure`.
func (o operator) writeMeasurement(m *measurement) error {
	root, err := os.ReadFile(o.at(trustedRootFile))
	if err != nil {
		return err
	}
	m.Log = root
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("measurement: %w", err)
	}
	return brokerconfig.WriteFile(o.at(measurementFile), append(b, '\n'))
}
