// SPDX-License-Identifier: Apache-2.0

package sandbox

// The reasons of an [Outcome]: those of a usage statement that a run in this package can end with. A test holds them
// equal to the statement's; the package does not import it, so that a worker's code stays small.
const (
	ReasonNone   = ""
	ReasonTrap   = "trap"
	ReasonWall   = "wall-limit"
	ReasonFuel   = "fuel-limit"
	ReasonMemory = "memory-limit"
	ReasonOutput = "output-limit"
	ReasonModule = "module"
	ReasonWorker = "worker"
)
