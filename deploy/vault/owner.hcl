# What the owner may do in Vault when she packs, rotates, rewraps and shreds. The key's other properties, such as whether
# it can be exported, are not hers to change. TRANSIT and KEY are replaced by setup.sh.

path "TRANSIT/encrypt/KEY" {
  capabilities       = ["update"]
  allowed_parameters = { "context" = [], "plaintext" = [] }
}

path "TRANSIT/decrypt/KEY" {
  capabilities       = ["update"]
  allowed_parameters = { "context" = [], "ciphertext" = [], "batch_input" = [] }
}

path "TRANSIT/rewrap/KEY" {
  capabilities       = ["update"]
  allowed_parameters = { "context" = [], "ciphertext" = [] }
}

path "TRANSIT/keys/KEY" {
  capabilities = ["read"]
}

path "TRANSIT/keys/KEY/rotate" {
  capabilities = ["update"]
}

path "TRANSIT/keys/KEY/config" {
  capabilities       = ["update"]
  allowed_parameters = { "min_decryption_version" = [], "min_encryption_version" = [] }
}

path "TRANSIT/keys/KEY/trim" {
  capabilities       = ["update"]
  allowed_parameters = { "min_available_version" = [] }
}
