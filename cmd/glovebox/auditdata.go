// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/host/client/tiles"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/s3store"
)

// dataView is what `auditor data` found.
type dataView struct {
	Manifest envelope.Digest `json:"manifest"`
	Name     string          `json:"name"`
	Leaves   int64           `json:"leaves"`
	Root     envelope.Digest `json:"root"`
	Verified bool            `json:"verified"`
	Finding  string          `json:"finding"` // "" if verified

	Previous *envelope.Digest    `json:"previous"` // version that it continues; null: not asked
	Ranges   []dataset.BlobRange `json:"ranges"`   // of the leaves that were verified; null: all of them
}

func newData() *cobra.Command {
	var host, blobs string
	var static staticFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "data MANIFEST", Short: "Verify a package's ciphertext without a key", Args: exactArgs(1, "one manifest: its file or its digest"),
		Long: `Data reads every leaf of a package in a directory of blobs and recomputes the tree that the owner signed. It needs no key
and learns nothing of the content. MANIFEST is the file of a signed manifest (creator export --format manifest writes it), or a
digest: then the manifest comes from --host or with --tiles.

With --leaves it verifies a part of the ciphertext, and with --previous that the package continues an earlier version of its
dataset: nothing taken back, nothing changed. Both need only the tree's static files, from a host, a web server or a directory
(--tiles); with files and directories no network is used.`,
		Example: `  glovebox auditor data manifest.dsse --blobs op/blobs
  glovebox auditor data DIGEST --blobs op/blobs --host http://127.0.0.1:7300
  glovebox auditor data manifest.dsse --tiles public/visits --leaves 0-9 --blob part.bin
  glovebox auditor data DIGEST --previous OLDER --host http://127.0.0.1:7300`,
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := askedManifest(cmd.Context(), args[0], host)
			if err != nil {
				return err
			}
			verify := func() (*dataView, error) { return wholeData(cmd.Context(), asked, host, blobs) }
			if static.used() {
				verify = func() (*dataView, error) { return static.run(cmd, asked.id, host, blobs) }
			}
			v, refused := verify()
			if refused != nil && (v == nil || ExitCode(refused) != int(KindVerify)) {
				return refused
			}
			if v.Verified = refused == nil; refused != nil {
				v.Finding = refused.Error()
			}
			if err := show(cmd, asJSON, v, func(w io.Writer) { v.print(w) }); err != nil || refused == nil {
				return err
			}
			return Errorf(KindVerify, "%s", dataHint(refused, &static, blobs)).from(refused)
		},
	}
	cmd.Flags().StringVar(&host, "host", defaultHost, "host that has the manifest, by URL")
	cmd.Flags().StringVar(&blobs, "blobs", "", "directory of blobs, such as the operator's, or s3://bucket/prefix (required, but for --previous and --blob)")
	static.register(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// dataHint says what can be done about what was refused: that depends on what is damaged, and where it is.
func dataHint(refused error, static *staticFlags, blobs string) string {
	own, explained := errors.AsType[*Error](refused)
	switch {
	case errors.Is(refused, dataset.ErrHistory):
		return "keep both manifests: they prove that the owner signed two histories"
	case static.used() && (errors.Is(refused, dataset.ErrProof) || errors.Is(refused, tiles.ErrTile)):
		return "the tree's static files are damaged, or of another tree: take them from another place with --tiles, such as a host; the owner writes them anew with: glovebox creator tiles"
	case explained:
		return own.Hint
	case static.blob != "":
		return "these are not the bytes of these leaves: get them again; without --blob this command says which bytes they are"
	case s3store.IsURL(blobs):
		return "the copy is damaged: a blob's name is its SHA-256, and one in the bucket has other bytes; put it back under that name from a backup or another copy (docs/storage.md), since creator publish replaces no blob that is there"
	}
	return fmt.Sprintf("the copy is damaged: a blob's name is its SHA-256, and one in %s has other bytes; remove it, then the owner uploads it again with creator publish, or you put it back from a backup or another copy", blobs)
}

// manifestAt is a package that a command line names.
type manifestAt struct {
	id envelope.Digest
	m  *dataset.Manifest // nil: only its digest is known
}

// askedManifest takes a manifest's file, its digest, or the beginning of one that the host has.
func askedManifest(ctx context.Context, what, host string) (manifestAt, error) {
	if id, err := parseDigest(what); err == nil {
		return manifestAt{id: id}, nil
	}
	if v, err := manifestFile(ctx, what); v != nil || err != nil {
		if err != nil {
			return manifestAt{}, err
		}
		return manifestAt{v.ID, &v.Predicate}, nil
	}
	h, err := dialHost(host)
	if err != nil {
		return manifestAt{}, err
	}
	defer h.Close()
	id, err := h.resolve(ctx, what)
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == KindUsage {
		return manifestAt{}, Errorf(KindUsage, "give the file of a manifest, or the digest of one that is published on %s", host).from(e.Err)
	}
	return manifestAt{id: id}, err
}

// manifestFile verifies the manifest in a file; nil if there is no such file.
func manifestFile(ctx context.Context, path string) (*envelope.Verified[dataset.Manifest], error) {
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return nil, nil
	}
	b, err := readInput(ctx, path, envelope.MaxEnvelope)
	if err != nil {
		return nil, Errorf(KindUsage, "give a manifest of at most %s", byteSize(envelope.MaxEnvelope)).from(err)
	}
	v, err := dataset.Verify(b)
	if err != nil {
		return nil, Errorf(KindVerify, "nothing it says can be relied on; get it from its owner again").from(fmt.Errorf("%s does not verify: %w", path, err))
	}
	return v, nil
}

// wholeData verifies all of a package's ciphertext. What it gives beside an error is what was refused.
func wholeData(ctx context.Context, asked manifestAt, host, blobs string) (*dataView, error) {
	if blobs == "" {
		return nil, Errorf(KindUsage, "--blobs op/blobs verifies all of it, --leaves 0-9 with --blob FILE a part, --previous OLDER its history").
			because("nothing to verify: say where the ciphertext is, or ask for the history")
	}
	if asked.m == nil {
		h, err := dialHost(host)
		if err != nil {
			return nil, err
		}
		defer h.Close()
		if _, asked.m, err = h.manifest(ctx, asked.id); err != nil {
			return nil, err
		}
	}
	s, err := openCopy(ctx, blobs)
	if err != nil {
		return nil, err
	}
	m := asked.m
	return &dataView{Manifest: asked.id, Name: m.Name, Leaves: m.Tree.Size, Root: m.Tree.Root}, missingFrom(blobs, dataset.VerifyBlobs(ctx, m, s))
}

// openCopy opens blobs that ought to be there already: a folder that is not is a slip of the pen, and is not made.
func openCopy(ctx context.Context, blobs string) (dataset.Store, error) {
	if !s3store.IsURL(blobs) {
		st, err := os.Stat(blobs)
		if err == nil && !st.IsDir() {
			err = fmt.Errorf("%s is not a directory", blobs)
		}
		if err != nil {
			return nil, Errorf(KindUsage, "check the path: --blobs is a directory of blobs, such as op/blobs, or s3://bucket/prefix").from(err)
		}
	}
	return openBlobs(ctx, blobs, "")
}

// missingFrom says of a blob that is not where it ought to be how it gets there.
func missingFrom(blobs string, err error) error {
	if !errors.Is(err, dataset.ErrNoBlob) {
		return err
	}
	if s3store.IsURL(blobs) {
		return Errorf(KindError, "a part of the ciphertext is not in the bucket: put it back under its name from a backup or another copy (docs/storage.md), or give another copy with --blobs; creator publish uploads it only if the owner's own blobs are elsewhere").from(err)
	}
	return Errorf(KindError, "a part of the ciphertext is not in %s: the owner uploads it again with creator publish, or you give another copy with --blobs", blobs).from(err)
}

func (v *dataView) print(w io.Writer) {
	switch {
	case v.Verified && v.Previous != nil:
		fmt.Fprintf(w, "VERIFIED  %s: continues %s\n", v.Name, v.Previous)
		return
	case v.Verified && v.Ranges != nil:
		fmt.Fprintf(w, "VERIFIED  %s: a part of %s under root %s\n", v.Name, amount(v.Leaves, "leaves"), v.Root)
		v.printRanges(w)
		return
	case v.Verified:
		fmt.Fprintf(w, "VERIFIED  %s: %s under root %s\n", v.Name, amount(v.Leaves, "leaves"), v.Root)
		return
	}
	fmt.Fprintf(w, "REFUSED   %s: %s\n", v.Name, v.Finding)
}
