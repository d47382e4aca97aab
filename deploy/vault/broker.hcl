# What glovebox-broker may do in Vault: open wrapped keys, look at the key's properties, keep the ledger's anchor.
# It cannot wrap, rotate, rewrap, export or shred. TRANSIT, KEY, KV and ANCHOR are replaced by setup.sh.

path "TRANSIT/decrypt/KEY" {
  capabilities       = ["update"]
  allowed_parameters = { "context" = [], "ciphertext" = [], "batch_input" = [] }
}

path "TRANSIT/keys/KEY" {
  capabilities = ["read"]
}

path "KV/data/ANCHOR" {
  capabilities = ["create", "read", "update"]
}
