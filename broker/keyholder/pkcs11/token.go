// SPDX-License-Identifier: Apache-2.0

//go:build pkcs11 && cgo

package pkcs11

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
)

// errStale means that the keys in the token are others than we know.
var errStale = errors.New("pkcs11: another program changed the keys")

// idOf is the CKA_ID of a version.
func idOf(version int) []byte { return []byte("v" + strconv.Itoa(version)) }

func versionOf(id []byte) (int, bool) {
	rest, ok := strings.CutPrefix(string(id), "v")
	v, err := strconv.Atoi(rest)
	return v, ok && err == nil && v > 0 && v < 1<<30 && strconv.Itoa(v) == rest
}

// connect finds the token, opens the sessions and logs in. A PIN that was refused is not tried again: tokens lock.
func (k *Keyholder) connect() error {
	slot, err := k.findSlot()
	if err != nil {
		return err
	}
	pin, err := k.pin()
	if err != nil {
		return err
	}
	defer clear(pin)
	digest := sha256.Sum256(pin)
	if k.refused != nil && *k.refused == digest {
		return fmt.Errorf("%w: the PIN was refused before and is not tried again", keyholder.ErrAuth)
	}
	pool := make(chan p11.SessionHandle, k.sessions)
	for i := range k.sessions {
		s, err := k.ctx.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
		if err != nil {
			return classify("open a session", err, keyholder.ErrUnavailable)
		}
		pool <- s
		if i > 0 {
			continue
		}
		if err := k.ctx.Login(s, p11.CKU_USER, string(pin)); err != nil && !errors.Is(err, p11.Error(p11.CKR_USER_ALREADY_LOGGED_IN)) {
			err = classify("log in", err, keyholder.ErrUnavailable)
			if errors.Is(err, keyholder.ErrAuth) {
				k.refused = &digest
			}
			k.ctx.CloseSession(s) //nolint:errcheck // already failing
			return err
		}
	}
	k.slot, k.pool = slot, pool
	return nil
}

func (k *Keyholder) findSlot() (uint, error) {
	slots, err := k.ctx.GetSlotList(true)
	if err != nil {
		return 0, classify("list slots", err, keyholder.ErrUnavailable)
	}
	found := []uint{}
	for _, s := range slots {
		if info, err := k.ctx.GetTokenInfo(s); err == nil && strings.TrimRight(info.Label, " \x00") == k.cfg.Token {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("%w: no token with the label %q is there", keyholder.ErrUnavailable, k.cfg.Token)
	case 1:
		return found[0], nil
	}
	return 0, fmt.Errorf("%w: %d tokens have the label %q", keyholder.ErrInput, len(found), k.cfg.Token)
}

// find lists the versions in the token, and refuses keys that could leave it or that are not what we make.
func (k *Keyholder) find(s p11.SessionHandle) (map[int]p11.ObjectHandle, error) {
	template := []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), p11.NewAttribute(p11.CKA_LABEL, k.cfg.Key), p11.NewAttribute(p11.CKA_TOKEN, true),
	}
	if err := k.ctx.FindObjectsInit(s, template); err != nil {
		return nil, fail("find keys", err, keyholder.ErrUnavailable)
	}
	objects, _, err := k.ctx.FindObjects(s, maxVersions+1)
	if ferr := k.ctx.FindObjectsFinal(s); err == nil {
		err = ferr
	}
	if err != nil {
		return nil, fail("find keys", err, keyholder.ErrUnavailable)
	}
	if len(objects) > maxVersions {
		return nil, fmt.Errorf("%w: more than %d keys have the label %q", keyholder.ErrInput, maxVersions, k.cfg.Key)
	}
	out := map[int]p11.ObjectHandle{}
	for _, o := range objects {
		v, err := k.inspect(s, o)
		if err != nil {
			return nil, err
		}
		if _, twice := out[v]; twice {
			return nil, fmt.Errorf("%w: two keys %q have version %d", keyholder.ErrInput, k.cfg.Key, v)
		}
		out[v] = o
	}
	return out, nil
}

func (k *Keyholder) inspect(s p11.SessionHandle, o p11.ObjectHandle) (int, error) {
	got, err := k.ctx.GetAttributeValue(s, o, []*p11.Attribute{
		p11.NewAttribute(p11.CKA_ID, nil), p11.NewAttribute(p11.CKA_KEY_TYPE, nil), p11.NewAttribute(p11.CKA_VALUE_LEN, nil),
		p11.NewAttribute(p11.CKA_SENSITIVE, nil), p11.NewAttribute(p11.CKA_EXTRACTABLE, nil),
		p11.NewAttribute(p11.CKA_NEVER_EXTRACTABLE, nil), p11.NewAttribute(p11.CKA_ALWAYS_SENSITIVE, nil),
	})
	if err != nil {
		return 0, fail("look at a key", err, keyholder.ErrUnavailable)
	}
	attr := map[uint][]byte{}
	for _, a := range got {
		attr[a.Type] = a.Value
	}
	is := func(a uint, v any) bool { return string(attr[a]) == string(p11.NewAttribute(a, v).Value) }
	v, ok := versionOf(attr[p11.CKA_ID])
	if !ok || !is(p11.CKA_KEY_TYPE, p11.CKK_AES) || !is(p11.CKA_VALUE_LEN, keySize) || !is(p11.CKA_SENSITIVE, true) ||
		!is(p11.CKA_EXTRACTABLE, false) || !is(p11.CKA_NEVER_EXTRACTABLE, true) || !is(p11.CKA_ALWAYS_SENSITIVE, true) {
		return 0, fmt.Errorf("%w: key %q with ID %q is not AES-256 made in the token, with an ID v1, v2, …, that could never leave it", keyholder.ErrInput, k.cfg.Key, attr[p11.CKA_ID])
	}
	return v, nil
}

func (k *Keyholder) generate(s p11.SessionHandle, version int) error {
	yes, no := true, false
	_, err := k.ctx.GenerateKey(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_KEY_GEN, nil)}, []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_AES),
		p11.NewAttribute(p11.CKA_VALUE_LEN, keySize), p11.NewAttribute(p11.CKA_LABEL, k.cfg.Key), p11.NewAttribute(p11.CKA_ID, idOf(version)),
		p11.NewAttribute(p11.CKA_TOKEN, yes), p11.NewAttribute(p11.CKA_PRIVATE, yes), p11.NewAttribute(p11.CKA_SENSITIVE, yes),
		p11.NewAttribute(p11.CKA_EXTRACTABLE, no), p11.NewAttribute(p11.CKA_ENCRYPT, yes), p11.NewAttribute(p11.CKA_DECRYPT, yes),
		p11.NewAttribute(p11.CKA_WRAP, no), p11.NewAttribute(p11.CKA_UNWRAP, no), p11.NewAttribute(p11.CKA_DERIVE, no), p11.NewAttribute(p11.CKA_MODIFIABLE, no),
	})
	return classify("make a key", err, keyholder.ErrUnavailable)
}

// What may help after an error: looking at the keys again, because another program made or destroyed some, or connecting
// again.
type remedy int

const (
	none remedy = iota
	look
	again
)

func remedyFor(err error) remedy {
	if errors.Is(err, errStale) {
		return look
	}
	e, ok := errors.AsType[p11.Error](err)
	if !ok {
		return none
	}
	switch uint(e) {
	case p11.CKR_OBJECT_HANDLE_INVALID, p11.CKR_KEY_HANDLE_INVALID:
		return look
	case p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SESSION_CLOSED, p11.CKR_DEVICE_REMOVED, p11.CKR_TOKEN_NOT_PRESENT, p11.CKR_USER_NOT_LOGGED_IN,
		p11.CKR_OPERATION_ACTIVE:
		return again
	}
	return none
}

// fail is classify, but keeps the codes that have a remedy.
func fail(what string, err, otherwise error) error {
	if remedyFor(err) != none {
		return fmt.Errorf("%w: token: %s: %w", keyholder.ErrUnavailable, what, err)
	}
	return classify(what, err, otherwise)
}

// classify turns a token's answer into an error of package keyholder; otherwise is for codes that say nothing definite.
func classify(what string, err, otherwise error) error {
	if err == nil {
		return nil
	}
	kind := otherwise
	if e, ok := errors.AsType[p11.Error](err); ok {
		switch uint(e) {
		case p11.CKR_PIN_INCORRECT, p11.CKR_PIN_INVALID, p11.CKR_PIN_LEN_RANGE, p11.CKR_PIN_EXPIRED, p11.CKR_PIN_LOCKED, p11.CKR_USER_PIN_NOT_INITIALIZED:
			kind = keyholder.ErrAuth
		case p11.CKR_HOST_MEMORY, p11.CKR_DEVICE_ERROR, p11.CKR_DEVICE_MEMORY, p11.CKR_DEVICE_REMOVED, p11.CKR_TOKEN_NOT_PRESENT, p11.CKR_TOKEN_NOT_RECOGNIZED,
			p11.CKR_SESSION_COUNT, p11.CKR_SESSION_CLOSED, p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_USER_NOT_LOGGED_IN, p11.CKR_CRYPTOKI_NOT_INITIALIZED,
			p11.CKR_SLOT_ID_INVALID, p11.CKR_FUNCTION_CANCELED:
			kind = keyholder.ErrUnavailable
		}
	}
	return fmt.Errorf("%w: token: %s: %s", kind, what, err.Error())
}
