// SPDX-License-Identifier: Apache-2.0

// Command hello says so.
package main

import "fmt"

func main() { fmt.Println("hello") }
