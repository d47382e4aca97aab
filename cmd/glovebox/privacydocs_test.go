// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestFirstJobsAreAsDocumented: the terms and queries that docs/privacy.md prints are those that its story runs with.
func TestFirstJobsAreAsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/privacy.md")
	if err != nil {
		t.Fatal(err)
	}
	story, err := txtar.ParseFile("testdata/dpfirst.txtar")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"terms.yaml": "```yaml\n# terms.yaml\n", "asked.yaml": "```yaml\n# asked.yaml\n", "queries.json": "```json\n"}
	for _, f := range story.Files {
		if before, ok := want[f.Name]; ok && strings.Contains(string(doc), before+string(f.Data)+"```") {
			delete(want, f.Name)
		}
	}
	for name := range want {
		t.Errorf("docs/privacy.md has another %s than its story, or none", name)
	}
}
