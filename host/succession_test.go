// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// versioned packs versions of one dataset: with the same key and id, whatever comes before.
type versioned struct {
	w     *world
	owner *envelope.Signer
	key   dataset.Key
	id    dataset.ID
}

func (v *versioned) pack(text string, previous *dataset.Packed) *dataset.Packed {
	v.w.t.Helper()
	c := dataset.PackConfig{
		Store: v.w.blobs, Source: strings.NewReader("label,pixel\n" + text), Signer: v.owner, Key: v.key,
		Manifest: dataset.Manifest{
			Kind: dataset.KindDataset, Name: "letters", Dataset: v.id, Test: true, Format: dataset.FormatCSV,
			Broker: dataset.Broker{Address: anywhere, Key: v.w.broker.Public()},
			Terms: dataset.Terms{
				Modes: []string{grant.ModeRaw}, Purposes: []string{"research"}, Outputs: []string{"model"}, MaxOutputBytes: 1 << 20,
				MaxEpochs: 1, MaxUses: 10, Logs: "off", Allowance: 4, LeaseSeconds: 60, BrokerAway: "wait",
				Price: dataset.Price{Currency: "EUR"}, NotAfter: 4_000_000_000, MinAssurance: "simulated",
			}.ForAnyone(),
		},
	}
	if previous != nil {
		old, err := dataset.Verify(previous.Signed)
		if err != nil {
			v.w.t.Fatal(err)
		}
		c.Previous = old
	}
	p, err := dataset.Pack(context.Background(), c)
	if err != nil {
		v.w.t.Fatal(err)
	}
	return p
}

// try publishes, and gives the host's code and words.
func (v *versioned) try(p *dataset.Packed) (connect.Code, string) {
	v.w.t.Helper()
	v.w.upload(p)
	err := v.w.c.PutManifest(context.Background(), p.Signed)
	if err == nil {
		return 0, ""
	}
	return connect.CodeOf(err), err.Error()
}

// TestOwnerRewritesHistory: once a version is published, the host takes no other with its number, and none after or before
// it that does not continue it; again after a restart. Other owners are not in the way.
func TestOwnerRewritesHistory(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	v := &versioned{w, signer(t, envelope.RoleOwner), dataset.NewKey(), dataset.ID{7}}
	one, other := v.pack("1,2\n", nil), v.pack("3,4\n", nil)
	two, fork, astray := v.pack("5,6\n", one), v.pack("7,8\n", one), v.pack("9,9\n", other)
	three, lost := v.pack("0,0\n", two), v.pack("0,1\n", fork)
	wants := func(p *dataset.Packed, says string) {
		t.Helper()
		code, text := v.try(p)
		if says == "" && code != 0 || says != "" && (code != connect.CodeFailedPrecondition || !strings.Contains(text, says)) {
			t.Errorf("%v %q, want %q", code, text, says)
		}
	}
	wants(one, "")
	wants(one, "")
	wants(other, "a fork: version 1 of letters is published as "+one.ID.String())
	wants(astray, "a fork: version 2 continues another version 1")
	wants(three, "") // before the second
	wants(fork, "a fork: version 3 continues another version 2")
	w.restart()
	wants(lost, "a fork: version 3")
	wants(two, "")
	wants(fork, "a fork: version 2")
	theirs := &versioned{w, signer(t, envelope.RoleOwner), dataset.NewKey(), v.id}
	if code, text := theirs.try(theirs.pack("1,1\n", nil)); code != 0 {
		t.Errorf("another owner's dataset of the same number: %v %s", code, text)
	}
}

// TestHistoryOnDamagedHashes: a host whose copy of the tree is damaged does not take the next version for proven.
func TestHistoryOnDamagedHashes(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	v := &versioned{w, signer(t, envelope.RoleOwner), dataset.NewKey(), dataset.ID{8}}
	one := v.pack(strings.Repeat("1,2\n", 100), nil)
	two := v.pack("3,4\n", one)
	w.publish(one)
	w.upload(two)
	d := two.Manifest.Tree.Levels[0]
	b := bytes.Clone(w.blob(d))
	b[0] ^= 1
	path := filepath.Join(w.cfg.Dir, blobsDir, d.Hex()[:2], d.Hex()[2:])
	if err := errors.Join(os.Remove(path), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := w.c.PutManifest(context.Background(), two.Signed); err == nil {
		t.Error("a version without a proof was published")
	}
}
