// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// Bounds of the HTTP server.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
	grace         = 10 * time.Second
)

// Serve answers on l and does what [Broker.Run] does until ctx ends, then finishes the requests under way.
func (b *Broker) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: b.Handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
	served, watched := make(chan error, 1), make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	running, cancel := context.WithCancel(ctx)
	go func() { watched <- b.Run(running) }()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		limit, done := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer done()
		err = srv.Shutdown(limit)
	}
	cancel()
	return errors.Join(err, <-watched)
}
