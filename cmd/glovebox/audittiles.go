// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/host/client/tiles"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func newTiles() *cobra.Command {
	var dir, out string
	cmd := &cobra.Command{
		Use: "tiles PACKAGE", Short: "Write a package's tree as static files, for any web server", Args: exactArgs(1, "one package, by digest, or by name for its newest version"),
		Long: `Tiles writes the hashes of a package's tree as files in the layout of C2SP tlog-tiles, and the signed manifest beside them.
Whoever has them verifies any range of the ciphertext without a host: glovebox auditor data --tiles. Nothing secret is in them.
Hosts serve the same under /data/MANIFEST/, the digest in hex.`,
		Example: "  glovebox creator tiles visits --dir alice --out public/visits",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := openOwner(dir, config.Creator)
			if err != nil {
				return err
			}
			p, err := o.find(args[0])
			if err != nil {
				return err
			}
			if out == "" {
				return Errorf(KindUsage, "for example: --out public/%s", p.Manifest.Name).because("say where the files go with --out")
			}
			s, err := o.blobs(cmd.Context())
			if err != nil {
				return err
			}
			n, err := p.Manifest.Tree.WriteTiles(cmd.Context(), s, func(path string, b []byte) error { return writePublicFile(out, path, b) })
			if err == nil {
				err = writePublicFile(out, dataset.TreeHead, p.Signed)
			}
			if err != nil {
				return o.missing(*p, err)
			}
			say(cmd, "%s: %s of %s under root %s", out, amount(n, "tiles"), amount(p.Manifest.Tree.Size, "leaves"), p.Manifest.Tree.Root)
			return nil
		},
	}
	dirFlag(cmd, &dir, config.Creator)
	cmd.Flags().StringVar(&out, "out", "", "directory of the files (required)")
	return cmd
}

func writePublicFile(dir, path string, b []byte) error {
	dst := filepath.Join(dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	return os.WriteFile(dst, b, 0o644) //nolint:gosec // public, for a web server to read
}

// staticFlags are those of `auditor data` for what static files prove.
type staticFlags struct{ tiles, leaves, blob, previous string }

func (f *staticFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.tiles, "tiles", "", "static files of the tree, by URL or directory (default: those that the host serves)")
	cmd.Flags().StringVar(&f.leaves, "leaves", "", "verify leaves A-B only, counted from 0")
	cmd.Flags().StringVar(&f.blob, "blob", "", "file with the ciphertext of --leaves and nothing else; - is standard input")
	cmd.Flags().StringVar(&f.previous, "previous", "", "check that the package continues this version: its manifest's file, a digest, or static files")
}

func (f *staticFlags) used() bool {
	return f.tiles != "" || f.leaves != "" || f.blob != "" || f.previous != ""
}

// run verifies a package by static files: its history, or leaves of it.
func (f *staticFlags) run(cmd *cobra.Command, id envelope.Digest, host, blobs string) (*dataView, error) {
	ctx := cmd.Context()
	switch {
	case f.leaves == "" && f.previous == "":
		return nil, Errorf(KindUsage, "name them with --leaves 0-9; to verify all of the ciphertext give --blobs alone, without --tiles and --blob").
			because("static files prove single leaves, or with --previous the history; it is not said which leaves")
	case f.leaves != "" && f.previous != "":
		return nil, Errorf(KindUsage, "run it once with --leaves, and once with --previous").because("leaves and the history are verified one at a time")
	}
	where := f.tiles
	if where == "" {
		where = treeURL(host, id)
	}
	next, hashes, err := openTree(ctx, where)
	if err != nil {
		return nil, err
	}
	if next.ID != id {
		return nil, Errorf(KindVerify, "these are files of another package").because("asked for manifest %s, got %s", id, next.ID)
	}
	m := &next.Predicate
	v := &dataView{Manifest: id, Name: m.Name, Leaves: m.Tree.Size, Root: m.Tree.Root}
	if f.previous != "" {
		return v, f.history(ctx, v, next, hashes, host)
	}
	return v, f.part(cmd, v, m, hashes, blobs)
}

func treeURL(host string, id envelope.Digest) string {
	return strings.TrimRight(host, "/") + "/data/" + id.Hex()
}

// openTree reads and verifies the manifest at a place with static files.
func openTree(ctx context.Context, where string) (*envelope.Verified[dataset.Manifest], dataset.BlobReader, error) {
	s, err := tiles.Open(where)
	if err != nil {
		return nil, nil, Errorf(KindUsage, "give the URL or directory that creator tiles wrote").from(err)
	}
	signed, err := s.File(ctx, dataset.TreeHead, envelope.MaxEnvelope)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, Errorf(KindUsage, "check the digest and the place; the owner makes the files with: glovebox creator tiles").from(err)
	}
	if err != nil {
		return nil, nil, explainTiles(err)
	}
	v, err := dataset.Verify(signed)
	if err != nil {
		return nil, nil, err
	}
	return v, dataset.StaticTiles(&v.Predicate.Tree, s.File), nil
}

func (f *staticFlags) history(ctx context.Context, v *dataView, next *envelope.Verified[dataset.Manifest], hashes dataset.BlobReader, host string) error {
	where := f.previous
	id, err := parseDigest(where)
	named := err == nil
	if named {
		where = treeURL(host, id)
	}
	var old *envelope.Verified[dataset.Manifest]
	if !named {
		if old, err = manifestFile(ctx, where); err != nil {
			return err
		}
	}
	if old == nil {
		if old, _, err = openTree(ctx, where); err != nil {
			return err
		}
	}
	if named && old.ID != id {
		return Errorf(KindVerify, "do not use this host").because("asked for manifest %s, got %s", id, old.ID)
	}
	switch was, is := &old.Predicate, &next.Predicate; {
	case was.Dataset != is.Dataset || !was.Owner.Equal(is.Owner):
		return Errorf(KindUsage, "name an earlier version of the same dataset").because("%s is of another dataset than %s", short(old.ID.String()), short(next.ID.String()))
	case was.Version > is.Version:
		return Errorf(KindUsage, "name the later version first, and the earlier with --previous").because("version %d is not earlier than version %d", was.Version, is.Version)
	}
	v.Previous = &old.ID
	return explainTiles(dataset.VerifyHistory(ctx, old, next, hashes))
}

// part verifies leaves; without any ciphertext it says where that is.
func (f *staticFlags) part(cmd *cobra.Command, v *dataView, m *dataset.Manifest, hashes dataset.BlobReader, blobs string) error {
	first, count, err := parseLeaves(f.leaves)
	if err != nil {
		return err
	}
	if v.Ranges, err = m.Locate(first, count); err != nil {
		return Errorf(KindUsage, "leaves are counted from 0").from(err)
	}
	ctx := cmd.Context()
	var in io.Reader
	switch {
	case (f.blob == "") == (blobs == ""):
		v.printRanges(cmd.ErrOrStderr())
		return Errorf(KindUsage, "give these bytes, in this order, as one file with --blob, or a directory of blobs with --blobs").because("no ciphertext to verify, or two")
	case f.blob == "-":
		in = os.Stdin
	case f.blob != "":
		file, err := os.Open(f.blob)
		if err != nil {
			return Errorf(KindUsage, "check the path").from(err)
		}
		defer file.Close()
		in = file
	default:
		s, err := openCopy(ctx, blobs)
		if err != nil {
			return err
		}
		var parts []io.Reader
		for _, r := range v.Ranges {
			if _, err := s.Size(ctx, r.Blob); err != nil {
				return missingFrom(blobs, err)
			}
			parts = append(parts, io.NewSectionReader(blob{ctx, s, r.Blob}, r.Offset, r.Bytes))
		}
		in = io.MultiReader(parts...)
	}
	return explainTiles(dataset.VerifyLeaves(ctx, m, hashes, first, count, in))
}

func parseLeaves(s string) (first, count int64, err error) {
	a, b, both := strings.Cut(s, "-")
	if !both {
		b = a
	}
	first, err1 := strconv.ParseInt(a, 10, 64)
	last, err2 := strconv.ParseInt(b, 10, 64)
	if err1 != nil || err2 != nil || first < 0 || last < first || last > dataset.MaxAmount {
		return 0, 0, Errorf(KindUsage, "for example: --leaves 0-9").because("%q is not a range of leaves", s)
	}
	return first, last - first + 1, nil
}

func (v *dataView) printRanges(w io.Writer) {
	for _, r := range v.Ranges {
		fmt.Fprintf(w, "leaves %d-%d: blob %s, bytes %d-%d\n", r.First, r.First+r.Count-1, r.Blob, r.Offset, r.Offset+r.Bytes-1)
	}
}
