// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// fixture is an owner with a store.
type fixture struct {
	t      testing.TB
	store  *DirStore
	dir    string
	signer *envelope.Signer
	secret *ecdsa.PrivateKey // the signer's
	broker *envelope.Signer
	key    Key
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), key: NewKey()}
	var err error
	if f.store, err = NewDirStore(f.dir); err != nil {
		t.Fatal(err)
	}
	if f.secret, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if f.signer, err = envelope.NewSigner(envelope.RoleOwner, f.secret); err != nil {
		t.Fatal(err)
	}
	f.broker = mustSigner(t, envelope.RoleBroker)
	return f
}

func mustSigner(t testing.TB, r envelope.Role) *envelope.Signer {
	t.Helper()
	s, err := envelope.GenerateSigner(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// resign signs a payload as it is.
func (f *fixture) resign(payload []byte) []byte {
	f.t.Helper()
	h := sha256.Sum256(envelope.PAE(envelope.PayloadType, payload))
	sig, err := ecdsa.SignASN1(rand.Reader, f.secret, h[:])
	if err != nil {
		f.t.Fatal(err)
	}
	signed, err := envelope.Join(envelope.PayloadType, payload, sig)
	if err != nil {
		f.t.Fatal(err)
	}
	return signed
}

func testTerms() Terms {
	return Terms{
		Modes: []string{ModeRaw}, Purposes: []string{"research"}, Outputs: []string{"metrics", "model"},
		MaxOutputBytes: 1 << 20, MaxEpochs: 10, MaxUses: 100, Logs: LogsOff, Allowance: 16, LeaseSeconds: 600,
		BrokerAway: AwayWait, Price: Price{"EUR", 10, 1000}, NotAfter: 4_000_000_000, MinAssurance: "simulated",
	}.ForAnyone()
}

// config packs src in small segments and batches, so that every boundary is met.
func (f *fixture) config(format Format, src string) PackConfig {
	return PackConfig{
		Store: f.store, Source: strings.NewReader(src), Signer: f.signer, Key: f.key,
		SegmentBytes: 256 << 10, BatchBytes: 16 << 10,
		Now: func() time.Time { return time.Unix(1_800_000_000, 0) },
		Manifest: Manifest{
			Kind: KindDataset, Name: "digits", Broker: Broker{"http://127.0.0.1:7700", f.broker.Public()},
			Test: true, Format: format, Terms: testTerms(),
		},
	}
}

func (f *fixture) pack(cfg PackConfig) *Packed {
	f.t.Helper()
	p, err := Pack(context.Background(), cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// readAll streams the whole package.
func readAll(t *testing.T, m *Manifest, r BlobReader, k Key) ([]byte, int64, error) {
	t.Helper()
	s, err := OpenStream(context.Background(), m, r, k, m.AllLeaves())
	if err != nil {
		return nil, 0, err
	}
	defer s.Close()
	var out bytes.Buffer
	var records int64
	for off := int64(0); off < s.Size(); {
		b, err := s.Batch(context.Background(), off)
		if err != nil {
			return out.Bytes(), records, err
		}
		if b.Offset != off || len(b.Raw) == 0 {
			t.Fatalf("batch at %d has %d bytes, asked for %d", b.Offset, len(b.Raw), off)
		}
		out.Write(b.Raw)
		records += int64(b.Records)
		off += int64(len(b.Raw))
	}
	return out.Bytes(), records, nil
}
