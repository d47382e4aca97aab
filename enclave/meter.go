// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"fmt"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// meter counts what was delivered of one package: leaves as they are proven, batches as the code gets them. It counts
// deliveries, never use: what code does with a record cannot be known. Zero is a meter that counted nothing.
type meter struct {
	mu      sync.Mutex
	reads   int64
	bytes   int64
	hashes  map[int64]envelope.Digest // of delivered leaves: 0.05 % of the data
	records int64
	times   map[int64]int64 // batch → deliveries
	epochs  int64
}

// leaf counts one proven leaf.
func (m *meter) leaf(index int64, hash envelope.Digest, bytes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hashes == nil {
		m.hashes = map[int64]envelope.Digest{}
	}
	m.hashes[index] = hash
	m.reads++
	m.bytes += int64(bytes)
}

// batch counts one batch about to be handed to the code, or refuses when it was handed over most times already.
func (m *meter) batch(index int64, records int, most int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.times == nil {
		m.times = map[int64]int64{}
	}
	if m.times[index] >= int64(most) {
		return fmt.Errorf("%w: batch %d was delivered %d times, the job's epochs", errNotPermitted, index, most)
	}
	m.times[index]++
	m.epochs = max(m.epochs, m.times[index])
	m.records += int64(records)
	return nil
}

func (m *meter) delivered() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads
}

// report fills the figures of p. Each batch was delivered at most as often as the job has epochs, so every record
// delivered is a distinct (epoch, record): billable equals delivered.
func (m *meter) report(p *usage.Package) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.Reads, p.Bytes, p.Records, p.Billable, p.Epochs = m.reads, m.bytes, m.records, m.records, m.epochs
	if len(m.hashes) == 0 {
		return nil
	}
	var indices []int64
	for i := range m.hashes {
		indices = append(indices, i)
	}
	slices.Sort(indices)
	for _, i := range indices {
		if last := len(p.Leaves) - 1; last >= 0 && p.Leaves[last].First+p.Leaves[last].Count == i {
			p.Leaves[last].Count++
		} else {
			p.Leaves = append(p.Leaves, grant.Range{First: i, Count: 1})
		}
	}
	root, err := m.root(indices)
	p.ReadRoot = &root
	return err
}

// root is the RFC 6962 tree hash over the delivered leaves' hashes, ascending.
func (m *meter) root(indices []int64) (envelope.Digest, error) {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, k := range at {
			out[i] = stored[k]
		}
		return out, nil
	})
	for n, i := range indices {
		h, err := tlog.StoredHashesForRecordHash(int64(n), tlog.Hash(m.hashes[i]), read)
		if err != nil {
			return envelope.Digest{}, err
		}
		stored = append(stored, h...)
	}
	root, err := tlog.TreeHash(int64(len(indices)), read)
	return envelope.Digest(root), err
}
