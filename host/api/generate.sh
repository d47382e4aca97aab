#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Regenerates host/api from glovebox/v1/host.proto with pinned tools, and records what was generated from what.
# Tools are kept in $GLOVEBOX_TOOLS (default: the user's cache). `generate.sh OUTDIR` writes elsewhere, for comparison.
set -eu
cd "$(dirname "$0")"
out=$(mkdir -p "${1:-.}" && cd "${1:-.}" && pwd)
tools=${GLOVEBOX_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/glovebox/tools}
buf=1.75.0
mkdir -p "$tools"
if [ "$("$tools/node_modules/.bin/buf" --version 2>/dev/null || true)" != "$buf" ]; then
    npm install --silent --no-audit --no-fund --prefix "$tools" "@bufbuild/buf@$buf"
fi
for p in google.golang.org/protobuf/cmd/protoc-gen-go connectrpc.com/connect/cmd/protoc-gen-connect-go; do
    go -C tools build -o "$tools/" "$p"
done
PATH="$tools:$tools/node_modules/.bin:$PATH"
buf lint
buf generate --output "$out"
cd "$out"
[ -f glovebox/v1/host.proto ] || exit 0
sha256sum glovebox/v1/host.proto glovebox/v1/host.pb.go glovebox/v1/gloveboxv1connect/host.connect.go >generated.sum
