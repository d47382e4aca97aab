// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"os"
	"strings"
	"testing"
)

// withoutArg names, in the arguments of the sandbox's processes, the parts of the jail that a test takes out.
const withoutArg = "without="

func TestMain(m *testing.M) {
	if os.Getpid() == 1 && len(os.Args) > 0 && os.Args[0] == "/init" {
		vmInit()
	}
	if strings.HasPrefix(os.Args[0], "glovebox-") {
		for _, a := range os.Args[1:] {
			if parts, ok := strings.CutPrefix(a, withoutArg); ok {
				testOnlyArgs, testOnlySkip = []string{a}, strings.Split(parts, ",")
			}
		}
	}
	Main()
	os.Exit(m.Run())
}
