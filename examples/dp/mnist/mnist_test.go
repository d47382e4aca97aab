// SPDX-License-Identifier: Apache-2.0

package mnist

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	images, labels := make([]byte, 16+2*pixels), []byte{0, 0, 8, 1, 0, 0, 0, 2, 7, 3}
	binary.BigEndian.PutUint32(images[4:], 2)
	images[16], images[16+pixels+1] = 255, 9
	got, err := table(images, labels, 2)
	want := "7,255" + strings.Repeat(",0", pixels-1) + "\n3,0,9" + strings.Repeat(",0", pixels-2) + "\n"
	if err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	for n, bad := range map[int][2][]byte{1: {images, labels}, 2: {images[1:], labels}, 3: {nil, nil}} {
		if _, err := table(bad[0], bad[1], n); !errors.Is(err, ErrData) {
			t.Errorf("%d images: %v", n, err)
		}
	}
}

func TestOtherArchive(t *testing.T) {
	if _, err := convert([]byte("not the archive")); !errors.Is(err, ErrData) {
		t.Error(err)
	}
}
