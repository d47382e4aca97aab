// SPDX-License-Identifier: Apache-2.0

package policies

import "github.com/glovebox-dev/glovebox/policies/input"

// The parts of a request, from package input, which is free of OPA.
type (
	Request     = input.Request
	Package     = input.Package
	Terms       = input.Terms
	Job         = input.Job
	Evidence    = input.Evidence
	Entitlement = input.Entitlement
	Account     = input.Account
	Granted     = input.Granted
	Revoked     = input.Revoked
)
