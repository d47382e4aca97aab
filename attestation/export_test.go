// SPDX-License-Identifier: Apache-2.0

package attestation

// Accepts is what a policy says of a status, also one that [Policy.Validate] would refuse.
func Accepts(p *TCBPolicy, s *TCB, now int64) (want string, ok bool) { return p.accepts(s, now) }
