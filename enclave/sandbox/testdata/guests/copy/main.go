// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	b, err := os.ReadFile("/data/d/records.csv")
	fmt.Println(string(b), err, os.Environ(), time.Now())
	fmt.Println(os.WriteFile("/out/a", b, 0o644))
	fmt.Println(os.WriteFile("/data/d/a", b, 0o644), os.WriteFile("/x", b, 0o644))
}
