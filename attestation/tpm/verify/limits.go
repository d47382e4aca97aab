// SPDX-License-Identifier: Apache-2.0

package verify

import "time"

// Bounds of verification and enrolment.
const (
	maxBrokers     = 64       // keys whose endorsements one relying party accepts
	maxEndorsed    = 32       // AK endorsements in one evidence
	maxCertificate = 8 << 10  // an EK certificate, DER
	maxEndorsement = 16 << 10 // a signed AK endorsement
	maxRoots       = 64

	tokenLife   = 2 * time.Minute
	maxPending  = 256 // enrolments under way
	maxPerEK    = 4   // of one endorsement key; an older one makes room
	secretSize  = 32
	defaultLife = 24 * time.Hour
	maxLife     = 7 * 24 * time.Hour
	clockSkew   = time.Minute // between the broker that endorsed and whoever verifies
)
