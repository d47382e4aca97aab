// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// column stands somewhere in one column of one row group.
type column struct {
	path       string
	maxDef     int16
	in         file.ColumnChunkReader
	defs, reps []int16
	at, n      int // levels
	val        int // values
	fixed      int // length of values of a fixed length

	bools   []bool
	i32     []int32
	i64     []int64
	i96     []parquet.Int96
	f32     []float32
	f64     []float64
	strings []parquet.ByteArray
	fixeds  []parquet.FixedLenByteArray
}

// batchOf is how many values of a column are decoded at a time.
func batchOf(d *schema.Column) int {
	if d.PhysicalType() == parquet.Types.ByteArray || d.TypeLength() > longest {
		return batchBytes
	}
	return batchFixed
}

func (c *column) open(in file.ColumnChunkReader) {
	d := in.Descriptor()
	batch := batchOf(d)
	c.in, c.maxDef, c.path = in, d.MaxDefinitionLevel(), d.Path()
	c.defs, c.reps = make([]int16, batch), make([]int16, batch)
	switch in.Type() {
	case parquet.Types.Boolean:
		c.bools = make([]bool, batch)
	case parquet.Types.Int32:
		c.i32 = make([]int32, batch)
	case parquet.Types.Int64:
		c.i64 = make([]int64, batch)
	case parquet.Types.Int96:
		c.i96 = make([]parquet.Int96, batch)
	case parquet.Types.Float:
		c.f32 = make([]float32, batch)
	case parquet.Types.Double:
		c.f64 = make([]float64, batch)
	case parquet.Types.ByteArray:
		c.strings = make([]parquet.ByteArray, batch)
	case parquet.Types.FixedLenByteArray:
		c.fixeds, c.fixed = make([]parquet.FixedLenByteArray, batch), d.TypeLength()
	}
}

// more reports whether the column goes on, and makes its next level the one at hand. What it gave before is gone then.
func (c *column) more() (bool, error) {
	if c.at < c.n {
		return true, nil
	}
	total, values, err := c.fill()
	if err == nil {
		err = c.in.Err()
	}
	switch {
	case errors.Is(err, source.ErrLimit), errors.Is(err, source.ErrCorrupt): // the pager's
		return false, fmt.Errorf("column %q: %w", c.path, err)
	case err != nil:
		return false, fmt.Errorf("%w: column %q: %w", source.ErrCorrupt, c.path, err)
	}
	clear(c.strings[min(values, len(c.strings)):]) // or pages that were given up stay for the sake of what was in them
	clear(c.fixeds[min(values, len(c.fixeds)):])
	c.at, c.n, c.val = 0, int(total), 0
	if c.maxDef == 0 {
		clear(c.defs)
	}
	present := 0
	for _, d := range c.defs[:c.n] {
		if d < 0 || d > c.maxDef {
			return false, fmt.Errorf("%w: column %q: a level that its nesting has not", source.ErrCorrupt, c.path)
		}
		if d == c.maxDef {
			present++
		}
	}
	if present != values {
		return false, fmt.Errorf("%w: column %q: values and levels differ", source.ErrCorrupt, c.path)
	}
	return c.n > 0, nil
}

func (c *column) fill() (total int64, values int, err error) {
	n := int64(len(c.defs))
	switch in := c.in.(type) {
	case *file.BooleanColumnChunkReader:
		return in.ReadBatchInPage(n, c.bools, c.defs, c.reps)
	case *file.Int32ColumnChunkReader:
		return in.ReadBatchInPage(n, c.i32, c.defs, c.reps)
	case *file.Int64ColumnChunkReader:
		return in.ReadBatchInPage(n, c.i64, c.defs, c.reps)
	case *file.Int96ColumnChunkReader:
		return in.ReadBatchInPage(n, c.i96, c.defs, c.reps)
	case *file.Float32ColumnChunkReader:
		return in.ReadBatchInPage(n, c.f32, c.defs, c.reps)
	case *file.Float64ColumnChunkReader:
		return in.ReadBatchInPage(n, c.f64, c.defs, c.reps)
	case *file.ByteArrayColumnChunkReader:
		return in.ReadBatchInPage(n, c.strings, c.defs, c.reps)
	case *file.FixedLenByteArrayColumnChunkReader:
		return in.ReadBatchInPage(n, c.fixeds, c.defs, c.reps)
	}
	return 0, 0, source.ErrType
}

// def and rep are the levels at hand.
func (c *column) def() int16 { return c.defs[c.at] }
func (c *column) rep() int16 { return c.reps[c.at] }

// pass leaves a level that has no value.
func (c *column) pass() error {
	if c.def() == c.maxDef {
		return fmt.Errorf("%w: column %q has a value where what it lies in is null", source.ErrCorrupt, c.path)
	}
	c.at++
	return nil
}

// take gives the value at hand and goes on.
func (c *column) take() (v value, err error) {
	if c.def() != c.maxDef {
		return v, fmt.Errorf("%w: column %q has no value where one is", source.ErrCorrupt, c.path)
	}
	i := c.val
	c.at, c.val = c.at+1, c.val+1
	switch {
	case c.bools != nil:
		if c.bools[i] {
			v.n = 1
		}
	case c.i32 != nil:
		v.n = int64(c.i32[i])
	case c.i64 != nil:
		v.n = c.i64[i]
	case c.i96 != nil:
		v.b = c.i96[i][:]
	case c.f32 != nil:
		v.f = float64(c.f32[i])
	case c.f64 != nil:
		v.f = c.f64[i]
	case c.strings != nil:
		v.b = c.strings[i]
	case c.fixeds != nil:
		if v.b = c.fixeds[i]; len(v.b) != c.fixed {
			return v, fmt.Errorf("%w: column %q: a value that is too short", source.ErrCorrupt, c.path)
		}
	}
	return v, nil
}
