// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/host/client"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// nothingStored asserts that a refused upload left no file.
func (w *world) nothingStored(before int) {
	w.t.Helper()
	if n := w.files(); n != before {
		w.t.Errorf("%d files in the store, %d before", n, before)
	}
}

func (w *world) files() (n int) {
	w.t.Helper()
	err := filepath.WalkDir(filepath.Join(w.cfg.Dir, blobsDir), func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func TestUploadUnderAnotherDigest(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	before := w.files()
	b := bytes.Repeat([]byte("x"), 600<<10)
	err := w.c.PutBlob(context.Background(), envelope.Sum([]byte("y")), int64(len(b)), bytes.NewReader(b))
	wantCode(t, err, connect.CodeInvalidArgument)
	if !errors.Is(err, client.ErrChanged) {
		t.Errorf("the client does not say that its own bytes are wrong: %v", err)
	}
	w.nothingStored(before)
}

func TestUploadOfAnotherLength(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	before := w.files()
	b := bytes.Repeat([]byte("x"), 600<<10)
	for _, n := range []int64{1, int64(len(b)) - 1, int64(len(b)) + 1} {
		err := w.c.PutBlob(context.Background(), envelope.Sum(b), n, bytes.NewReader(b))
		if connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("announced %d of %d bytes: %v", n, len(b), err)
		}
	}
	w.nothingStored(before)
}

func TestUploadBreaksOff(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	before := w.files()
	ctx, cancel := context.WithCancel(context.Background())
	s := w.c.Blobs.Put(ctx)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Send(&pb.PutRequest{Part: &pb.PutRequest_Header{Header: &pb.PutHeader{Digest: envelope.Sum(nil).String(), Size: 100}}}))
	must(s.Send(&pb.PutRequest{Part: &pb.PutRequest_Chunk{Chunk: []byte("half")}}))
	cancel()
	if _, err := s.CloseAndReceive(); err == nil {
		t.Fatal("half a blob was accepted")
	}
	eventually(t, "cleaned up", func() bool { return w.files() == before })
}

func TestUploadTooLarge(t *testing.T) {
	w := newWorld(t, anywhere, func(c *Config) { c.MaxBlob = 1 << 20 })
	read := &countingReader{}
	err := w.c.PutBlob(context.Background(), envelope.Sum([]byte("big")), 100<<30, read)
	wantCode(t, err, connect.CodeInvalidArgument)
	if read.n > 64<<20 {
		t.Errorf("%d bytes were sent before the refusal", read.n)
	}
	for _, n := range []int64{0, -1} {
		if err := w.c.PutBlob(context.Background(), envelope.Sum([]byte("x")), n, strings.NewReader("")); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("blob of %d bytes: %v", n, err)
		}
	}
}

// countingReader is as sparse as a file of 100 GB.
type countingReader struct{ n int64 }

func (c *countingReader) Read(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func TestUploadToAFullDisk(t *testing.T) {
	w := newWorld(t, anywhere, func(c *Config) { c.MaxBlob = 1 << 60 })
	read := &countingReader{}
	err := w.c.PutBlob(context.Background(), envelope.Sum([]byte("big")), 1<<59, read)
	wantCode(t, err, connect.CodeResourceExhausted)
	if !errors.Is(diskError(os.NewSyscallError("write", errNoSpace)), ErrFull) || connect.CodeOf(answer(dataset.ErrFull)) != connect.CodeResourceExhausted {
		t.Error("a full disk is not named")
	}
}

func TestUploadTwice(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	before := w.files()
	w.publish(w.data)
	w.nothingStored(before)
}

func TestUploadOutOfOrder(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	for name, first := range map[string]*pb.PutRequest{
		"no header": {Part: &pb.PutRequest_Chunk{Chunk: []byte("x")}},
		"empty":     {},
		"no digest": {Part: &pb.PutRequest_Header{Header: &pb.PutHeader{Size: 1}}},
	} {
		s := w.c.Blobs.Put(context.Background())
		if err := s.Send(first); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if _, err := s.CloseAndReceive(); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.c.Blobs.Put(context.Background()).CloseAndReceive(); err == nil {
		t.Error("an upload without any message was accepted")
	}
}

func TestManifestNeedsItsBlobs(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	p := w.pack(dataset.KindDataset, "more", anywhere)
	err := w.c.PutManifest(context.Background(), p.Signed)
	wantCode(t, err, connect.CodeFailedPrecondition)
	missing, err := w.c.Missing(context.Background(), p.Manifest.Blobs())
	if err != nil || len(missing) != len(p.Manifest.Blobs()) {
		t.Fatalf("missing %v, %v", missing, err)
	}
	w.publish(p)
	if missing, err := w.c.Missing(context.Background(), p.Manifest.Blobs()); err != nil || len(missing) != 0 {
		t.Fatalf("missing %v, %v", missing, err)
	}
	b, err := w.c.Manifest(context.Background(), p.ID)
	if err != nil || !bytes.Equal(b, p.Signed) {
		t.Fatalf("manifest: %v", err)
	}
	list, err := w.c.Manifests(context.Background(), "dataset")
	if err != nil || len(list) != 2 || list[1].Id != p.ID.String() || list[1].Name != "more" {
		t.Fatalf("%v, %v", list, err)
	}
}

func TestManifestRefused(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	ctx := context.Background()
	for name, b := range map[string][]byte{
		"empty":   nil,
		"flipped": bytes.Replace(w.data.Signed, []byte(`"sig":"`), []byte(`"sig":"A`), 1),
		"a job":   func() []byte { b, _ := w.job(nil); return b }(),
	} {
		if err := w.c.PutManifest(ctx, b); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := w.c.Manifest(ctx, envelope.Sum([]byte("unknown")))
	wantCode(t, err, connect.CodeNotFound)
}

func TestHasIsBounded(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	q := &pb.HasRequest{Digests: make([]string, maxHas+1)}
	if _, err := w.c.Blobs.Has(context.Background(), connect.NewRequest(q)); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Error(err)
	}
	q.Digests = []string{"sha256:../../etc/passwd"}
	if _, err := w.c.Blobs.Has(context.Background(), connect.NewRequest(q)); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Error(err)
	}
}
