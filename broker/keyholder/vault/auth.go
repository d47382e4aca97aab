// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	maxSecret     = 16 << 10
	secretIDTail  = "/secret-id"
	minRenewal    = 100 * time.Millisecond // between two renewals
	maxRenewal    = time.Hour
	renewPause    = 5 * time.Second // after a failure
	renewFraction = 3               // a token is renewed when a third of its time is left
)

// auth logs in by one method. Secrets are read from their files at each login, so that replaced ones count.
type auth struct {
	config.VaultAuth
	resolve func(string) string

	mu       sync.Mutex
	secretID []byte // the unwrapped one: a wrapping token is good once
}

// lease is how long a token lives.
type lease struct {
	ttl       time.Duration // 0: for ever
	renewable bool
}

func (a *auth) mount() string {
	if a.Mount != "" {
		return a.Mount
	}
	return a.Method
}

// secret reads a file of mode 0600 with one secret in it.
func (a *auth) secret(name string) (string, error) {
	b, err := envelope.ReadSecretFile(a.resolve(name), maxSecret)
	if err != nil {
		return "", fmt.Errorf("%w: %w", keyholder.ErrAuth, err)
	}
	defer clear(b)
	s := string(bytes.TrimSpace(b))
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%w: %s does not hold one secret", keyholder.ErrAuth, filepath.Base(name))
	}
	return s, nil
}

// login gets a token, unless somebody else did since the caller saw logins at before. It is not interrupted by the caller's
// end, because a wrapped secret id that was opened and not kept is lost; each of its requests has its time.
func (c *client) login(ctx context.Context, before int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logins.Load() != before {
		return nil
	}
	if time.Since(c.last) < loginPause && c.lastErr != nil {
		return c.lastErr
	}
	c.lastErr = c.authenticate(context.WithoutCancel(ctx))
	c.last = time.Now()
	return c.lastErr
}

func (c *client) authenticate(ctx context.Context) error {
	token, l, err := c.newToken(ctx)
	if err != nil {
		return classify(err, keyholder.ErrAuth)
	}
	c.api.SetToken(token)
	c.lease = l
	c.logins.Add(1)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

func (c *client) newToken(ctx context.Context) (string, lease, error) {
	if c.auth.Method == config.AuthToken {
		return c.givenToken(ctx)
	}
	body, err := c.credentials(ctx)
	if err != nil {
		return "", lease{}, err
	}
	r, err := c.send(ctx, c.anon, http.MethodPut, "auth/"+c.auth.mount()+"/login", body)
	if err != nil {
		if s, ok := errors.AsType[*statusError](err); ok && s.code == http.StatusBadRequest {
			c.auth.forget()
		}
		return "", lease{}, err
	}
	if r.Auth == nil || r.Auth.ClientToken == "" {
		return "", lease{}, fmt.Errorf("%w: vault's login gives no token", keyholder.ErrAuth)
	}
	return r.Auth.ClientToken, lease{time.Duration(r.Auth.LeaseDuration) * time.Second, r.Auth.Renewable}, nil
}

func (c *client) credentials(ctx context.Context) (map[string]string, error) {
	a := &c.auth
	if a.Method == config.AuthJWT {
		jwt, err := a.secret(a.JWTFile)
		return map[string]string{"role": a.Role, "jwt": jwt}, err
	}
	role, err := a.secret(a.RoleIDFile)
	if err != nil {
		return nil, err
	}
	id, err := c.secretID(ctx)
	return map[string]string{"role_id": role, "secret_id": id}, err
}

// secretID is the AppRole's. A wrapped one is unwrapped once and kept in memory.
func (c *client) secretID(ctx context.Context) (string, error) {
	a := &c.auth
	if !a.SecretIDWrapped {
		return a.secret(a.SecretIDFile)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.secretID) > 0 {
		return string(a.secretID), nil
	}
	token, err := a.secret(a.SecretIDFile)
	if err != nil {
		return "", err
	}
	if err := c.checkWrapping(ctx, token); err != nil {
		return "", err
	}
	by, err := c.as(token)
	if err != nil {
		return "", err
	}
	r, err := c.send(ctx, by, http.MethodPut, "sys/wrapping/unwrap", map[string]string{})
	if err != nil {
		return "", spent(err)
	}
	if r.Data.SecretID == "" {
		return "", fmt.Errorf("%w: %s does not wrap a secret id", keyholder.ErrAuth, filepath.Base(a.SecretIDFile))
	}
	a.secretID = []byte(r.Data.SecretID)
	return r.Data.SecretID, nil
}

// checkWrapping makes sure, without using the token up, that it wraps what this AppRole mount made: whoever took the
// secret id out on the way and wrapped one of her own is noticed.
func (c *client) checkWrapping(ctx context.Context, token string) error {
	r, err := c.send(ctx, c.anon, http.MethodPut, "sys/wrapping/lookup", map[string]string{"token": token})
	if err != nil {
		return spent(err)
	}
	p := r.Data.CreationPath
	if !strings.HasPrefix(p, "auth/"+c.auth.mount()+"/role/") || !strings.HasSuffix(p, secretIDTail) {
		return fmt.Errorf("%w: the wrapped secret id was made at %q; treat the credential as stolen", keyholder.ErrAuth, brief(p))
	}
	return nil
}

// spent explains a wrapping token that does not open.
func spent(err error) error {
	if s, ok := errors.AsType[*statusError](err); ok && (s.code == http.StatusBadRequest || s.code == http.StatusForbidden) {
		return fmt.Errorf("%w: the wrapped secret id was used before or has expired; if nobody here used it, somebody else did: %w", keyholder.ErrAuth, s)
	}
	return err
}

// forget drops a secret id that Vault refuses, so that a new wrapped one in the file is read.
func (a *auth) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.secretID)
	a.secretID = nil
}

// as is a client with another token.
func (c *client) as(token string) (*api.Client, error) {
	a, err := newAPI(c.options, c.http)
	if err != nil {
		return nil, err
	}
	a.SetToken(token)
	return a, nil
}

// givenToken takes a token that somebody else got, such as a Vault agent.
func (c *client) givenToken(ctx context.Context) (string, lease, error) {
	token, err := c.auth.secret(c.auth.TokenFile)
	if err != nil {
		return "", lease{}, err
	}
	by, err := c.as(token)
	if err != nil {
		return "", lease{}, err
	}
	r, err := c.send(ctx, by, http.MethodGet, "auth/token/lookup-self", nil)
	if err != nil {
		return "", lease{}, err
	}
	return token, lease{time.Duration(r.Data.TTL) * time.Second, r.Data.Renewable}, nil
}

// keep renews the token until ctx ends: when a third of its time is left, or, where it cannot be renewed, by a new login.
// What fails here is tried again, and the next call that needs the token says what is wrong.
func (c *client) keep(ctx context.Context) {
	for {
		c.mu.Lock()
		l, at := c.lease, c.logins.Load()
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
			continue
		case <-wait(l):
		}
		if err := c.renew(ctx, l, at); err != nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(min(renewPause, max(l.ttl/10, minRenewal))):
			}
		}
	}
}

// wait fires when a token is due; never for one that lives for ever.
func wait(l lease) <-chan time.Time {
	if l.ttl <= 0 {
		return nil
	}
	return time.After(min(max(l.ttl-l.ttl/renewFraction, minRenewal), maxRenewal))
}

func (c *client) renew(ctx context.Context, l lease, at int64) error {
	if !l.renewable {
		return c.login(ctx, at)
	}
	r, err := c.send(ctx, c.api, http.MethodPut, "auth/token/renew-self", map[string]any{})
	if err != nil || r.Auth == nil {
		return errors.Join(err, c.login(ctx, at))
	}
	next := time.Duration(r.Auth.LeaseDuration) * time.Second
	if next < l.ttl/2 { // close to its maximum: renewing gives less each time
		return c.login(ctx, at)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logins.Load() == at {
		c.lease = lease{next, r.Auth.Renewable}
	}
	return nil
}
