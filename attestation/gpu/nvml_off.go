// SPDX-License-Identifier: Apache-2.0

//go:build !nvml || !cgo

package gpu

import "fmt"

// open refuses: a build without NVML has no GPUs.
func open() (driver, error) {
	return nil, fmt.Errorf("%w: this build has no NVML: build with -tags nvml and cgo", ErrConfig)
}
