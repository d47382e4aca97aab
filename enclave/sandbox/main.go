// SPDX-License-Identifier: Apache-2.0

package sandbox

import "os"

// A process started under one of these names is not the enclave but one of its helpers.
const (
	argSpawner = "glovebox-spawner"
	argJail    = "glovebox-jail"
	argWorker  = "glovebox-worker"
)

// selfExe is the running binary, whatever became of the path it was started from.
const selfExe = "/proc/self/exe"

// Main must be the first call of the enclave's main function. In a process that the sandbox started it does that
// process's work and exits; in any other it returns at once.
func Main() {
	if len(os.Args) == 0 {
		return
	}
	switch os.Args[0] {
	case argSpawner:
		os.Exit(spawnerMain())
	case argJail:
		os.Exit(jailMain())
	case argWorker:
		os.Exit(workerMain())
	}
}
