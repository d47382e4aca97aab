// SPDX-License-Identifier: Apache-2.0

//go:build !ego

package ego_test

import (
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/sgx/ego"
)

func TestRefusedWithoutTag(t *testing.T) {
	if c, err := ego.Open(ego.Config{}); !errors.Is(err, ego.ErrRefused) || c != nil || ego.Enabled {
		t.Errorf("%v, %v", c, err)
	}
}
