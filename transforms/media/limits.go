// SPDX-License-Identifier: Apache-2.0

package media

// Bounds. A file is at most transforms.MaxFile long.
const (
	defaultPixels = 64 << 20
	maxPixels     = 1 << 30
	maxSide       = 65535   // pixels; JPEG has no more
	maxProfile    = 1 << 20 // bytes of an ICC profile
	maxTags       = 100     // of an ICC profile
	maxCurve      = 4096    // points of one curve of an ICC profile
	maxEndings    = 64
	maxExifTags   = 512 // of the first directory
)
