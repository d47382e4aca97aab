// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"io"
	"net/http"
	"path"
	"strings"

	"connectrpc.com/connect"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	api "github.com/glovebox-dev/glovebox/host/api/glovebox/v1/gloveboxv1connect"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Handler serves the API (Connect, gRPC, gRPC-Web and plain JSON), the log's static resources (C2SP tlog-tiles) under
// /log/, those of packages under /data/, and /healthz.
func (h *Host) Handler() http.Handler {
	opt := connect.WithReadMaxBytes(maxRequest)
	mux := http.NewServeMux()
	mux.Handle(api.NewJobServiceHandler(jobService{h}, opt))
	mux.Handle(api.NewBlobServiceHandler(blobService{h}, opt))
	mux.Handle(api.NewLogServiceHandler(logService{h}, opt))
	mux.Handle(api.NewOperatorServiceHandler(operatorService{h}, opt))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) }) //nolint:errcheck // a caller that left
	mux.HandleFunc("GET /data/{manifest}/{path...}", h.serveTiles)
	mux.Handle("GET /log/", http.StripPrefix("/log", h.logFiles()))
	return mux
}

// Server wraps the handler with limits on headers and idle connections, and speaks HTTP/1.1 and HTTP/2 without TLS.
func (h *Host) Server() *http.Server {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: h.Handler(), Protocols: &p, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
	}
}

// logFiles serves what tlog-tiles publishes, and nothing of the log's private state.
func (h *Host) logFiles() http.Handler {
	files := http.FileServerFS(h.logRoot.FS())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Path // the file server cleans paths, so only clean ones may be judged
		if p != path.Clean(p) || (p != "/checkpoint" && !strings.HasPrefix(p, "/tile/")) {
			http.NotFound(w, r)
			return
		}
		if p == "/checkpoint" && h.seq.feeder.on() {
			h.serveCheckpoint(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		files.ServeHTTP(w, r)
	})
}

// serveCheckpoint shows the newest checkpoint that witnesses cosigned, or the latest if they are away.
func (h *Host) serveCheckpoint(w http.ResponseWriter, r *http.Request) {
	latest, size, err := h.seq.checkpoint(r.Context())
	if err != nil {
		http.NotFound(w, r)
		return
	}
	text, err := h.seq.feeder.shown(string(latest), size)
	if err != nil {
		h.slog.Warn("log", "error", err)
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	io.WriteString(w, text) //nolint:errcheck // a caller that left
}

// reply is what every unary method ends with.
func reply[T any](v *T, err error) (*connect.Response[T], error) {
	if err != nil {
		return nil, answer(err)
	}
	return connect.NewResponse(v), nil
}

type operatorService struct{ h *Host }

func (s operatorService) Status(ctx context.Context, _ *connect.Request[pb.StatusRequest]) (*connect.Response[pb.StatusResponse], error) {
	return reply(s.h.status(ctx))
}

// status is for operators. The assurance of a platform is not the host's to state.
func (h *Host) status(ctx context.Context) (*pb.StatusResponse, error) {
	jobs, err := h.countJobs(ctx)
	if err != nil {
		return nil, err
	}
	out := &pb.StatusResponse{Version: version(), Jobs: jobs, LogOrigin: h.seq.log.Origin(), Assurance: "unknown to the host"}
	for i, s := range h.slots {
		out.Enclaves = append(out.Enclaves, s.status(i))
	}
	if _, out.LogSize, err = h.seq.checkpoint(ctx); err != nil {
		return nil, err
	}
	out.LogWitnesses, out.LogCosigned = h.seq.feeder.status()
	if out.LogPending, err = h.seq.unpublished(ctx); err != nil {
		return nil, err
	}
	if err := h.db.read.QueryRowContext(ctx, `SELECT count(*) FROM manifests`).Scan(&out.Manifests); err != nil {
		return nil, err
	}
	out.DiskFree, err = free(h.cfg.Dir)
	return out, err
}

// digestOf reads a digest that a request must have.
func digestOf(s string) (envelope.Digest, error) {
	var d envelope.Digest
	return d, d.UnmarshalText([]byte(s))
}
