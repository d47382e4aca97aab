// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"slices"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// known are the manifests that this enclave verified last, so that the next job that pins one need neither fetch nor verify it again.
// A job pins a manifest by the digest of its statement. That says everything in it, and by whom it must be signed; when it is
// verified is not asked. So what was true of a digest stays true, for whoever pins it. Nothing is in here but what every job's
// host, broker and auditor can see: no key, no grant, and no code. The zero value knows none.
type known struct {
	list  []*knownManifest // the last used last
	bytes int              // as signed
}

// knownManifest is not to be changed: jobs share it.
type knownManifest struct {
	id     envelope.Digest
	signed []byte
	m      *dataset.Manifest
}

// get finds a manifest by the digest of its statement, or nil.
func (k *known) get(id envelope.Digest) *knownManifest {
	i := slices.IndexFunc(k.list, func(m *knownManifest) bool { return m.id == id })
	if i < 0 {
		return nil
	}
	m := k.list[i]
	k.list = append(slices.Delete(k.list, i, i+1), m)
	return m
}

// keep takes a manifest that was just verified, and forgets those used longest ago beyond the bounds.
func (k *known) keep(m *knownManifest) {
	k.list, k.bytes = append(k.list, m), k.bytes+len(m.signed)
	for len(k.list) > maxKnown || k.bytes > maxKnownBytes {
		k.bytes -= len(k.list[0].signed)
		k.list = slices.Delete(k.list, 0, 1)
	}
}
