// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
)

// listed is one event as dstack lists it.
type listed struct {
	Register int    `json:"imr"` // 0 to 3
	Type     uint32 `json:"event_type"`
	Digest   string `json:"digest"` // hex; "" where the event says what it is the digest of
	Name     string `json:"event"`
	Payload  string `json:"event_payload"` // hex
}

// readList writes a list of events as the log that firmware would have kept. Nothing is believed by that: the log must
// lead to the quoted registers like any other.
func readList(text []byte) ([]byte, error) {
	var list []listed
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	log := eventlog.CCHeader()
	for i, x := range list {
		e, err := x.event()
		if err == nil {
			log, err = eventlog.AppendCC(log, e)
		}
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
	}
	if len(list) == 0 {
		return nil, eventlog.ErrEmpty
	}
	return log, nil
}

func (x *listed) event() (eventlog.CCEvent, error) {
	e := eventlog.CCEvent{Register: x.Register + 1, Type: x.Type}
	payload, err := hex.DecodeString(x.Payload)
	if err != nil || x.Register < 0 || x.Register >= eventlog.RTMRs {
		return e, fmt.Errorf("register %d with payload %.20q", x.Register, x.Payload)
	}
	e.Data = payload
	if x.Digest == "" {
		// dstack's own events: type, name and payload, with colons between.
		e.Data = bytes.Join([][]byte{binary.LittleEndian.AppendUint32(nil, x.Type), []byte(x.Name), payload}, []byte(":"))
		e.Digest = sha512.Sum384(e.Data)
		return e, nil
	}
	d, err := hex.DecodeString(x.Digest)
	if err != nil || len(d) != len(e.Digest) {
		return e, fmt.Errorf("digest %.20q is not SHA-384 in hex", x.Digest)
	}
	e.Digest = [sha512.Size384]byte(d)
	return e, nil
}
