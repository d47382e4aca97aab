// SPDX-License-Identifier: Apache-2.0

// Package sdk carries the guest SDKs and a first job in each language, so that a buyer can start without network.
//
// Trust domain: the buyer's. Its one job: hand out the files of a project that builds as it is.
package sdk

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed go/glovebox/*.go c/glovebox.h templates
var files embed.FS

// importPath is the SDK's in this repository; a project has its own copy.
const importPath = "github.com/glovebox-dev/glovebox/sdk/go/glovebox"

// goVersion is the oldest Go that builds a project.
const goVersion = "1.24"

// Languages are those there is an SDK for.
func Languages() []string { return []string{"go", "c"} }

// Project is the files of a new project by their path in it. name, of letters, digits, dots, dashes and underscores, goes
// into its README and module path. A language that is not one of [Languages] is an error.
func Project(language, name string) (map[string][]byte, error) {
	out := map[string][]byte{}
	add := func(dir, to string) error {
		entries, err := fs.ReadDir(files, dir)
		if err != nil {
			return fmt.Errorf("sdk: language %q: %w", language, err)
		}
		for _, e := range entries {
			b, err := files.ReadFile(path.Join(dir, e.Name()))
			if err != nil {
				return fmt.Errorf("sdk: %w", err)
			}
			out[path.Join(to, e.Name())] = b
		}
		return nil
	}
	if language != "go" && language != "c" {
		return nil, fmt.Errorf("sdk: no language %q", language)
	}
	if err := add("templates/"+language, ""); err != nil {
		return nil, err
	}
	out["README.md"] = []byte(strings.Replace(string(out["README.md"]), "NAME", name, 1))
	if language == "c" {
		sample, err := files.ReadFile("templates/go/sample.csv")
		if err != nil {
			return nil, fmt.Errorf("sdk: %w", err)
		}
		out["sample.csv"], out[".gitignore"] = sample, []byte("main\nmain.wasm\ndata/\nout/\n")
		return out, add("c", "")
	}
	if err := add("go/glovebox", "glovebox"); err != nil {
		return nil, err
	}
	for f := range out {
		if strings.HasPrefix(f, "glovebox/") && strings.HasSuffix(f, "_test.go") {
			delete(out, f)
		}
	}
	out["main.go"] = []byte(strings.Replace(string(out["main.go"]), importPath, "example.com/"+name+"/glovebox", 1))
	out["go.mod"] = []byte("module example.com/" + name + "\n\ngo " + goVersion + "\n")
	out[".gitignore"] = []byte("main.wasm\nout/\n")
	return out, nil
}
