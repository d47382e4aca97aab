// SPDX-License-Identifier: Apache-2.0

// Command glovebox-host is the operator's daemon: queue, blobs, enclaves, relay and log. It is trusted with nothing but
// availability.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"github.com/glovebox-dev/glovebox/host"
	"github.com/glovebox-dev/glovebox/host/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/s3store"
)

// shutdownGrace is how long requests may take to end when the host stops.
const shutdownGrace = 5 * time.Second

func main() {
	file := flag.String("config", "", "configuration `FILE` (host.json); its directory is the state directory")
	flag.Parse()
	if *file == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "glovebox-host: error: want --config FILE and nothing else")
		fmt.Fprintln(os.Stderr, "glovebox-host: hint: give --config DIR/host.json, with the directory made by: glovebox operator up --dir DIR")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *file); err != nil {
		fmt.Fprintf(os.Stderr, "glovebox-host: error: %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
		if h := hint(err); h != "" {
			fmt.Fprintln(os.Stderr, "glovebox-host: hint:", h)
		}
		os.Exit(1)
	}
}

// hint is the next step for the operator, "" if there is none to name.
func hint(err error) string {
	for _, h := range []struct {
		target error
		text   string
	}{
		{host.ErrLocked, "stop the other one, or give the configuration of another directory"},
		{config.ErrConfig, "correct the file; glovebox operator up writes one that works"},
		{s3store.ErrConfig, "correct store in the configuration"},
		{s3store.ErrCredentials, "give the bucket's credentials to this process: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a credentials file"},
		{s3store.ErrBucket, "make the bucket, or correct store in the configuration"},
		{s3store.ErrUnavailable, "see that the server runs and can be reached, then start again"},
		{syscall.EADDRINUSE, "change listen in the configuration, or stop what uses the address"},
		{fs.ErrNotExist, "make it with: glovebox operator up --dir DIR, and give --config DIR/host.json"},
		{fs.ErrPermission, "run as the user who owns the directory"},
	} {
		if errors.Is(err, h.target) {
			return h.text
		}
	}
	return ""
}

func run(ctx context.Context, file string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))) // Tessera's
	c, err := config.Load(file)
	if err != nil {
		return err
	}
	binary, err := c.EnclaveBinary()
	if err != nil {
		return err
	}
	proxy, err := c.Proxy()
	if err != nil {
		return err
	}
	blobs, err := openStore(ctx, c)
	if err != nil {
		return err
	}
	var witnesses []host.Witness
	for _, w := range c.Witnesses {
		witnesses = append(witnesses, host.Witness{URL: w.URL, Key: w.Key})
	}
	l := c.Limits
	h, err := host.New(ctx, host.Config{
		Dir: c.Dir(), Origin: c.Origin, Enclaves: c.Enclave.Count,
		Launcher: &host.Local{Binary: binary, Args: []string{"--config", c.EnclaveConfig()}, LogDir: c.Dir()},
		Blobs:    blobs,
		MaxBlob:  l.MaxBlobBytes, MaxQueued: l.MaxQueued, MaxDeaths: l.MaxDeaths, MaxWaits: l.MaxWaits,
		RetryMin: config.Millis(l.RetryMinMillis), RetryMax: config.Millis(l.RetryMaxMillis),
		RelayTimeout: config.Millis(l.RelayTimeoutMillis), RelayProxy: proxy, Checkpoint: config.Millis(l.CheckpointMillis), BundleWait: config.Millis(l.BundleWaitMillis), Slog: log,
		Witnesses: witnesses, WitnessThreshold: c.WitnessThreshold,
	})
	if err != nil {
		return err
	}
	return errors.Join(serve(ctx, h, c.Listen), h.Close())
}

// openStore is the bucket of the configuration, or nil for the host's own folder. Large uploads wait in its state directory.
func openStore(ctx context.Context, c *config.Config) (dataset.Store, error) {
	if c.Store == "" {
		return nil, nil
	}
	s, err := s3store.Parse(c.Store, os.Getenv)
	if err != nil {
		return nil, err
	}
	s.Spool = c.Dir()
	return s3store.Open(ctx, s)
}

// serve answers requests and runs the host until ctx ends or listening fails.
func serve(ctx context.Context, h *host.Host, listen string) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	srv := h.Server()
	served := make(chan error, 1)
	go func() {
		served <- srv.Serve(ln)
		cancel()
	}()
	fmt.Fprintf(os.Stderr, "listening on http://%s\n", ln.Addr())
	h.Run(ctx)
	h.Drain()
	stop, done := context.WithTimeout(context.Background(), shutdownGrace)
	defer done()
	if srv.Shutdown(stop) != nil {
		srv.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
