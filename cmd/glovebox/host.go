// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"connectrpc.com/connect"

	"github.com/glovebox-dev/glovebox/host/client"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// hostClient talks to a host, which is trusted with nothing: callers verify what it answers.
type hostClient struct {
	*client.Client
	url string
}

func dialHost(address string) (*hostClient, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, Errorf(KindUsage, "give it as --host http://127.0.0.1:7300").because("%q is not the URL of a host", address)
	}
	base := strings.TrimRight(address, "/")
	return &hostClient{client.New(base), base}, nil
}

// explain sorts a host's error into a kind, with its hint.
func (h *hostClient) explain(err error) error {
	c, ok := errors.AsType[*connect.Error](err)
	if !ok || errors.Is(err, context.Canceled) {
		return err
	}
	e := &Error{Kind: KindError, Hint: client.Hint(err), Err: fmt.Errorf("host %s: %s", h.url, c.Message())}
	switch c.Code() {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeAborted, connect.CodeResourceExhausted:
		e.Kind = KindTryAgain
		if e.Hint == "" {
			e.Hint = "is the host running? its operator starts it with: glovebox operator up"
		}
	case connect.CodePermissionDenied:
		e.Kind = KindDenied
	case connect.CodeDataLoss:
		e.Kind = KindVerify
	}
	return e
}

// publish uploads a package's blobs, those the host does not have, and then its manifest.
func (h *hostClient) publish(ctx context.Context, signed []byte, m *dataset.Manifest, s dataset.Store, p *progress) error {
	missing, err := h.Missing(ctx, m.Blobs())
	if err != nil {
		return h.explain(err)
	}
	sizes, total := map[envelope.Digest]int64{}, int64(0)
	for _, d := range missing {
		if sizes[d], err = s.Size(ctx, d); err != nil {
			return err
		}
		total += sizes[d]
	}
	var sent int64
	for _, d := range missing {
		r := &counter{r: io.NewSectionReader(blob{ctx, s, d}, 0, sizes[d]), count: func(n int) { sent += int64(n); p.step(sent, total, "bytes") }}
		if err := h.PutBlob(ctx, d, sizes[d], r); err != nil {
			return h.explain(err)
		}
	}
	p.done()
	return h.explain(h.PutManifest(ctx, signed))
}

// blob is one blob of a store as an io.ReaderAt.
type blob struct {
	ctx context.Context // of the one upload it lives for
	s   dataset.Store
	d   envelope.Digest
}

// ReadAt implements io.ReaderAt.
func (b blob) ReadAt(p []byte, off int64) (int, error) { return b.s.ReadAt(b.ctx, b.d, p, off) }

type counter struct {
	r     io.Reader
	count func(int)
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.count(n)
	return n, err
}

// minPrefix is how many hex digits of a manifest name it, if no other manifest begins with them.
const minPrefix = 8

// resolve finds a published dataset's manifest by its digest or the beginning of one. What it names is verified when it
// is fetched; the host could at most name another dataset, which the plan and the job show by its whole digest.
func (h *hostClient) resolve(ctx context.Context, what string) (envelope.Digest, error) {
	const hint = "its creator sees it with: glovebox creator ls --dir DIR; it must be published on %s"
	prefix := strings.TrimPrefix(what, "sha256:")
	if d, err := envelope.ParseDigest("sha256:" + prefix); err == nil {
		return d, nil
	}
	if len(prefix) < minPrefix || strings.Trim(prefix, "0123456789abcdef") != "" {
		return envelope.Digest{}, Errorf(KindUsage, hint, h.url).because("%q is not a manifest: want its digest, or the first %d hex digits or more", what, minPrefix)
	}
	list, err := h.Manifests(ctx, string(dataset.KindDataset))
	if err != nil {
		return envelope.Digest{}, h.explain(err)
	}
	var matches []string
	for _, m := range list {
		if strings.HasPrefix(strings.TrimPrefix(m.GetId(), "sha256:"), prefix) {
			matches = append(matches, m.GetId())
		}
	}
	switch len(matches) {
	case 0:
		return envelope.Digest{}, Errorf(KindUsage, hint, h.url).because("no published dataset begins with %s", prefix)
	case 1:
		return parseDigest(matches[0])
	}
	return envelope.Digest{}, Errorf(KindUsage, "give more of its digest").because("%d published datasets begin with %s", len(matches), prefix)
}

// manifest fetches and verifies a published manifest.
func (h *hostClient) manifest(ctx context.Context, id envelope.Digest) ([]byte, *dataset.Manifest, error) {
	signed, err := h.Manifest(ctx, id)
	if err != nil {
		return nil, nil, h.explain(err)
	}
	v, err := dataset.Verify(signed)
	if err != nil {
		return nil, nil, Errorf(KindVerify, "the host answered with something else; ask the creator for the manifest").from(err)
	}
	if v.ID != id {
		return nil, nil, Errorf(KindVerify, "the host answered with another manifest; do not use this host").because("asked for manifest %s, got %s", id, v.ID)
	}
	return signed, &v.Predicate, nil
}

// result keeps a job's age file at path, whole or not at all.
func (h *hostClient) result(ctx context.Context, id envelope.Digest, path string, size int64, p *progress) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // renamed away on success
	var got int64
	w := writerFunc(func(b []byte) (int, error) {
		n, err := f.Write(b)
		got += int64(n)
		p.step(got, size, "bytes")
		return n, err
	})
	_, n, err := h.Result(ctx, id, w, size)
	p.done()
	if err := errors.Join(h.explain(err), f.Sync(), f.Close()); err != nil {
		return err
	}
	if n != size {
		return Errorf(KindTryAgain, "fetch it again").because("the host sent %d bytes of %d", n, size)
	}
	return os.Rename(f.Name(), path)
}

type writerFunc func([]byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
