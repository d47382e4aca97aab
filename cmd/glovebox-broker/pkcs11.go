// SPDX-License-Identifier: Apache-2.0

//go:build pkcs11 && cgo

package main

import (
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/keyholder/pkcs11"
)

func openPKCS11(s *config.Config) (keyholder.Keyholder, error) {
	k, err := pkcs11.Open(pkcs11.Config{PKCS11Keyholder: s.Keyholder.PKCS11, Resolve: s.Path})
	if err != nil {
		return nil, err
	}
	return k, nil
}
