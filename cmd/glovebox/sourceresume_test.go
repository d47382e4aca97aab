// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

var errStoreAway = errors.New("store is away")

// awayStore fails from the n-th blob on, in the middle of it. Blobs are stored two at a time.
type awayStore struct {
	*dataset.DirStore
	left atomic.Int64
}

func (s *awayStore) Put(ctx context.Context, r io.Reader) (envelope.Digest, int64, error) {
	if s.left.Add(-1) < 0 {
		if _, err := io.CopyN(io.Discard, r, 1000); err != nil && !errors.Is(err, io.EOF) {
			return envelope.Digest{}, 0, err
		}
		return envelope.Digest{}, 0, errStoreAway
	}
	return s.DirStore.Put(ctx, r)
}

// TestResumeConvertedSources: Parquet and shards that stop in any segment, and go on, become what they become in one go.
func TestResumeConvertedSources(t *testing.T) {
	dir := t.TempDir()
	for name, b := range map[string][]byte{"p/a.parquet": manyRows(t, 0), "p/b.parquet": manyRows(t, 6000), "s/a.tar": manySamples(t, 0), "s/b.tar": manySamples(t, 300)} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, path string
		format     dataset.Format
	}{{"Parquet as JSON Lines", "p", dataset.FormatJSONL}, {"Parquet as CSV", "p", dataset.FormatCSV}, {"WebDataset", "s", dataset.FormatSamples}} {
		t.Run(c.name, func(t *testing.T) {
			r := newResumer(t, filepath.Join(dir, c.path), c.format)
			want, _, err := r.run(0)
			if err != nil {
				t.Fatal(err)
			}
			interrupted := 0
			for n := 4; ; n++ { // the last step, which cannot be cut, stores several
				got, stops, err := r.run(n)
				if err != nil {
					t.Fatalf("%d blobs a time: %v", n, err)
				}
				if got != want {
					t.Fatalf("%d blobs a time, %d stops: another result\n%s\n%s", n, stops, want, got)
				}
				if interrupted += stops; stops == 0 {
					break
				}
			}
			if interrupted < 3 {
				t.Errorf("only %d packs stopped", interrupted)
			}
		})
	}
}

// resumer packs one source again and again, with one key and one journal's head.
type resumer struct {
	t      *testing.T
	path   string
	format dataset.Format
	head   []byte
	key    dataset.Key
	owner  *envelope.Signer
	broker *envelope.Signer
}

func newResumer(t *testing.T, path string, format dataset.Format) *resumer {
	t.Helper()
	r := &resumer{t: t, path: path, format: format, key: dataset.NewKey()}
	var errs [4]error
	r.owner, errs[0] = envelope.GenerateSigner(envelope.RoleOwner)
	r.broker, errs[1] = envelope.GenerateSigner(envelope.RoleBroker)
	journal := filepath.Join(t.TempDir(), "journal")
	j, err := dataset.BeginJournal(journal, dataset.ID{1, 2, 3}, time.Unix(1_790_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	errs[2] = j.Close()
	r.head, errs[3] = os.ReadFile(journal)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return r
}

// run packs, stopping after n more blobs each time (0: never), and returns the manifest and the digests of all blobs.
func (r *resumer) run(n int) (result string, stops int, err error) {
	journal, blobs := filepath.Join(r.t.TempDir(), "journal"), r.t.TempDir()
	store, err := dataset.NewDirStore(blobs)
	if err := errors.Join(err, os.WriteFile(journal, r.head, 0o600)); err != nil {
		return "", 0, err
	}
	for {
		away := &awayStore{DirStore: store}
		away.left.Store(1 << 20)
		if n > 0 {
			away.left.Store(int64(n))
		}
		p, err := r.pack(journal, away)
		switch {
		case errors.Is(err, errStoreAway) && stops < 100:
			stops++
			continue
		case err != nil:
			return "", stops, err
		}
		text, err := envelope.Canonical(p.Manifest)
		if err != nil {
			return "", stops, err
		}
		files := &strings.Builder{}
		err = filepath.WalkDir(blobs, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				b, rerr := os.ReadFile(path)
				fmt.Fprintf(files, "%s %s\n", strings.TrimPrefix(path, blobs), envelope.Sum(b))
				return rerr
			}
			return err
		})
		return string(text) + "\n" + files.String(), stops, errors.Join(err, dataset.VerifyBlobs(r.t.Context(), p.Manifest, store))
	}
}

func (r *resumer) pack(journal string, store dataset.Store) (*dataset.Packed, error) {
	j, err := dataset.OpenJournal(journal)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	c := dataset.PackConfig{
		Store: store, Signer: r.owner, Key: r.key, Journal: j, SegmentBytes: 24 << 10, BatchBytes: 4 << 10, PublishColumns: r.format != dataset.FormatSamples,
		Manifest: dataset.Manifest{
			Kind: dataset.KindDataset, Name: "source", Broker: dataset.Broker{Address: "http://127.0.0.1:7700", Key: r.broker.Public()}, Test: true, Format: r.format,
			Terms: dataset.Terms{
				Modes: []string{dataset.ModeRaw}, Purposes: []string{"research"}, Outputs: []string{"metrics"}, MaxOutputBytes: 1 << 20, MaxEpochs: 1, MaxUses: 1,
				Logs: dataset.LogsOff, Allowance: 16, LeaseSeconds: 600, BrokerAway: dataset.AwayWait, Price: dataset.Price{Currency: "EUR"},
				NotAfter: 4_000_000_000, MinAssurance: "simulated",
			}.ForAnyone(),
		},
	}
	in, err := openInto(&c, r.path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return dataset.Pack(r.t.Context(), c)
}

// manyRows is a Parquet file of 6,000 numbers from first on and their squares.
func manyRows(t *testing.T, first int64) []byte {
	t.Helper()
	fields := schema.FieldList{schema.NewInt64Node("n", parquet.Repetitions.Required, -1), schema.NewInt64Node("square", parquet.Repetitions.Required, -1)}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := file.NewParquetWriter(&b, root)
	g, err := w.AppendRowGroupChecked()
	if err != nil {
		t.Fatal(err)
	}
	for k := range 2 {
		list := make([]int64, 6000)
		for i := range list {
			if list[i] = first + int64(i); k == 1 {
				list[i] *= list[i] * 1_000_003
			}
		}
		c, err := g.NextColumn()
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.(*file.Int64ColumnChunkWriter).WriteBatch(list, nil, nil)
		if err := errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(g.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// manySamples is a shard of 60 samples of a kilobyte.
func manySamples(t *testing.T, first int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range 60 {
		for _, ext := range []string{"cls", "txt"} {
			text := strings.Repeat(fmt.Sprintf("%d %s\n", first+i, ext), 100)
			err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%06d.%s", first+i, ext), Size: int64(len(text)), Mode: 0o600})
			if _, werr := io.WriteString(w, text); errors.Join(err, werr) != nil {
				t.Fatal(err, werr)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
