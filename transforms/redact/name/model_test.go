// SPDX-License-Identifier: Apache-2.0

package name_test

import "os"

func modelFile() ([]byte, error) { return os.ReadFile("model.bin") }
