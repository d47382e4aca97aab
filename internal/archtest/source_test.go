// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// sources calls f for every Go file of the repository. Because it opens each, go test's cache notices when one changes.
func sources(t *testing.T, f func(rel string, src []byte)) {
	t.Helper()
	dir, n := root(t), 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != dir && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "demo") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		n++
		f(rel, src)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 20 {
		t.Fatalf("found %d Go files: the tree is not where this test looks", n)
	}
}

func generated(src []byte) bool {
	head, _, _ := strings.Cut(string(src), "\npackage ")
	return strings.Contains(head, "// Code generated ") && strings.Contains(head, " DO NOT EDIT.")
}

func TestEveryFileNamesItsLicence(t *testing.T) {
	sources(t, func(rel string, src []byte) {
		if !generated(src) && !strings.HasPrefix(string(src), "// SPDX-License-Identifier: Apache-2.0\n") {
			t.Errorf("%s does not begin with the SPDX line", rel)
		}
	})
}

// TestNoHiddenWiring refuses init functions and imports for side effects: main passes everything by hand.
func TestNoHiddenWiring(t *testing.T) {
	sources(t, func(rel string, src []byte) {
		if generated(src) {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), rel, src, parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%s: %v", rel, err)
			return
		}
		for _, i := range f.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			if i.Name != nil && i.Name.Name == "_" && SideEffects()[path] == "" {
				t.Errorf("%s imports %s for its side effects", rel, path)
			}
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function", rel)
			}
		}
	})
}

// TestLongFiles keeps one idea to a file, tests included.
func TestLongFiles(t *testing.T) {
	sources(t, func(rel string, src []byte) {
		const most = 600
		if n := strings.Count(string(src), "\n"); n > most && !generated(src) {
			t.Errorf("%s has %d lines, split it at %d", rel, n, most)
		}
	})
}
