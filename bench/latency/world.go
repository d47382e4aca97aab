// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing/fstest"
	"time"

	"filippo.io/age"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/host"
	"github.com/glovebox-dev/glovebox/host/client"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// world is a creator's and a buyer's broker and a host in this process, each behind its own port of the loopback, and an enclave in
// a process of its own.
type world struct {
	dir            string
	creator, buyer *party
	store          *dataset.DirStore
	client         *client.Client
	data           *dataset.Packed
	recipient      string
	stop           context.CancelFunc
	stopHost       func() // and wait for its end
	running        sync.WaitGroup
}

// party is an owner with her broker.
type party struct {
	cfg    *config.Config
	broker *broker.Broker
	key    envelope.PublicKey // of the broker
	owner  *envelope.Signer
}

const lasts = 24 * time.Hour // references, terms and jobs

// newWorld starts everything in dir, and so many enclaves. enclave is the binary of ./enclave.
func newWorld(ctx context.Context, dir, enclave string, enclaves int) (w *world, err error) {
	ctx, stop := context.WithCancel(ctx)
	w = &world{dir: dir, stop: stop}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	root, err := simulated.CreateKey(filepath.Join(dir, "platform.key"))
	if err != nil {
		return w, err
	}
	if w.store, err = dataset.NewDirStore(filepath.Join(dir, "packed")); err != nil {
		return w, err
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return w, err
	}
	w.recipient = id.Recipient().String()
	base, err := w.startHost(ctx, enclave, enclaves)
	if err != nil {
		return w, err
	}
	w.client = client.New(base)
	if w.creator, err = w.startParty(ctx, config.Creator, root, enclave, base); err != nil {
		return w, err
	}
	if w.buyer, err = w.startParty(ctx, config.Buyer, root, enclave, base); err != nil {
		return w, err
	}
	w.data, err = w.pack(ctx, w.creator, dataset.PackConfig{Source: bytes.NewReader(numbers(20_000)), Manifest: w.offer(w.creator, dataset.KindDataset)})
	return w, err
}

func (w *world) startHost(ctx context.Context, enclave string, enclaves int) (base string, err error) {
	h, err := host.New(ctx, host.Config{
		Dir: filepath.Join(w.dir, "host"), Origin: "bench.example", Enclaves: enclaves, MaxQueued: 1 << 20,
		Launcher: &host.Local{Binary: enclave, Args: []string{"-key", filepath.Join(w.dir, "platform.key"), "-events", w.events()}, LogDir: w.dir},
	})
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", errors.Join(err, h.Close())
	}
	srv := h.Server()
	w.running.Go(func() { _ = srv.Serve(l) })
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	w.running.Go(func() {
		defer close(ended)
		h.Run(ctx)
		h.Drain()
		_ = srv.Close()
		_ = h.Close()
	})
	w.stopHost = func() { stop(); <-ended }
	return "http://" + l.Addr().String(), nil
}

// events is the file that the enclave tells of itself in.
func (w *world) events() string { return filepath.Join(w.dir, "events") }

func (w *world) close() {
	w.stop()
	w.running.Wait()
}

// startParty makes an owner who trusts the enclave and starts her broker.
func (w *world) startParty(ctx context.Context, role config.Role, root envelope.PublicKey, enclave, base string) (*party, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(w.dir, string(role))
	cfg, err := config.Init(dir, config.Options{Role: role, Listen: l.Addr().String(), Address: "http://" + l.Addr().String(), HeartbeatTimeout: 60_000})
	if err != nil {
		return nil, err
	}
	p := &party{cfg: cfg}
	if err := p.trust(enclave); err != nil {
		return nil, err
	}
	if p.owner, err = envelope.LoadKeyFile(cfg.Layout().OwnerKey(), envelope.RoleOwner); err != nil {
		return nil, err
	}
	format, err := simulated.NewFormat(root)
	if err != nil {
		return nil, err
	}
	p.broker, err = broker.New(ctx, broker.Config{Settings: cfg, Formats: []attestation.Format{format}, Publisher: broker.NewHTTPPublisher(base)})
	if err != nil {
		return nil, err
	}
	p.key = p.broker.Key()
	w.running.Go(func() {
		_ = p.broker.Serve(ctx, l)
		_ = p.broker.Close()
	})
	return p, nil
}

// trust signs reference values that hold the enclave's binary.
func (p *party) trust(enclave string) error {
	signer, err := envelope.LoadKeyFile(p.cfg.Layout().ReferenceKey(), envelope.RoleReference)
	if err != nil {
		return err
	}
	m, err := simulated.Measure(enclave)
	if err != nil {
		return err
	}
	ref, err := attestation.SignReference(&attestation.Reference{
		Version: 1, NotAfter: time.Now().Add(lasts).Unix(),
		Values: []attestation.ReferenceValue{{Name: "bench", Platform: simulated.Platform, Measurements: m}},
	}, signer)
	if err != nil {
		return err
	}
	return config.WriteFile(p.cfg.Layout().Reference(), ref)
}

func (w *world) offer(p *party, kind dataset.Kind) dataset.Manifest {
	m := dataset.Manifest{
		Kind: kind, Name: "numbers", Format: dataset.FormatCSV, Test: true, Broker: dataset.Broker{Address: p.cfg.Address, Key: p.key},
		Terms: dataset.Terms{
			Modes: []string{grant.ModeRaw}, Purposes: []string{"research"}, Outputs: []string{"metrics", "model"},
			MaxOutputBytes: 1 << 20, MaxEpochs: 1, MaxUses: 1 << 20, Logs: grant.LogsSealed, Allowance: 16, LeaseSeconds: 600,
			BrokerAway: "wait", Price: dataset.Price{Currency: "EUR", PerRecord: 1, PerUse: 1},
			NotAfter: time.Now().Add(lasts).Unix(), MinAssurance: string(attestation.AssuranceSimulated),
		}.ForAnyone(),
	}
	if kind == dataset.KindCode {
		m.Name, m.Format, m.Terms.Price = "code", dataset.FormatFiles, dataset.Price{Currency: "EUR"}
	}
	return m
}

// pack seals a package, gives its key to the owner's broker and publishes it at the host.
func (w *world) pack(ctx context.Context, p *party, c dataset.PackConfig) (*dataset.Packed, error) {
	c.Store, c.Key, c.Signer, c.Manifest.Owner = w.store, dataset.NewKey(), p.owner, p.cfg.Owner
	raw := bytes.Clone(c.Key.Bytes())
	packed, err := dataset.Pack(ctx, c)
	if err != nil {
		return nil, err
	}
	l := p.cfg.Layout()
	k, err := keyholder.Open(l.Keyholder(), l.KeyholderIdentity())
	if err != nil {
		return nil, err
	}
	wrapped, err := k.Wrap(ctx, keyholder.Context(packed.ID), raw)
	if err != nil {
		return nil, err
	}
	if _, err := config.AddPackage(l.Dir, packed.Signed, wrapped); err != nil {
		return nil, err
	}
	return packed, w.publish(ctx, packed.Signed)
}

// publish uploads everything that has been packed, and a manifest.
func (w *world) publish(ctx context.Context, signed []byte) error {
	return errors.Join(fs.WalkDir(os.DirFS(filepath.Join(w.dir, "packed")), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(w.dir, "packed", path))
		if err != nil {
			return err
		}
		return w.client.PutBlob(ctx, envelope.Sum(b), int64(len(b)), bytes.NewReader(b))
	}), w.client.PutManifest(ctx, signed))
}

// packCode makes a code package of one module.
func (w *world) packCode(ctx context.Context, module []byte) (*dataset.Packed, error) {
	return w.pack(ctx, w.buyer, dataset.PackConfig{Files: fstest.MapFS{"main.wasm": {Data: module}}, Manifest: w.offer(w.buyer, dataset.KindCode)})
}

// order signs a job.
func (w *world) order(code envelope.Digest) (signed []byte, id envelope.Digest, err error) {
	signer, err := envelope.LoadKeyFile(w.buyer.cfg.Layout().BuyerKey(), envelope.RoleBuyer)
	if err != nil {
		return nil, id, err
	}
	return job.Sign(&job.Job{
		ID: envelope.NewNonce(), Buyer: signer.Public(), Code: code, Datasets: []envelope.Digest{w.data.ID},
		Transforms: []envelope.Digest{}, Purpose: "research", Use: job.Use{Territory: "DE"}, Receipts: []string{}, Mode: grant.ModeRaw,
		Runtime: job.RuntimeWASM, Epochs: 1,
		Limits:  job.Limits{MemoryBytes: 64 << 20, WallSeconds: 60, OutputBytes: 1 << 16, Fuel: 1 << 40},
		Outputs: []job.Output{{Name: "metrics.json", Class: "metrics", MaxBytes: 1 << 12}}, Params: map[string]string{},
		Seed: envelope.NewNonce(), SpendCap: 1 << 40, Recipient: w.recipient, NotAfter: time.Now().Add(lasts).Unix(),
	}, signer)
}

// numbers are so many records in CSV.
func numbers(records int) []byte {
	var csv bytes.Buffer
	csv.WriteString("id,value\n")
	for i := range records {
		fmt.Fprintf(&csv, "%d,%x\n", i, envelope.Sum([]byte{byte(i), byte(i >> 8)}))
	}
	return csv.Bytes()
}
