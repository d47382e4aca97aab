// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// asked is a keyholder that gives out challenges and seals nothing.
type asked struct {
	keyholder.Keyholder
	n int
}

func (a *asked) Challenge(context.Context, envelope.Digest, envelope.Digest) (envelope.Nonce, error) {
	a.n++
	return envelope.NewNonce(), nil
}

func (a *asked) Seal(context.Context, keyholder.SealRequest) ([]byte, error) {
	return nil, errors.New("it seals nothing")
}

// TestKeyholderIsNotAskedForChallengesBeyondTheBound: strangers do not fill a keyholder's storage through the broker.
func TestKeyholderIsNotAskedForChallengesBeyondTheBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	must(t, w.creator.Close())
	l := w.creator.cfg.Layout()
	kh, err := keyholder.Open(l.Keyholder(), l.KeyholderIdentity())
	must(t, err)
	k := &asked{Keyholder: kh}
	w.creator.keys = k
	w.creator.start()
	want(t, w.asking(1).release(w.data), broker.ErrKey) // its challenge is used, and stays
	if k.n != 1 {
		t.Fatalf("the keyholder was asked %d times", k.n)
	}
	w.creator.SetMaxNonces(1)
	for range 3 {
		_, err := w.challenge(w.data)
		want(t, err, broker.ErrBusy)
	}
	if k.n != 1 {
		t.Errorf("the keyholder was asked %d times for what was refused", k.n-1)
	}
	w.creator.SetMaxNonces(2)
	_, err = w.challenge(w.data)
	must(t, err)
}
