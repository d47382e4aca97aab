// SPDX-License-Identifier: Apache-2.0

// Package sdk carries the guest SDKs and a first job, a first transform and a first private model in each language, so that buyers and creators can
// start without network.
//
// Trust domain: the buyer's and the creator's. Its one job: hand out the files of a project that builds as it is.
package sdk

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed go/glovebox/*.go go/glovebox/tx/*.go go/glovebox/train/*.go c/*.h rust templates
var files embed.FS

// importPath is the SDK's in this repository; a project has its own copy.
const importPath = "github.com/glovebox-dev/glovebox/sdk/go/glovebox"

// goVersion is the oldest Go that builds a project.
const goVersion = "1.24"

// Languages are those there is an SDK for.
func Languages() []string { return []string{"go", "c"} }

// Project is the files of a new job by their path in it. name, of letters, digits, dots, dashes and underscores, goes
// into its README and module path. A language that is not one of [Languages] is an error.
func Project(language, name string) (map[string][]byte, error) {
	p := project{}
	switch language {
	case "go":
		p.add("templates/go", "")
		p.add("go/glovebox", "glovebox")
		p.module(name, "main.go", importPath, "example.com/"+name+"/glovebox")
	case "c":
		p.add("templates/c", "")
		p.file("templates/go/sample.csv", "sample.csv")
		p.file("c/glovebox.h", "glovebox.h")
		p[".gitignore"] = []byte("main\nmain.wasm\ndata/\nout/\n")
	default:
		return nil, fmt.Errorf("sdk: no language %q", language)
	}
	p.name(name)
	return p, nil
}

// TransformLanguages are those there is an SDK of transforms for.
func TransformLanguages() []string { return []string{"go", "c", "rust"} }

// TransformProject is the same for a transform and one of [TransformLanguages].
func TransformProject(language, name string) (map[string][]byte, error) {
	p := project{}
	switch language {
	case "go":
		p.add("templates/tx-go", "")
		p.add("go/glovebox/tx", "tx")
		p.module(name, "main.go", importPath+"/tx", "example.com/"+name+"/tx")
		p.replace("main_test.go", importPath+"/tx", "example.com/"+name+"/tx")
	case "c":
		p.add("templates/tx-c", "")
		p.file("c/glovebox_tx.h", "glovebox_tx.h")
		p[".gitignore"] = []byte("main\nmain.wasm\nout.jsonl\nfindings.txt\n")
	case "rust":
		p.add("templates/tx-rust", "")
		p.add("templates/tx-rust/src", "src")
		p.add("rust/glovebox-tx", "glovebox-tx")
		p.add("rust/glovebox-tx/src", "glovebox-tx/src")
		p.replace("Cargo.toml", `"NAME"`, `"transform-`+strings.ReplaceAll(name, ".", "-")+`"`)
		p[".gitignore"] = []byte("target/\nmain.wasm\n")
	default:
		return nil, fmt.Errorf("sdk: no language %q", language)
	}
	for _, f := range []string{"sample.jsonl", "expected.jsonl"} {
		p.file("templates/tx-go/"+f, f)
	}
	p.name(name)
	return p, nil
}

// ModelLanguages are those there is an SDK of models for that are trained with differential privacy.
func ModelLanguages() []string { return []string{"go", "c", "rust"} }

// ModelProject is the same for such a model and one of [ModelLanguages].
func ModelProject(language, name string) (map[string][]byte, error) {
	p := project{}
	switch language {
	case "go":
		p.add("templates/train-go", "")
		p.add("go/glovebox/train", "train")
		p.module(name, "main.go", importPath+"/train", "example.com/"+name+"/train")
		p.replace("main_test.go", importPath+"/train", "example.com/"+name+"/train")
	case "c":
		p.add("templates/train-c", "")
		p.file("c/glovebox_train.h", "glovebox_train.h")
		p[".gitignore"] = []byte("main\nmain.wasm\n")
	case "rust":
		p.add("templates/train-rust", "")
		p.add("templates/train-rust/src", "src")
		p.add("rust/glovebox-train", "glovebox-train")
		p.add("rust/glovebox-train/src", "glovebox-train/src")
		p.replace("Cargo.toml", `"NAME"`, `"model-`+strings.ReplaceAll(name, ".", "-")+`"`)
		p[".gitignore"] = []byte("target/\nmain.wasm\n")
	default:
		return nil, fmt.Errorf("sdk: no language %q", language)
	}
	for _, f := range []string{"sample.csv", "train.json"} {
		p.file("templates/train-go/"+f, f)
	}
	p.name(name)
	return p, nil
}

// project is the files of a project in the making, all of which are in this binary.
type project map[string][]byte

// add copies the files of a directory, but not those below it, and no tests of the SDK.
func (p project) add(dir, to string) {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		if !e.IsDir() && (to == "" || !strings.HasSuffix(e.Name(), "_test.go")) {
			p.file(path.Join(dir, e.Name()), path.Join(to, e.Name()))
		}
	}
}

func (p project) file(from, to string) {
	b, err := files.ReadFile(from)
	if err != nil {
		panic(err)
	}
	p[to] = b
}

func (p project) replace(file, old, now string) {
	p[file] = []byte(strings.Replace(string(p[file]), old, now, 1))
}

func (p project) name(name string) { p.replace("README.md", "NAME", name) }

// module makes a project in Go a module, which has its own copy of the SDK.
func (p project) module(name, file, sdkPath, own string) {
	p.replace(file, sdkPath, own)
	p["go.mod"] = []byte("module example.com/" + name + "\n\ngo " + goVersion + "\n")
	p[".gitignore"] = []byte("main.wasm\nout/\n")
}
