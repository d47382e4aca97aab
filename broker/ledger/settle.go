// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// settle makes durable what the database shows at start. A broker that was killed between writing and syncing leaves
// changes that the machine holds and the disk perhaps does not: were they anchored or built upon as they are, a power
// loss would leave a ledger behind its anchor. The checkpoint writes them again, elsewhere, so that it does not matter
// whether the kernel still knows that they are not on disk.
func (l *Ledger) settle(ctx context.Context) error {
	var busy, pages, moved int
	err := l.conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved)
	if err != nil {
		return classify(err, ErrWrite)
	}
	if busy != 0 { // somebody reads beside us: what they read cannot be moved, but it can be synced
		if err := syncFile(l.cfg.Path + "-wal"); err != nil {
			return fmt.Errorf("%w: %w", ErrWrite, err)
		}
	}
	if err := syncFile(filepath.Dir(l.cfg.Path)); err != nil {
		return fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return nil
}

// syncFile syncs a file's contents or a folder's names.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
