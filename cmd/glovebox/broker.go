// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

const (
	exchangePath = "/glovebox/v1/exchange"
	healthPath   = "/healthz"
	brokerAnswer = 30 * time.Second
	brokerStart  = 20 * time.Second
	brokerProbe  = 2 * time.Second
)

// exchange sends one message to a broker and reads its answer. A refusal is a *grant.Error.
func exchange(ctx context.Context, address string, m *grant.Message) (*grant.Reply, error) {
	body, err := envelope.Canonical(m)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, brokerAnswer)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(address, "/")+exchangePath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, Errorf(KindTryAgain, "its owner starts it with: glovebox-broker --config DIR/broker.json").because("broker %s does not answer: %w", address, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, grant.MaxMessage+1))
	if err != nil {
		return nil, Errorf(KindTryAgain, "try again").from(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, Errorf(KindTryAgain, "try again; if it stays so, ask its owner").because("broker %s answers %s", address, resp.Status)
	}
	r, err := grant.ParseReply(b)
	if err != nil {
		return nil, fmt.Errorf("broker %s: %w", address, err)
	}
	if r.Error != nil {
		return nil, refusal(r.Error)
	}
	return r, nil
}

// refusal sorts a broker's error.
func refusal(e *grant.Error) error {
	k := map[string]Kind{grant.CodeDenied: KindDenied, grant.CodeEvidence: KindDenied, grant.CodeTryAgain: KindTryAgain}[e.Code]
	if k == 0 {
		k = KindError
	}
	return &Error{Kind: k, Hint: e.Hint, Err: e}
}

// healthy reports whether a broker answers at address.
func healthy(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, brokerProbe)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(address, "/")+healthPath, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close() //nolint:errcheck // nothing was asked for
	return resp.StatusCode == http.StatusOK
}

// companion finds another of our binaries: beside this one, else in PATH.
func companion(name string) (string, error) {
	if self, err := os.Executable(); err == nil {
		p := filepath.Join(filepath.Dir(self), name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p, nil
		}
	}
	p, err := exec.LookPath(name)
	if err != nil {
		return "", Errorf(KindError, "build them all with: make build").because("%s is neither beside this program nor in PATH", name)
	}
	return filepath.Abs(p)
}

// ensureBroker answers for the owner while a command runs: with the broker that is running, or one started for it. Other
// commands of the directory may come to need that one too, so it runs until the last of them is done.
func (o *owner) ensureBroker(ctx context.Context) (stop func(), err error) {
	done, err := o.layout.Wait(ctx)
	if err != nil {
		return nil, err
	}
	c, err := o.startBroker(ctx)
	if err != nil {
		return nil, errors.Join(err, done())
	}
	return func() {
		done() //nolint:errcheck // of a lock that the end of the process gives up too
		if c == nil {
			return
		}
		if unlock, alone, err := o.layout.TryLeave(); alone && err == nil {
			c.stop() // rather than leave it to itself: who comes next finds the address free
			unlock() //nolint:errcheck // as above
		}
	}, nil
}

// startBroker starts a broker for all who wait, unless one runs.
func (o *owner) startBroker(ctx context.Context) (*child, error) {
	unlock, err := o.layout.LockStart(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock() //nolint:errcheck // the end of the process gives the lock up too
	if healthy(ctx, o.Address) {
		return nil, nil
	}
	path, err := companion("glovebox-broker")
	if err != nil {
		return nil, err
	}
	c, err := logged("glovebox-broker", filepath.Join(o.dir, "broker.log"), 0, path, "--config", o.layout.Config(), "--while-waiting")
	if err != nil {
		return nil, err
	}
	if err := c.ready(ctx, brokerStart, func(ctx context.Context) bool { return healthy(ctx, o.Address) }); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}
