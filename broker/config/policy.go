// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"io/fs"
	"os"
)

// PolicyDir is where rules of the owner's own lie if broker.json names no other place.
func (l Layout) PolicyDir() string { return l.at("policy") }

// Policy says where rules of the owner's own come from: a folder of Rego files, or a signed bundle. Exactly one.
type Policy struct {
	Folder      string `json:"folder,omitempty"`
	Bundle      string `json:"bundle,omitempty"`      // file, tar.gz
	BundleKey   string `json:"bundleKey,omitempty"`   // file with the public key that signs it, PEM
	Scope       string `json:"scope,omitempty"`       // that the signature states
	MinRevision int64  `json:"minRevision,omitempty"` // the lowest revision that is accepted; the broker remembers higher ones
}

func (p *Policy) validate() error {
	bundle := p.Bundle != "" && p.BundleKey != "" && p.Scope != "" && p.MinRevision >= 1
	nothing := p.Bundle == "" && p.BundleKey == "" && p.Scope == "" && p.MinRevision == 0
	if p.Folder != "" && nothing || p.Folder == "" && bundle {
		return nil
	}
	return fmt.Errorf("%w: policy: want a folder, or bundle, bundleKey, scope and minRevision from 1", ErrConfig)
}

// PolicyFolder is the folder with rules of the owner's own, nil if there is none. One that broker.json names must be
// there; without a word in broker.json the folder policy counts if it is there.
func (c *Config) PolicyFolder() (fs.FS, error) {
	dir := c.layout.PolicyDir()
	switch {
	case c.Policy != nil && c.Policy.Folder == "":
		return nil, nil
	case c.Policy != nil:
		dir = c.Path(c.Policy.Folder)
	case c.layout.Dir == "":
		return nil, nil
	default:
		if _, err := os.Lstat(dir); os.IsNotExist(err) {
			return nil, nil
		}
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: policy: %w", ErrConfig, err)
	}
	return os.DirFS(dir), nil
}

// PolicyBundle reads the bundle and the key that signs it. Only where broker.json names a bundle.
func (c *Config) PolicyBundle(limit int64) (content, key []byte, err error) {
	if key, err = readFile(c.Path(c.Policy.BundleKey), maxConfig); err != nil {
		return nil, nil, fmt.Errorf("%w: policy: %w", ErrConfig, err)
	}
	if content, err = readFile(c.Path(c.Policy.Bundle), limit); err != nil {
		return nil, nil, fmt.Errorf("%w: policy: %w", ErrConfig, err)
	}
	return content, key, nil
}
