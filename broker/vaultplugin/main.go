// SPDX-License-Identifier: Apache-2.0

// Command vault-plugin-glovebox is a secrets engine for HashiCorp Vault that holds the key which wraps an owner's data
// keys, checks enclaves' evidence itself, and seals data keys to them: no plaintext key leaves Vault.
package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/plugin"

	glovebox "github.com/glovebox-dev/glovebox/broker/vaultplugin/plugin"
)

func main() {
	meta := &api.PluginAPIClientMeta{}
	if err := meta.FlagSet().Parse(os.Args[1:]); err != nil {
		fail(err)
	}
	err := plugin.ServeMultiplex(&plugin.ServeOpts{
		BackendFactoryFunc: glovebox.Factory, TLSProviderFunc: api.VaultPluginTLSProvider(meta.GetTLSConfig()),
	})
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "vault-plugin-glovebox: error:", err)
	os.Exit(1)
}
