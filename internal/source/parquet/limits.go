// SPDX-License-Identifier: Apache-2.0

package parquet

// Bounds of what is read. They are far above what writers of the field make and far below what would hurt.
const (
	MaxFooter   = 32 << 20 // bytes of a file's metadata
	MaxSchema   = 1 << 14  // elements of a schema
	MaxDepth    = 64       // of nested columns
	MaxFiles    = 1 << 16  // parts in a folder
	MaxMemory   = 1 << 30  // bytes that pages and dictionaries of all columns take at a time
	MaxName     = 1 << 10  // bytes of one column's name
	MaxBlock    = 1 << 16  // numbers that a delta encoding packs together; writers of the field make 128 to 2,048
	maxPaths    = 16 << 20 // bytes of the names of all columns, each with those that it lies in
	maxPage     = 256 << 20
	maxValues   = 1 << 26 // of one page
	maxHeader   = 64 << 10
	firstHeader = 4 << 10 // what is read of a header at first
	bombFloor   = 1 << 30 // bytes of text below which nothing is a bomb
	bombFactor  = 1000    // times the files' size, above it
)

// How many values are decoded at a time. Long ones are few: an encoding may build each out of the whole one before.
const (
	batchFixed = 1024
	batchBytes = 4
	longest    = 64       // bytes of a value of fixed length that is not long
	readAhead  = 64 << 10 // bytes of text made at a time, and one record more
)
