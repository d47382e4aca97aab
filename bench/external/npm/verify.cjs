// SPDX-License-Identifier: Apache-2.0
//
// verify.cjs BUNDLE TRUSTED_ROOT PUBLIC_KEY: npm @sigstore/verify checks signature, log entry and checkpoint.
const fs = require('fs');
const crypto = require('crypto');
const { bundleFromJSON } = require('@sigstore/bundle');
const { TrustedRoot } = require('@sigstore/protobuf-specs');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

const [bundle, root, key] = process.argv.slice(2).map((f) => fs.readFileSync(f));
const publicKey = crypto.createPublicKey(key);
const trust = toTrustMaterial(TrustedRoot.fromJSON(JSON.parse(root)), () => ({ publicKey, validFor: () => true }));
const verifier = new Verifier(trust, { tlogThreshold: 1, ctlogThreshold: 0, timestampThreshold: 0 });
try {
  verifier.verify(toSignedEntity(bundleFromJSON(JSON.parse(bundle))));
} catch (err) {
  console.error(`refused: ${err.code ?? err.name}: ${err.message}`);
  process.exit(1);
}
console.log('verified');
