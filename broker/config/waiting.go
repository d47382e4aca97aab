// SPDX-License-Identifier: Apache-2.0

package config

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// Commands that wait for a job are their owner's broker meanwhile. Several wait at a time, and the first that is done must not
// take the broker away from the others: each holds a shared lock, and the broker ends when it gets the lock to itself. The
// kernel gives up the lock of a command that is killed.

// waitingPoll is how often a lock is asked for that somebody else holds.
const waitingPoll = 100 * time.Millisecond

// Waiting is locked by those who need the broker that one of them started.
func (l Layout) Waiting() string { return l.at("waiting.lock") }

// Starting is locked by who starts a broker for those who wait.
func (l Layout) Starting() string { return l.at("starting.lock") }

// Wait keeps a broker that was started for those who wait, until done is called. It waits for one that is just ending.
func (l Layout) Wait(ctx context.Context) (done func() error, err error) {
	return lockSoon(ctx, l.Waiting(), syscall.LOCK_SH)
}

// LockStart keeps others from starting a broker until unlock is called.
func (l Layout) LockStart(ctx context.Context) (unlock func() error, err error) {
	return lockSoon(ctx, l.Starting(), syscall.LOCK_EX)
}

// TryLeave reports whether nobody waits. If so nobody can begin to until unlock is called, or the process ends.
func (l Layout) TryLeave() (unlock func() error, ok bool, err error) {
	unlock, err = tryLock(l.Waiting(), syscall.LOCK_EX)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, false, nil
	}
	return unlock, err == nil, err
}

// Deserted returns once nobody waits, and nobody can begin to before the process ends; or when ctx ends.
func (l Layout) Deserted(ctx context.Context) error {
	_, err := lockSoon(ctx, l.Waiting(), syscall.LOCK_EX)
	return err
}

func lockSoon(ctx context.Context, path string, how int) (unlock func() error, err error) {
	for {
		unlock, err = tryLock(path, how)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(waitingPoll):
		}
	}
}

func tryLock(path string, how int) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
