// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package snp

import "errors"

// openDevice: only Linux guests are known here.
func openDevice() (*device, error) { return nil, errors.New("not Linux") }
