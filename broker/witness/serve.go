// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Handler serves POST /add-checkpoint, and for monitors GET /<SHA-256 of the origin>/checkpoint.
func (w *Witness) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", w.serveAdd)
	mux.HandleFunc("GET /{origin}/checkpoint", w.serveLatest)
	return mux
}

func (w *Witness) serveAdd(rw http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, tlog.MaxAddCheckpoint))
	if err != nil {
		http.Error(rw, "the request is too large, or broke off", http.StatusBadRequest)
		return
	}
	q, err := tlog.ParseAddCheckpoint(string(b))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	line, err := w.Add(r.Context(), q)
	if err == nil {
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(rw, line) //nolint:errcheck // a caller that left asks again
		return
	}
	if c, ok := errors.AsType[conflict](err); ok {
		rw.Header().Set("Content-Type", tlog.SizeType)
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintf(rw, "%d\n", c.known)
		return
	}
	for _, a := range []struct {
		err  error
		code int
	}{
		{errUnknown, http.StatusNotFound},
		{errSignature, http.StatusForbidden},
		{errSmaller, http.StatusBadRequest},
		{errProof, http.StatusUnprocessableEntity},
	} {
		if errors.Is(err, a.err) {
			http.Error(rw, a.err.Error(), a.code)
			return
		}
	}
	http.Error(rw, "witness: cannot sign now", http.StatusInternalServerError)
}

func (w *Witness) serveLatest(rw http.ResponseWriter, r *http.Request) {
	for origin := range w.logs { // never changes once open
		if envelope.Sum([]byte(origin)).Hex() != r.PathValue("origin") {
			continue
		}
		if text, ok := w.Latest(origin); ok {
			rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
			rw.Header().Set("Cache-Control", "no-cache")
			io.WriteString(rw, text) //nolint:errcheck // a caller that left
			return
		}
	}
	http.NotFound(rw, r)
}
