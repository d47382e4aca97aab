// SPDX-License-Identifier: Apache-2.0

package keyholder

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	kekSize     = 32
	maxFile     = 16 << 10
	wrapLabel   = "glovebox.dev/key-wrap/v1\n" // opens every wrapped key; also part of the authenticated data
	identityTip = "# Glovebox keyholder identity: opens the key-encryption key beside it. Keep it secret.\n"
)

// File is a keyholder whose key-encryption key lies in an age file, opened with an X25519 identity file.
type File struct {
	aead cipher.AEAD
}

// Create makes a key-encryption key and an identity and writes both with mode 0600. It never overwrites.
func Create(path, identityPath string) (*File, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	var kek [kekSize]byte
	defer clear(kek[:])
	if _, err := rand.Read(kek[:]); err != nil {
		return nil, err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, id.Recipient())
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(kek[:]); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := writeNew(identityPath, []byte(identityTip+id.String()+"\n")); err != nil {
		return nil, err
	}
	if err := writeNew(path, sealed.Bytes()); err != nil {
		return nil, err
	}
	return newFile(kek[:])
}

// Open reads what [Create] wrote. It refuses files that others can read ([envelope.ErrKeyMode]).
func Open(path, identityPath string) (*File, error) {
	raw, err := envelope.ReadSecretFile(identityPath, maxFile)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	ids, err := age.ParseIdentities(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not an age identity file", ErrInput, filepath.Base(identityPath))
	}
	sealed, err := envelope.ReadSecretFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), ids...)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not for the identity in %s", ErrInput, filepath.Base(path), filepath.Base(identityPath))
	}
	kek, err := io.ReadAll(io.LimitReader(r, kekSize+1))
	defer clear(kek)
	if err != nil || len(kek) != kekSize {
		return nil, fmt.Errorf("%w: %s does not hold a key of %d bytes", ErrInput, filepath.Base(path), kekSize)
	}
	return newFile(kek)
}

func newFile(kek []byte) (*File, error) {
	if bytes.Equal(kek, make([]byte, kekSize)) {
		return nil, fmt.Errorf("%w: the key-encryption key is all zero", ErrInput)
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &File{aead}, nil
}

// Wrap encrypts key with AES-256-GCM, with label and context as authenticated data.
func (f *File) Wrap(_ context.Context, context, key []byte) ([]byte, error) {
	if f == nil || f.aead == nil {
		return nil, fmt.Errorf("%w: no key-encryption key", ErrInput)
	}
	if err := checkWrap(context, key); err != nil {
		return nil, err
	}
	return f.aead.Seal([]byte(wrapLabel), nil, key, authenticated(context)), nil
}

// Unwrap is the inverse of Wrap. The caller wipes the result.
func (f *File) Unwrap(_ context.Context, context, wrapped []byte) ([]byte, error) {
	if f == nil || f.aead == nil {
		return nil, fmt.Errorf("%w: no key-encryption key", ErrInput)
	}
	if err := checkUnwrap(context, wrapped); err != nil {
		return nil, err
	}
	body, ok := strings.CutPrefix(string(wrapped), wrapLabel)
	if !ok {
		return nil, fmt.Errorf("%w: not a wrapped key", ErrUnwrap)
	}
	key, err := f.aead.Open(nil, nil, []byte(body), authenticated(context))
	if err != nil || len(key) == 0 {
		return nil, ErrUnwrap
	}
	return key, nil
}

func authenticated(context []byte) []byte {
	d := envelope.Hash(wrapLabel, context)
	return d[:]
}

// writeNew creates a file with mode 0600 and makes it durable; on error nothing of it stays.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, werr := f.Write(b)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
