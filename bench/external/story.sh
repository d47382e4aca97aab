#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# One creator, two buyers and one job each, with real processes and simulated attestation. What everybody holds afterwards lies in
# this folder under the names that docs/external.md uses. HOST, ALICE, BOB and CAROL are free addresses; GUEST is a module.
set -euo pipefail
wait_for() { for _ in $(seq 600); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "never came: $*" >&2; exit 1; }
stop() { kill $(jobs -p) 2>/dev/null || true; wait; }
trap stop EXIT

glovebox operator up --dir op --platform simulated --listen "$HOST" >op.log 2>&1 &
wait_for test -e op/measurement.json

printf 'age,dose,worked\n' >patients.csv
for i in $(seq 200); do printf '%d,%d,%d\n' $((20 + i % 60)) $((i * 7 % 300)) $((i % 2)); done >>patients.csv
glovebox creator init --dir alice --address "http://$ALICE" --host "http://$HOST"
glovebox creator trust op/measurement.json --dir alice
glovebox creator pack patients.csv --dir alice --test --purpose research --price-per-use 5 --epochs 20 --json >packed.json
glovebox creator publish --all --dir alice
data=$(sed -n 's/.*"manifest": "\(sha256:[0-9a-f]*\)".*/\1/p' packed.json | head -n 1)
glovebox-broker --config alice/broker.json >alice.log 2>&1 &
sleep 1

buyer() { # NAME ADDRESS FLAG...
  glovebox buyer init --dir "$1" --address "http://$2" --host "http://$HOST" "${@:3}"
  glovebox buyer trust op/measurement.json --dir "$1"
  glovebox buyer submit --dir "$1" --code "$GUEST" --data "$data" --test --purpose research --spend-cap 10 --epochs 20 --param ROUNDS=20 \
    --output model.json:model --output metrics.json:metrics --max-output 64KiB
}
buyer bob "$BOB"
buyer carol "$CAROL" --hybrid

cp bob/jobs/*/bundle.json bundle.json
cp bob/jobs/*/result.age result.age
cp carol/jobs/*/result.age hybrid.age
cp op/trusted_root.json trusted_root.json
glovebox creator card --dir alice --json >alice.json
glovebox buyer card --dir bob --json >bob.json
glovebox auditor trust alice.json bob.json --log trusted_root.json --min-assurance simulated >trust.json
