// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/source"
	"github.com/glovebox-dev/glovebox/internal/source/images"
	"github.com/glovebox-dev/glovebox/internal/source/parquet"
	"github.com/glovebox-dev/glovebox/internal/source/webdataset"
)

// Formats of sources that packages have in another form.
const (
	formatParquet    = "parquet"
	formatWebDataset = "webdataset"
	formatImages     = "images"
)

// sourceFormats are for people.
const sourceFormats = "csv, jsonl, files, parquet, webdataset, images, or auto"

// sourceHint is for who gave no source.
const sourceHint = "give the path of a CSV, JSON Lines, Parquet or tar file, or of a directory"

// parquetAt reports whether a path is that of a Parquet file, or of a folder with nothing else.
func parquetAt(path string) bool {
	st, err := os.Stat(path)
	if err != nil {
		return false
	}
	if st.IsDir() {
		return onlyFiles(path, func(name string) bool { return strings.EqualFold(filepath.Ext(name), parquet.Ext) }, parquet.Beside)
	}
	if !st.Mode().IsRegular() {
		return false
	}
	if strings.EqualFold(filepath.Ext(path), parquet.Ext) {
		return true
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "PAR1"
}

// partitionsAt reports whether a path is that of a folder whose folders hold Parquet files, and nothing else.
func partitionsAt(path string) bool {
	top, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	found := false
	err = filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || name == top:
			return err
		case parquet.Beside(d.Name()):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		case !d.Type().IsRegular() || !strings.EqualFold(filepath.Ext(name), parquet.Ext):
			return errOther
		}
		found = found || filepath.Dir(name) != top
		return nil
	})
	return err == nil && found
}

// errOther ends a walk.
var errOther = errors.New("other files")

// shardsAt reports whether a path is that of a tar file, or of a folder with nothing else.
func shardsAt(path string) bool {
	isShard := func(name string) bool { stem, _ := webdataset.Shard(name); return stem != "" }
	st, err := os.Stat(path)
	if err != nil || !st.IsDir() {
		return err == nil && isShard(filepath.Base(path))
	}
	return onlyFiles(path, isShard, func(name string) bool { return strings.HasPrefix(name, ".") })
}

// compressedAt reports whether any shard is compressed: then nobody knows how long what it holds is.
func compressedAt(path string) bool {
	names := []string{filepath.Base(path)}
	if list, err := os.ReadDir(path); err == nil {
		names = names[:0]
		for _, e := range list {
			names = append(names, e.Name())
		}
	}
	return slices.ContainsFunc(names, func(name string) bool { _, gz := webdataset.Shard(name); return gz })
}

// onlyFiles reports whether a folder has files of one kind, and beside them only what does not count.
func onlyFiles(dir string, kind, beside func(name string) bool) bool {
	list, err := os.ReadDir(dir)
	n := 0
	for _, e := range list {
		switch {
		case beside(e.Name()):
		case !e.Type().IsRegular() || !kind(e.Name()):
			return false
		default:
			n++
		}
	}
	return err == nil && n > 0
}

// foreignFormat is what a package of a source in somebody else's format holds; "" if it is none.
func foreignFormat(path, format string) (dataset.Format, error) {
	switch format {
	case formatParquet:
		return dataset.FormatJSONL, looksLike(path, parquetAt(path), "Parquet file, or folder of .parquet files and nothing else")
	case formatWebDataset:
		return dataset.FormatSamples, looksLike(path, shardsAt(path), ".tar, .tar.gz or .tgz file, or folder of them and nothing else")
	case formatImages:
		st, err := os.Stat(path)
		return dataset.FormatFiles, looksLike(path, err == nil && st.IsDir(), "folder of images")
	case "auto":
		switch {
		case parquetAt(path):
			return dataset.FormatJSONL, nil
		case shardsAt(path):
			return dataset.FormatSamples, nil
		case partitionsAt(path):
			return "", Errorf(KindUsage, "write the columns into the files and put them in one folder, or pack the folders one by one; --format files packs them as they are").
				because("%s has Parquet files in folders of folders: what the folders' names say would be lost", path)
		}
	}
	return "", nil
}

func looksLike(path string, yes bool, what string) error {
	if yes {
		return nil
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w: %s", dataset.ErrMissing, path)
	}
	return Errorf(KindUsage, "say with --format what it is").because("%s is no %s", path, what)
}

// openText opens a source that is read as a stream: text, or samples.
func openText(path string, format dataset.Format) (io.ReadCloser, error) {
	switch {
	case format == dataset.FormatSamples:
		return webdataset.Open(path)
	case parquetAt(path):
		return parquet.Open(path, parquet.Options{CSV: format == dataset.FormatCSV})
	}
	return os.Open(path)
}

// openInto sets what c packs to a path. The caller closes what it gets.
func openInto(c *dataset.PackConfig, path string) (io.Closer, error) {
	format, growth := c.Manifest.Format, int64(1)
	switch {
	case format == dataset.FormatSamples:
		growth = 4
	case format == dataset.FormatFiles, !parquetAt(path):
		return c.OpenSource(path)
	default:
		growth = 16
	}
	in, err := openText(path, format)
	if err != nil {
		return nil, err
	}
	c.Source = in
	if size, err := sourceSize(path); err == nil && c.SegmentBytes == 0 {
		c.SegmentBytes = dataset.SegmentsFor(size * growth)
	}
	if p, ok := in.(*parquet.Reader); ok {
		for _, col := range p.Columns() {
			c.Columns = append(c.Columns, dataset.Column{Name: col.Name, Type: col.Type})
		}
	}
	return in, nil
}

// imageFlags say how images are packed.
type imageFlags struct{ skip bool }

func (f *imageFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.skip, "skip-broken", false, "with --format images: leave out what is no image, and say how many")
}

// check looks at the images that c packs, and says what there is.
func (f *imageFlags) check(cmd *cobra.Command, c *dataset.PackConfig, format string) error {
	if format != formatImages {
		if f.skip {
			return Errorf(KindUsage, "add --format images").because("--skip-broken is for images")
		}
		return nil
	}
	files, r, err := images.Check(c.Files, f.skip)
	if err != nil {
		return err
	}
	c.Files, c.Columns = files, dataset.ImageColumns()
	say(cmd, "%s in %s", amount(r.Images, "images"), amount(int64(len(r.Classes)), "classes"))
	for i, k := range r.Classes {
		if i == mostClasses {
			say(cmd, "  and %d more", len(r.Classes)-i)
			break
		}
		say(cmd, "  %s: %d", strings.TrimSpace(plain(k.Name)+" "+map[bool]string{true: "(in no folder)"}[k.Name == ""]), k.Images)
	}
	for i, name := range r.Skipped {
		if i == mostClasses {
			break
		}
		say(cmd, "left out: %s", plain(name))
	}
	if len(r.Skipped) > 0 {
		say(cmd, "%s left out: they are no images, or damaged", amount(int64(len(r.Skipped)), "files"))
	}
	return nil
}

// mostClasses bounds what is listed.
const mostClasses = 50

// sayForeign says what a source was taken for where its name alone decided.
func sayForeign(cmd *cobra.Command, path, asked string, f dataset.Format) {
	switch {
	case asked != "auto":
	case f == dataset.FormatSamples:
		say(cmd, "%s: shards of WebDataset, one record a sample; to pack archives as they are, put them in a folder and say --format files", plain(path))
	case f == dataset.FormatJSONL && parquetAt(path):
		say(cmd, "%s: Parquet, one line of JSON a row; --format csv packs a flat table as CSV", plain(path))
	}
}

// sourceSentinels are what can be wrong with a foreign source, for classify.
func sourceSentinels() []sentinel {
	return []sentinel{
		{source.ErrCorrupt, KindError, "get the file again, or write it anew with the program that made it; docs/sources.md says what is read"},
		{source.ErrType, KindError, "convert it to a type that docs/sources.md lists, or leave it out"},
		{source.ErrValue, KindError, "correct the values in the column named; docs/sources.md says which have no text"},
		{source.ErrEncrypted, KindError, "decrypt it first; the package is encrypted anyway"},
		{source.ErrLimit, KindError, "docs/sources.md has the limits, and why they are there"},
		{source.ErrName, KindError, "rename what is named here and write it anew: columns have names of their own, and archives plain files below one folder"},
		{source.ErrMixed, KindUsage, "give a folder that holds one dataset and nothing else"},
	}
}
