// SPDX-License-Identifier: Apache-2.0

package config

import (
	"path/filepath"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Layout names the files of one owner's directory. Everything in it has mode 0600, folders 0700.
type Layout struct{ Dir string }

func (l Layout) at(name string) string { return filepath.Join(l.Dir, name) }

// OwnerKey signs manifests and revocations. The broker does not read it.
func (l Layout) OwnerKey() string { return l.at("owner.key") }

// BrokerKey signs everything the broker says.
func (l Layout) BrokerKey() string { return l.at("broker.key") }

// ReferenceKey signs reference values. The broker does not read it.
func (l Layout) ReferenceKey() string { return l.at("reference.key") }

// BuyerKey signs jobs and cancellations; a buyer's directory only. The broker does not read it.
func (l Layout) BuyerKey() string { return l.at("buyer.key") }

// ResultIdentity is the age identity that opens results; a buyer's directory only. The broker does not read it.
func (l Layout) ResultIdentity() string { return l.at("result.age-identity") }

// Keyholder is the age file with the key that wraps data keys.
func (l Layout) Keyholder() string { return l.at("keyholder.age") }

// KeyholderIdentity opens Keyholder.
func (l Layout) KeyholderIdentity() string { return l.at("keyholder.identity") }

// Config is the broker's configuration.
func (l Layout) Config() string { return l.at("broker.json") }

// Reference holds the signed reference values, unless the configuration says otherwise.
func (l Layout) Reference() string { return l.at(referenceFile) }

// Packages holds one folder for each package, named by the hexadecimal digest of its manifest.
func (l Layout) Packages() string { return l.at("packages") }

// Package is one package's folder.
func (l Layout) Package(manifest envelope.Digest) string {
	return filepath.Join(l.Packages(), manifest.Hex())
}

// Revocations holds signed revocations.
func (l Layout) Revocations() string { return l.at("revocations") }

// Cancellations holds the buyer's signed cancellations.
func (l Layout) Cancellations() string { return l.at("cancellations") }

// Ledger is the broker's database.
func (l Layout) Ledger() string { return l.at("ledger.db") }

// Head is the ledger's anchor: it lies outside the database, so that an old copy of that shows.
func (l Layout) Head() string { return l.at("ledger.head") }

// Lock is held by the one broker that may use the ledger.
func (l Layout) Lock() string { return l.at("ledger.lock") }

// Blobs is where packages are packed before they are published.
func (l Layout) Blobs() string { return l.at("blobs") }

// The names inside a package's folder, and of the default reference file.
const (
	manifestFile  = "manifest.dsse"
	wrapFile      = "key.wrap"
	referenceFile = "reference.dsse"
	signedSuffix  = ".dsse"
)
