// SPDX-License-Identifier: Apache-2.0

package keyholder

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Bounds of passphrases, in bytes. Whoever has a copy of the key file can guess as long as she likes.
const (
	MinPassphrase = 12
	MaxPassphrase = 1 << 10
)

// Unlock opens an owner's key file: an age identity or a passphrase. The zero value opens nothing.
type Unlock struct {
	identity  age.Identity
	recipient age.Recipient
	what      string
}

// IdentityFile unlocks with the age identity in a file of mode 0600.
func IdentityFile(path string) (Unlock, error) {
	raw, err := envelope.ReadSecretFile(path, maxFile)
	if err != nil {
		return Unlock{}, err
	}
	defer clear(raw)
	ids, err := age.ParseIdentities(bytes.NewReader(raw))
	if err != nil || len(ids) != 1 {
		return Unlock{}, fmt.Errorf("%w: %s is not a file with one age identity", ErrInput, filepath.Base(path))
	}
	id, ok := ids[0].(*age.X25519Identity)
	if !ok {
		return Unlock{}, fmt.Errorf("%w: %s does not hold an X25519 identity", ErrInput, filepath.Base(path))
	}
	return Unlock{id, id.Recipient(), "the identity in " + filepath.Base(path)}, nil
}

// Passphrase unlocks with scrypt, as age does. One newline at the end is not part of it.
func Passphrase(pass []byte) (Unlock, error) {
	pass = bytes.TrimSuffix(bytes.TrimSuffix(pass, []byte("\n")), []byte("\r"))
	if len(pass) < MinPassphrase || len(pass) > MaxPassphrase {
		return Unlock{}, fmt.Errorf("%w: a passphrase has %d to %d bytes", ErrInput, MinPassphrase, MaxPassphrase)
	}
	id, err := age.NewScryptIdentity(string(pass))
	if err != nil {
		return Unlock{}, fmt.Errorf("%w: passphrase: %w", ErrInput, err)
	}
	r, err := age.NewScryptRecipient(string(pass))
	if err != nil {
		return Unlock{}, fmt.Errorf("%w: passphrase: %w", ErrInput, err)
	}
	r.SetWorkFactor(workFactor)
	return Unlock{id, r, "the passphrase"}, nil
}

// workFactor is scrypt's, as log2: about a second. Lower in this package's tests.
var workFactor = 18

// PassphraseFile unlocks with the passphrase in a file of mode 0600.
func PassphraseFile(path string) (Unlock, error) {
	b, err := envelope.ReadSecretFile(path, MaxPassphrase+2)
	if err != nil {
		return Unlock{}, err
	}
	defer clear(b)
	return Passphrase(b)
}

// PassphraseFD unlocks with the passphrase that is read from an inherited file descriptor, which is closed then.
func PassphraseFD(fd uintptr) (Unlock, error) {
	f := os.NewFile(fd, "passphrase")
	if f == nil {
		return Unlock{}, fmt.Errorf("%w: file descriptor %d", ErrInput, fd)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxPassphrase+2))
	defer clear(b)
	if err != nil {
		return Unlock{}, fmt.Errorf("%w: file descriptor %d cannot be read: %v", ErrInput, fd, err)
	}
	return Passphrase(b)
}

// PassphrasePrompt asks on the terminal, twice when the passphrase is new. The answer is not shown.
func PassphrasePrompt(isNew bool) (Unlock, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return Unlock{}, fmt.Errorf("%w: no terminal to ask for the passphrase on; put it into a file of mode 0600", ErrAuth)
	}
	defer tty.Close()
	first, err := ask(tty, "Passphrase of the keyholder: ")
	if err != nil {
		return Unlock{}, err
	}
	defer clear(first)
	if isNew {
		again, err := ask(tty, "The same again: ")
		if err != nil {
			return Unlock{}, err
		}
		defer clear(again)
		if !bytes.Equal(first, again) {
			return Unlock{}, fmt.Errorf("%w: the two passphrases differ", ErrInput)
		}
	}
	return Passphrase(first)
}

// ask reads one line with echo off.
func ask(tty *os.File, prompt string) ([]byte, error) {
	fd := int(tty.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	quiet := *old
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &quiet); err != nil {
		return nil, err
	}
	defer unix.IoctlSetTermios(fd, unix.TCSETS, old) //nolint:errcheck // nothing better to do
	if _, err := io.WriteString(tty, prompt); err != nil {
		return nil, err
	}
	line := make([]byte, MaxPassphrase+2)
	n, err := tty.Read(line)  // a terminal gives one line
	io.WriteString(tty, "\n") //nolint:errcheck // for the eye
	if err != nil {
		return nil, err
	}
	return line[:n], nil
}
