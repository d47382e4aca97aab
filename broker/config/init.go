// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Role says whose directory it is.
type Role string

// The roles of an owner.
const (
	Creator Role = "creator"
	Buyer   Role = "buyer"
)

// Options are what [Init] cannot make up.
type Options struct {
	Role             Role
	Listen           string
	Address          string
	EKRoots          []EKRoot
	SimulatedRoot    *envelope.PublicKey
	LogURL           string
	Store            string           // bucket for the sealed blobs, as s3://…; "" is a folder
	HeartbeatTimeout int64            // milliseconds; 0 means [DefaultHeartbeatTimeout]
	Keyholder        *Keyholder       // nil: a key file with an identity beside it
	Unlock           keyholder.Unlock // for a key file with a passphrase
	Hybrid           bool             // a buyer's results are encrypted to ML-KEM-768 with X25519 (age1pq…)
}

// Init makes an owner's directory: fresh keys, a keyholder, and broker.json. dir must not exist or be empty
// ([ErrExists]); on any error nothing of it is left.
func Init(dir string, o Options) (*Config, error) {
	if o.Role != Creator && o.Role != Buyer {
		return nil, fmt.Errorf("%w: role %q", ErrConfig, o.Role)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := vacant(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".glovebox-init-*") // mode 0700
	if err != nil {
		return nil, err
	}
	if err := populate(Layout{tmp}, o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(tmp))
	}
	os.Remove(dir) //nolint:errcheck // succeeds on an empty directory only; anything else makes the rename fail
	if err := os.Rename(tmp, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: %w", ErrExists, dir, err), os.RemoveAll(tmp))
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	return Load(Layout{dir}.Config())
}

// vacant refuses a path where something is already.
func vacant(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := d.Readdirnames(1); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %s is not an empty directory", ErrExists, dir)
	}
	return nil
}

func populate(l Layout, o Options) error {
	for _, d := range []string{l.Packages(), l.Revocations(), l.Cancellations(), l.Blobs()} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
	}
	owner, err := envelope.CreateKeyFile(l.OwnerKey(), envelope.RoleOwner)
	if err != nil {
		return err
	}
	if _, err := envelope.CreateKeyFile(l.BrokerKey(), envelope.RoleBroker); err != nil {
		return err
	}
	reference, err := envelope.CreateKeyFile(l.ReferenceKey(), envelope.RoleReference)
	if err != nil {
		return err
	}
	if err := populateKeyholder(l, o); err != nil {
		return err
	}
	c := &Config{
		Listen: o.Listen, Address: o.Address, Owner: owner.Public(), Reference: referenceFile, ReferenceKey: reference.Public(),
		EKRoots: o.EKRoots, SimulatedRoot: o.SimulatedRoot, LogURL: o.LogURL, Store: o.Store, HeartbeatTimeoutMillis: o.HeartbeatTimeout,
		Keyholder: o.Keyholder,
	}
	if c.EKRoots == nil {
		c.EKRoots = []EKRoot{}
	}
	if c.HeartbeatTimeoutMillis == 0 {
		c.HeartbeatTimeoutMillis = DefaultHeartbeatTimeout.Milliseconds()
	}
	if o.Role == Buyer {
		if c.Buyer, err = populateBuyer(l, o.Hybrid); err != nil {
			return err
		}
	}
	return Write(l.Dir, c)
}

// populateKeyholder makes the key file; keys that lie elsewhere are made there.
func populateKeyholder(l Layout, o Options) error {
	if o.Keyholder != nil {
		if err := o.Keyholder.Validate(); err != nil {
			return err
		}
		if o.Keyholder.Kind != KeyholderFile {
			return nil
		}
		if o.Keyholder.File != nil && o.Keyholder.File.Passphrase {
			_, err := keyholder.CreateFile(l.Keyholder(), o.Unlock)
			return err
		}
	}
	_, err := keyholder.Create(l.Keyholder(), l.KeyholderIdentity())
	return err
}

func populateBuyer(l Layout, hybrid bool) (*envelope.PublicKey, error) {
	buyer, err := envelope.CreateKeyFile(l.BuyerKey(), envelope.RoleBuyer)
	if err != nil {
		return nil, err
	}
	recipient, identity, err := resultIdentity(hybrid)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("# Glovebox result identity: opens the results of this buyer's jobs. Keep it secret.\n# public key: %s\n%s\n", recipient, identity)
	if err := WriteFile(l.ResultIdentity(), []byte(text)); err != nil {
		return nil, err
	}
	k := buyer.Public()
	return &k, nil
}

// resultIdentity makes an age identity and its recipient. A hybrid one also withstands whoever keeps results until she has a
// quantum computer; age before 1.3 cannot read it, and jobs grow by the 2 KiB of its recipient.
func resultIdentity(hybrid bool) (recipient, identity fmt.Stringer, err error) {
	if hybrid {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, nil, err
		}
		return id.Recipient(), id, nil
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, nil, err
	}
	return id.Recipient(), id, nil
}
