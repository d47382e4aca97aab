#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Sets Vault up for one owner: a transit key, an entry for the ledger's anchor, policies, and an AppRole each for her broker
# and for herself. Run it as a Vault administrator: VAULT_ADDR and VAULT_TOKEN (or ~/.vault-token) as the vault command wants.
#
#   setup.sh NAME DIR     NAME names key, policies and roles; the credentials go to DIR, mode 0600
#
# TRANSIT, KV, TOKEN_TTL and CIDR change the defaults. WRAP=60s puts response-wrapped secret ids into DIR: each is good for
# one login, within that time. It may be run again: what is there stays, policies and roles are written again, and new
# secret ids are made. docs/vault.md explains each step.
set -euo pipefail

name=${1:?usage: setup.sh NAME DIR}
dir=${2:?usage: setup.sh NAME DIR}
here=$(cd "$(dirname "$0")" && pwd)
vault=${VAULT_BIN:-vault}
transit=${TRANSIT:-transit}
kv=${KV:-glovebox}
ttl=${TOKEN_TTL:-1h}
anchor=$name/anchor

case "$name" in *[!A-Za-z0-9_.-]*) echo "setup.sh: NAME has other characters than A-Z a-z 0-9 _ . -" >&2; exit 2 ;; esac
umask 077
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

mounted() { "$vault" "$1" list -format=json | grep "\"$2/\"" >/dev/null; } # not -q: it would break the pipe
mounted secrets "$transit" || "$vault" secrets enable -path="$transit" transit >&2
mounted secrets "$kv" || "$vault" secrets enable -path="$kv" -version=2 kv >&2
mounted auth approle || "$vault" auth enable approle >&2

# A key of its own for each package is derived from this one, which never leaves Vault.
"$vault" read "$transit/keys/$name" >/dev/null 2>&1 ||
  "$vault" write -f "$transit/keys/$name" type=aes256-gcm96 derived=true exportable=false allow_plaintext_backup=false >&2

# Writing the anchor without saying what it replaces is refused.
"$vault" kv metadata put -mount="$kv" -cas-required=true -max-versions=10 "$anchor" >&2

for role in broker owner; do
  sed -e "s|TRANSIT/|$transit/|; s|KV/|$kv/|; s|/KEY|/$name|; s|/ANCHOR|/$anchor|" "$here/$role.hcl" |
    "$vault" policy write "glovebox-$role-$name" - >&2
  # Tokens are for this use only: no further policies but the default one, which allows to look at and renew oneself.
  "$vault" write "auth/approle/role/glovebox-$role-$name" token_policies="glovebox-$role-$name" token_type=service \
    token_ttl="$ttl" token_max_ttl=24h secret_id_ttl=0 ${CIDR:+secret_id_bound_cidrs="$CIDR" token_bound_cidrs="$CIDR"} >&2
  "$vault" read -field=role_id "auth/approle/role/glovebox-$role-$name/role-id" >"$dir/$role.role-id"
  if [ -n "${WRAP:-}" ]; then
    "$vault" write -f -wrap-ttl="$WRAP" -field=wrapping_token "auth/approle/role/glovebox-$role-$name/secret-id" >"$dir/$role.secret-id"
  else
    "$vault" write -f -field=secret_id "auth/approle/role/glovebox-$role-$name/secret-id" >"$dir/$role.secret-id"
  fi
done

# field NAME VALUE: one member of a JSON object, or nothing where there is no value.
field() { [ -z "$2" ] || printf '    "%s": "%s",\n' "$1" "$2"; }
wrapped=${WRAP:+', "secretIdWrapped": true'}
cat <<EOF
{
  "kind": "vault",
  "vault": {
    "address": "${VAULT_ADDR:-https://127.0.0.1:8200}",
$(field namespace "${VAULT_NAMESPACE:-}"; field caFile "${VAULT_CACERT:-}")
    "mount": "$transit",
    "key": "$name",
    "auth": {"method": "approle", "roleIdFile": "$dir/broker.role-id", "secretIdFile": "$dir/broker.secret-id"$wrapped},
    "owner": {"method": "approle", "roleIdFile": "$dir/owner.role-id", "secretIdFile": "$dir/owner.secret-id"$wrapped},
    "anchor": {"mount": "$kv", "path": "$anchor"}
  }
}
EOF
echo "credentials are in $dir; give the JSON to: glovebox creator init --keyholder FILE; or put it into broker.json as \"keyholder\". If no audit device is on: vault audit enable file file_path=..." >&2
