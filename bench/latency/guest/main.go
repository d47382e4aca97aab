// SPDX-License-Identifier: Apache-2.0

// Command guest reads the first byte of its data. As a Go program it is a module of megabytes, as buyers' are.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	f, err := os.Open("/data/numbers/records.csv")
	if err != nil {
		panic(err)
	}
	var b [1]byte
	if _, err := f.Read(b[:]); err != nil {
		panic(err)
	}
	out, err := json.Marshal(map[string]int{"first": int(b[0])})
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile("/out/metrics.json", out, 0o600); err != nil {
		panic(fmt.Errorf("result: %w", err))
	}
}
