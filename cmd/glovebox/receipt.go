// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/job"
)

// readReceipts reads licence receipts as a marketplace gave them: one compact JWS a file.
func readReceipts(files []string) ([]string, error) {
	out := []string{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, Errorf(KindUsage, "give the file that the marketplace sent").from(err)
		}
		b, err := io.ReadAll(io.LimitReader(f, job.MaxReceipt+2))
		f.Close() //nolint:errcheck // only read
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s := strings.TrimSpace(string(b))
		if s == "" || len(s) > job.MaxReceipt {
			return nil, Errorf(KindUsage, "give the file that the marketplace sent").because("%s holds no receipt of at most %d bytes", name, job.MaxReceipt)
		}
		out = append(out, s)
	}
	return out, nil
}
