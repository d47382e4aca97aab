// SPDX-License-Identifier: Apache-2.0

//go:build pkcs11 && cgo

package pkcs11

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	p11 "github.com/miekg/pkcs11"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	label           = "glovebox.dev/key-wrap-pkcs11/v1\n"
	keySize         = 32
	ivSize          = 12
	tagSize         = 16
	maxPIN          = 256
	maxVersions     = 64
	defaultSessions = 4
)

// Config names the keys.
type Config struct {
	*config.PKCS11Keyholder
	Resolve func(string) string // of file names; nil: as they are
	Create  bool                // make the first version where there is none
}

// Keyholder is a set of AES-256 keys in one token, the versions of one key. A process opens a token's library once.
type Keyholder struct {
	cfg      Config
	ctx      *p11.Ctx
	sessions int

	mu     sync.RWMutex // held for writing while the sessions or the versions change
	slot   uint
	pool   chan p11.SessionHandle
	keys   map[int]p11.ObjectHandle
	lost   bool // there are no sessions, because connecting failed
	closed bool

	refused *[sha256.Size]byte // digest of a PIN that the token refused
}

// Open loads the token's library, logs in and looks at the keys. A key that could leave the token is
// [keyholder.ErrInput]; a refused PIN is [keyholder.ErrAuth].
func Open(c Config) (*Keyholder, error) {
	if c.PKCS11Keyholder == nil {
		return nil, fmt.Errorf("%w: no PKCS#11 configuration", keyholder.ErrInput)
	}
	valid := config.Keyholder{Kind: config.KeyholderPKCS11, PKCS11: c.PKCS11Keyholder}
	if err := valid.Validate(); err != nil {
		return nil, err
	}
	if c.Resolve == nil {
		c.Resolve = func(s string) string { return s }
	}
	k := &Keyholder{cfg: c, sessions: c.Sessions}
	if k.sessions == 0 {
		k.sessions = defaultSessions
	}
	if k.ctx = p11.New(c.Module); k.ctx == nil {
		return nil, fmt.Errorf("%w: %s is not a PKCS#11 library", keyholder.ErrInput, filepath.Base(c.Module))
	}
	if err := k.ctx.Initialize(); err != nil && !errors.Is(err, p11.Error(p11.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		return nil, classify("initialise", err, keyholder.ErrUnavailable)
	}
	if err := k.start(); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

func (k *Keyholder) start() error {
	if err := k.connect(); err != nil {
		return err
	}
	return k.reload(k.cfg.Create)
}

// reload reads the versions again; the caller holds the lock, or is alone.
func (k *Keyholder) reload(create bool) error {
	if len(k.pool) == 0 {
		return fmt.Errorf("%w: token: no session", keyholder.ErrUnavailable)
	}
	s := <-k.pool
	defer func() { k.pool <- s }()
	keys, err := k.find(s)
	if err != nil {
		return err
	}
	if len(keys) == 0 && create {
		if err := k.generate(s, 1); err != nil {
			return err
		}
		if keys, err = k.find(s); err != nil {
			return err
		}
	}
	if len(keys) == 0 {
		return fmt.Errorf("%w: the token has no key with the label %q", keyholder.ErrInput, k.cfg.Key)
	}
	k.keys = keys
	return nil
}

func (k *Keyholder) pin() ([]byte, error) {
	b, err := envelope.ReadSecretFile(k.cfg.Resolve(k.cfg.PINFile), maxPIN)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", keyholder.ErrAuth, err)
	}
	if b = bytes.TrimRight(b, "\r\n"); len(b) == 0 {
		return nil, fmt.Errorf("%w: %s is empty", keyholder.ErrAuth, filepath.Base(k.cfg.PINFile))
	}
	return b, nil
}

// Close closes the sessions. It leaves the library loaded: other keyholders of this process may use it.
func (k *Keyholder) Close() error {
	if k == nil || k.ctx == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.drain()
	return nil
}

// with runs work in a session, once more after looking at the keys again or connecting again where that may help.
func (k *Keyholder) with(ctx context.Context, work func(s p11.SessionHandle) error) error {
	if k == nil || k.ctx == nil {
		return fmt.Errorf("%w: no token", keyholder.ErrInput)
	}
	err := k.try(ctx, work)
	r := remedyFor(err)
	if r == none {
		return err
	}
	if err := k.heal(r); err != nil {
		return err
	}
	if err = k.try(ctx, work); errors.Is(err, errStale) {
		return keyholder.ErrUnwrap
	}
	return err
}

func (k *Keyholder) heal(r remedy) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return fmt.Errorf("%w: closed", keyholder.ErrUnavailable)
	}
	if r == look {
		if err := k.reload(false); remedyFor(err) != again {
			return err
		}
	}
	k.drain()
	k.lost = true
	err := k.start()
	k.lost = err != nil
	return err
}

// drain closes the sessions; the caller holds the lock, so that all are in the pool.
func (k *Keyholder) drain() {
	for range len(k.pool) {
		k.ctx.CloseSession(<-k.pool) //nolint:errcheck // it may be gone already
	}
}

func (k *Keyholder) try(ctx context.Context, work func(s p11.SessionHandle) error) error {
	if err := keyholder.Interrupted(ctx); err != nil {
		return err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		return fmt.Errorf("%w: closed", keyholder.ErrUnavailable)
	}
	if k.lost {
		return fmt.Errorf("%w: token: %w", keyholder.ErrUnavailable, p11.Error(p11.CKR_SESSION_CLOSED)) // connecting failed before
	}
	select {
	case s := <-k.pool:
		defer func() { k.pool <- s }()
		return work(s)
	case <-ctx.Done():
		return keyholder.Interrupted(ctx)
	}
}

func authenticated(head, context []byte) []byte {
	d := envelope.Hash(label, head, context)
	return d[:]
}

// Wrap encrypts key in the token, by AES-GCM under the latest version.
func (k *Keyholder) Wrap(ctx context.Context, context, key []byte) (out []byte, err error) {
	if err := keyholder.CheckWrap(context, key); err != nil {
		return nil, err
	}
	err = k.with(ctx, func(s p11.SessionHandle) error {
		v := k.versions().Latest
		head := keyholder.Encode(label, v, nil)
		iv := make([]byte, ivSize)
		rand.Read(iv) //nolint:errcheck // never fails since Go 1.24
		params := p11.NewGCMParams(iv, authenticated(head, context), tagSize*8)
		defer params.Free()
		if err := k.ctx.EncryptInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_GCM, params)}, k.keys[v]); err != nil {
			return fail("encrypt", err, keyholder.ErrUnavailable)
		}
		ct, err := k.ctx.Encrypt(s, key)
		if err != nil {
			return fail("encrypt", err, keyholder.ErrUnavailable)
		}
		iv = params.IV() // some tokens make one of their own
		if len(iv) != ivSize || len(ct) != len(key)+tagSize {
			return fmt.Errorf("%w: token: it gives an IV of %d bytes and a ciphertext of %d", keyholder.ErrUnavailable, len(iv), len(ct))
		}
		out = append(append(head, iv...), ct...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Unwrap decrypts in the token. The caller wipes the result.
func (k *Keyholder) Unwrap(ctx context.Context, context, wrapped []byte) (key []byte, err error) {
	if err := keyholder.CheckUnwrap(context, wrapped); err != nil {
		return nil, err
	}
	if k == nil || k.ctx == nil {
		return nil, fmt.Errorf("%w: no token", keyholder.ErrInput)
	}
	v, body, err := keyholder.Decode(label, wrapped)
	if err != nil {
		return nil, err
	}
	if len(body) <= ivSize+tagSize {
		return nil, keyholder.ErrUnwrap
	}
	err = k.with(ctx, func(s p11.SessionHandle) error {
		object, ok := k.keys[v]
		if !ok {
			return errStale
		}
		params := p11.NewGCMParams(body[:ivSize], authenticated(wrapped[:len(wrapped)-len(body)], context), tagSize*8)
		defer params.Free()
		if err := k.ctx.DecryptInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_GCM, params)}, object); err != nil {
			return fail("decrypt", err, keyholder.ErrUnavailable)
		}
		var err error
		key, err = k.ctx.Decrypt(s, body[ivSize:])
		return fail("decrypt", err, keyholder.ErrUnwrap)
	})
	if err != nil {
		clear(key)
		return nil, err
	}
	if len(key) == 0 {
		return nil, keyholder.ErrUnwrap
	}
	return key, nil
}
