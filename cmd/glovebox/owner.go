// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Where things listen unless told otherwise: all on this machine.
const (
	defaultHost          = "http://127.0.0.1:7300"
	defaultCreatorBroker = "http://127.0.0.1:7301"
	defaultBuyerBroker   = "http://127.0.0.1:7302"
)

// owner is the directory of a creator or a buyer, opened.
type owner struct {
	*config.Config
	dir    string
	layout config.Layout
	units  *unitKeys // of what is being packed; nil: it has no contributors
	pack   *packing  // that can be resumed; nil: it cannot
}

// openOwner loads the directory of a role and refuses that of the other.
func openOwner(dir string, role config.Role) (*owner, error) {
	c, err := config.Load(config.Layout{Dir: dir}.Config())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Errorf(KindUsage, "make it with: glovebox %s init --dir %s", role, dir).because("%s is not the directory of a %s", dir, role)
	}
	if err != nil {
		return nil, err
	}
	if (c.Buyer != nil) != (role == config.Buyer) {
		return nil, Errorf(KindUsage, "give the directory made by: glovebox %s init", role).because("%s is not the directory of a %s", dir, role)
	}
	return &owner{Config: c, dir: c.Layout().Dir, layout: c.Layout()}, nil
}

// host is where the owner publishes: the flag, or what init was told.
func (o *owner) host(flag string) (*hostClient, error) {
	if flag == "" {
		flag = o.LogURL
	}
	if flag == "" {
		return nil, Errorf(KindUsage, "give --host URL, or make the directory with it").because("no host is known")
	}
	return dialHost(flag)
}

// signer loads one of the directory's keys.
func (o *owner) signer(path string, role envelope.Role) (*envelope.Signer, error) {
	return envelope.LoadKeyFile(path, role)
}

// sealSource packs what c's source is set to, after in's steps if there are any, and stores package and wrapped key.
func (o *owner) sealSource(ctx context.Context, c dataset.PackConfig, previous *config.Package, in *ingest) (_ *dataset.Packed, err error) {
	defer func() { err = o.pack.end(ctx, o, err) }()
	kh, closeIt, err := o.keyholder(ctx)
	if err != nil {
		return nil, err
	}
	defer closeIt()
	if c.Signer, err = o.signer(o.layout.OwnerKey(), envelope.RoleOwner); err != nil {
		return nil, err
	}
	if c.Store, err = o.blobs(ctx); err != nil {
		return nil, err
	}
	broker, err := o.signer(o.layout.BrokerKey(), envelope.RoleBroker)
	if err != nil {
		return nil, err
	}
	c.Manifest.Broker = dataset.Broker{Address: o.Address, Key: broker.Public()}
	if err := o.pack.begin(ctx, o, kh, &c, previous); err != nil {
		return nil, err
	}
	defer c.Key.Wipe()
	if in != nil {
		end, err := in.run(ctx, &c)
		if err != nil {
			return nil, err
		}
		defer end() //nolint:errcheck // what it held is wiped
		if in.noise.any {
			if err := o.pack.cannotRepeat(o, &c); err != nil {
				return nil, err
			}
		}
	}
	o.units.begin(ctx, kh)
	defer o.units.wipe()
	p, err := dataset.Pack(ctx, c)
	if err != nil {
		return nil, err
	}
	return p, o.keep(ctx, kh, p, c.Key)
}

// keep stores a package with its wrapped keys, those of contributors first: a crash may leave keys that no package needs,
// never a package without its keys.
func (o *owner) keep(ctx context.Context, kh keyholder.Keyholder, p *dataset.Packed, key dataset.Key) (err error) {
	unlock, err := o.layout.LockKeys()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := o.units.keep(); err != nil {
		return err
	}
	wrapped, err := kh.Wrap(ctx, keyholder.Context(p.ID), key.Bytes())
	if err != nil {
		return err
	}
	_, err = config.AddPackage(o.dir, p.Signed, wrapped)
	return err
}

// dataKey is fresh, or that of the version before, whose segments stay as they are.
func (o *owner) dataKey(ctx context.Context, kh keyholder.Keyholder, c *dataset.PackConfig, previous *config.Package) (dataset.Key, error) {
	if previous == nil {
		return dataset.NewKey(), nil
	}
	var err error
	if c.Previous, err = dataset.Verify(previous.Signed); err != nil {
		return dataset.Key{}, err
	}
	wrapped, err := o.WrappedKey(previous.ID)
	if err != nil {
		return dataset.Key{}, err
	}
	b, err := kh.Unwrap(ctx, keyholder.Context(previous.ID), wrapped)
	if err != nil {
		return dataset.Key{}, err
	}
	defer clear(b)
	return dataset.KeyFromBytes(b)
}

// find resolves a manifest digest, an unambiguous beginning of one, or a package's name, of which it is the newest version.
func (o *owner) find(what string) (*config.Package, error) {
	list, err := config.ListPackages(o.dir)
	if err != nil {
		return nil, err
	}
	return o.among(what, list)
}

// among is find in a list of the owner's packages.
func (o *owner) among(what string, list []config.Package) (*config.Package, error) {
	prefix, matches := strings.TrimPrefix(what, "sha256:"), []config.Package(nil)
	for _, p := range list {
		if p.Manifest.Name == what || (len(prefix) >= 4 && strings.HasPrefix(p.ID.Hex(), prefix)) {
			matches = append(matches, p)
		}
	}
	if len(matches) == 0 {
		if len(list) == 0 {
			return nil, Errorf(KindUsage, "%s", o.packFirst()).because("%s holds no package", o.dir)
		}
		return nil, Errorf(KindUsage, "see what there is with: %s", o.listCommand()).because("no package %q in %s", what, o.dir)
	}
	best := &matches[0]
	for i := range matches[1:] {
		p := &matches[1+i]
		if p.Manifest.Name != what || best.Manifest.Name != what || p.Manifest.Dataset != best.Manifest.Dataset || p.Manifest.Version == best.Manifest.Version {
			return nil, Errorf(KindUsage, "give more of its digest").because("%d packages match %q", len(matches), what)
		}
		if p.Manifest.Version > best.Manifest.Version {
			best = p
		}
	}
	return best, nil
}

// listCommand lists the packages that find looks in: a creator's are datasets, a buyer's code has no list of its own.
func (o *owner) listCommand() string {
	if o.Buyer != nil {
		return "glovebox buyer pack CODE --dir " + o.dir
	}
	return "glovebox creator ls --dir " + o.dir
}

func (o *owner) packFirst() string {
	if o.Buyer != nil {
		return "pack something first: glovebox buyer pack CODE --dir " + o.dir
	}
	return "pack something first: glovebox creator pack SOURCE --dir " + o.dir
}

// newInit is `creator init` and `buyer init`.
func newInit(role config.Role, defaultBroker string) *cobra.Command {
	var dir, address, listen, host, store string
	var asJSON, hybrid bool
	var silence time.Duration
	var keys keyholderFlags
	cmd := &cobra.Command{
		Use: "init", Short: fmt.Sprintf("Make the directory of a %s: keys, broker configuration, keyholder", role), Args: noArgs,
		Example: fmt.Sprintf("  glovebox %s init --dir %s", role, defaultDir(role)),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if host != "" {
				if _, err := dialHost(host); err != nil {
					return err
				}
			}
			l, err := listenOf(address, listen)
			if err != nil {
				return err
			}
			o := config.Options{Role: role, Listen: l, Address: address, LogURL: host, Store: store, HeartbeatTimeout: silence.Milliseconds(), Hybrid: hybrid}
			if err := keys.apply(&o); err != nil {
				return err
			}
			if store != "" {
				if _, err := openBlobs(cmd.Context(), store, ""); err != nil {
					return err
				}
			}
			c, err := config.Init(dir, o)
			if errors.Is(err, config.ErrExists) {
				return Errorf(KindUsage, "choose another --dir; a directory with keys is never overwritten").from(err)
			}
			if err != nil {
				return err
			}
			say(cmd, "made %s; keep it private, and keep a copy of it: without %s no package opens", c.Layout().Dir, keys.needed(c))
			return showIdentity(cmd, &owner{Config: c, dir: c.Layout().Dir, layout: c.Layout()}, asJSON)
		},
	}
	f := cmd.Flags()
	dirFlag(cmd, &dir, role)
	f.StringVar(&address, "address", defaultBroker, "where enclaves reach this broker, through the host, by URL")
	f.StringVar(&listen, "listen", "", "address the broker listens on (default: that of --address)")
	f.StringVar(&host, "host", defaultHost, "host to publish to and to log at, by URL")
	f.StringVar(&store, "store", "", "bucket for the sealed blobs, as s3://bucket/prefix?endpoint=https://s3.example.org (default: a folder here); credentials as AWS's tools take them")
	f.DurationVar(&silence, "silence", config.DefaultHeartbeatTimeout, "silence of an enclave after which its lease is lost; enclaves speak every 2s")
	if role == config.Buyer {
		f.BoolVar(&hybrid, "hybrid", false, "results are for a post-quantum age recipient too (age1pq...); age before 1.3 cannot open them")
	}
	keys.register(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// listenOf derives a listening address from a URL.
func listenOf(address, listen string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "", Errorf(KindUsage, "give it as --address http://127.0.0.1:7301").because("%q is not a URL", address)
	}
	if listen != "" {
		return listen, nil
	}
	if u.Port() != "" {
		return u.Host, nil
	}
	return net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme]), nil
}

func defaultDir(role config.Role) string { return filepath.Join(".", string(role)) }

func dirFlag(cmd *cobra.Command, dir *string, role config.Role) {
	cmd.Flags().StringVar(dir, "dir", defaultDir(role), fmt.Sprintf("directory of the %s", role))
}

func hostFlag(cmd *cobra.Command, host *string) {
	cmd.Flags().StringVar(host, "host", "", "host, by URL (default: the one given to init)")
}

func jsonFlag(cmd *cobra.Command, v *bool) {
	cmd.Flags().BoolVar(v, "json", false, "print one JSON object")
}
