// SPDX-License-Identifier: Apache-2.0

//go:build !simulated

package main

const simulatedBuild = false
