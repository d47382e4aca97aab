// SPDX-License-Identifier: Apache-2.0

package redact

// Wipe implements [transforms.Wiper].
func (s *Redact) Wipe() {
	clear(s.out[:cap(s.out)])
	for _, b := range s.whose {
		clear(b[:cap(b)])
	}
	s.out, s.whose, s.taken = nil, nil, nil
}
