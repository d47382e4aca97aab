// SPDX-License-Identifier: Apache-2.0

//go:build !pkcs11 || !cgo

package main

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
)

func openPKCS11(*config.Config) (keyholder.Keyholder, error) {
	return nil, fmt.Errorf("%w: this build has no PKCS#11; build it with: CGO_ENABLED=1 go build -tags pkcs11", keyholder.ErrInput)
}
