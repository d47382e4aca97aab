// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLanguagesAgree runs the same program in Go and in C, outside the sandbox: same records, same bits, same files.
func TestLanguagesAgree(t *testing.T) {
	dir := t.TempDir()
	data := everythingData(t, dir)
	want := run(t, goProgram(t, dir), data, true)
	if n := strings.Count(want["report.txt"], "\n"); n < 100 {
		t.Fatalf("the report has %d lines:\n%s", n, want["report.txt"])
	}
	for _, cc := range compilers(t) {
		got := run(t, cProgram(t, dir, cc), data, true)
		for _, name := range []string{"report.txt", "model.safetensors", "metrics.json"} {
			if got[name] != want[name] {
				t.Errorf("%s: %s of the C program:\n%s\nof the Go program:\n%s", cc, name, got[name], want[name])
			}
		}
	}
}

// everythingData is one dataset of each format, with everything a creator may pack.
func everythingData(t *testing.T, dir string) string {
	t.Helper()
	var csv, lines strings.Builder
	csv.WriteString("name,note,n\r\n\"quo\"\"ted, field\",\"two\r\nlines\",-0.5\nplain,,1e-3\r\n\"\",\"\"\"\",3.1415926535897932384\n")
	for i := range 40_000 {
		fmt.Fprintf(&csv, "row %d,%s,%d.%03d\n", i, strings.Repeat("x", i%40), i, i%1000)
	}
	fmt.Fprintf(&csv, "long,%s,2", strings.Repeat("y", 1<<20)) // without a line end
	for i := range 1000 {
		fmt.Fprintf(&lines, "{\"i\":%d,\"text\":%q}\n", i, strings.Repeat("z", i*i%5000))
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for i, name := range []string{"a.txt", "b/" + strings.Repeat("long/", 30) + "name", "ünïcode", "empty", "b/c"} {
		body := strings.Repeat(name, i*3001)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(body))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	for name, text := range map[string]string{"table/records.csv": csv.String(), "lines/records.jsonl": lines.String(), "tree/records.tar": files.String()} {
		path := filepath.Join(data, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

func goProgram(t *testing.T, dir string) string {
	t.Helper()
	bin := filepath.Join(dir, "everything-go")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "./testdata/everything").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// compilers are the C compilers of this machine; none skips the test.
func compilers(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, cc := range []string{"gcc", "clang"} {
		if _, err := exec.LookPath(cc); err == nil {
			out = append(out, cc)
		}
	}
	if len(out) == 0 {
		t.Skip("no C compiler here: apt-get install gcc libc6-dev")
	}
	return out
}

func cProgram(t *testing.T, dir, cc string) string {
	t.Helper()
	bin := filepath.Join(dir, "everything-"+cc)
	args := []string{"-std=c99", "-pedantic", "-O3", "-march=native", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Ic", "-o", bin, "testdata/everything.c", "-lm"}
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cc, err, out)
	}
	return bin
}

// run runs a program on data and returns the files it wrote, and what it said under "stderr".
func run(t *testing.T, bin, data string, ok bool, env ...string) map[string]string {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command(bin)
	cmd.Env = append([]string{"GLOVEBOX_DATA=" + data, "GLOVEBOX_OUT=" + out}, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	exit, failed := errors.AsType[*exec.ExitError](err)
	if ok && err != nil || !ok && (!failed || exit.ExitCode() != 1) {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(bin), env, err, stderr.String())
	}
	got := map[string]string{"stderr": stderr.String()}
	err = filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		got[filepath.Base(path)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestLanguagesComplainAlike gives both the same mistakes.
func TestLanguagesComplainAlike(t *testing.T) {
	dir := t.TempDir()
	programs := []string{goProgram(t, dir)}
	for _, cc := range compilers(t) {
		programs = append(programs, cProgram(t, dir, cc))
	}
	good := everythingData(t, dir)
	bad := func(name, text string) string {
		d := t.TempDir()
		if err := errors.Join(os.MkdirAll(filepath.Join(d, "x"), 0o700), os.WriteFile(filepath.Join(d, "x", name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, c := range []struct{ data, env, want string }{
		{good, "NUMBER=x", `job: parameter NUMBER is "x": want a whole number from 1 to 9`},
		{good, "NUMBER=10", `job: parameter NUMBER is "10": want a whole number from 1 to 9`},
		{good, "NUMBER=", `job: parameter NUMBER is "": want a whole number from 1 to 9`},
		{good, "NUMBER=99999999999999999999", `job: parameter NUMBER is "99999999999999999999": want a whole number from 1 to 9`},
		{good, "RATE=nan", `job: parameter RATE is "nan": want a number from 0 to 1`},
		{good, "RATE=1.5", `job: parameter RATE is "1.5": want a number from 0 to 1`},
		{good, "FLAG=maybe", `job: parameter FLAG is "maybe": want true or false`},
		{good, "NEEDED=", `job: parameter NEEDED is missing: give --param NEEDED=VALUE`},
		{good, "FIND=", `job: dataset not named, and not the only one; there is lines, table, tree`},
		{good, "FIND=other", `job: dataset "other" is not there; there is lines, table, tree`},
		{bad("records.csv", "a,b\n1\n"), "", `job: record 0 has 1 fields, the header 2`},
		{bad("records.csv", "a\n\"x\"y\n"), "", `job: record 0 has a quote in the wrong place`},
		{bad("records.csv", "a\n1\n\"x\n"), "", `job: record 1 has a quoted field that never ends`},
		{bad("records.csv", "n\n12\nx\n"), "", "not a number"},
		{bad("records.csv", "a\n"+strings.Repeat("x", 17<<20)), "", `job: record 0 has no end within 16 MiB`},
		{bad("records.tar", strings.Repeat("x", 512)), "", `job: record 0 has no tar header where one should be`},
		{bad("records.tar", "short"), "", `job: record 0 has no tar header where one should be`},
		{bad("records.tar", tarOfSize(t, "-1")), "", `job: record 0 has no size in its tar header`},
		{bad("records.tar", tarOfSize(t, "1x")), "", `job: record 0 has no size in its tar header`},
		{bad("records.tar", tarOfSize(t, " 1")), "", `job: record 0 has no size in its tar header`},
		{bad("records.tar", tarOfSize(t, "9223372036854775808")), "", `job: record 0 has no size in its tar header`},
		{bad("records.tar", tarOfSize(t, "1\x00")), "", `job: record 0 has no size in its tar header`},
		{bad("records.tar", tarOfSize(t, "+")), "", `job: record 0 has no size in its tar header`},
	} {
		for _, p := range programs {
			got := run(t, p, c.data, false, c.env)["stderr"]
			if !strings.Contains(got, c.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("%s, %s: said %q, want %q", filepath.Base(p), c.env, got, c.want)
			}
		}
	}
}

// tarOfSize is a file of one byte, as its header says, behind an extended header that says another size.
func tarOfSize(t *testing.T, size string) string {
	t.Helper()
	line := " size=" + size + "\n"
	text := fmt.Sprint(len(line)+2) + line
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct{ name, body string }{{"text", text}, {"file", "1"}} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.body))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	header := b.Bytes()[:512]
	header[156] = 'x'
	sum := 8 * int(' ')
	for i, c := range header {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return b.String()
}

func TestSeedIsTheOnlyChance(t *testing.T) {
	dir := t.TempDir()
	data := everythingData(t, dir)
	programs := []string{goProgram(t, dir)}
	for _, cc := range compilers(t) {
		programs = append(programs, cProgram(t, dir, cc))
	}
	for _, p := range programs {
		draw := func(seed string) string {
			return run(t, p, data, true, "CHANCE=1", "GLOVEBOX_SEED="+strings.Repeat(seed, 32))["report.txt"]
		}
		if a, b, c := draw("01"), draw("01"), draw("02"); a != b || a == c {
			t.Errorf("%s: the seed does not decide what is drawn", filepath.Base(p))
		}
	}
}

func TestProjects(t *testing.T) {
	for _, language := range Languages() {
		files, err := Project(language, "my-job")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range map[string][]string{
			"go": {"go.mod", "main.go", "main_test.go", "README.md", "sample.csv", ".gitignore", "glovebox/doc.go", "glovebox/blas_native.go"},
			"c":  {"Makefile", "main.c", "README.md", "sample.csv", ".gitignore", "glovebox.h"},
		}[language] {
			if len(files[want]) == 0 {
				t.Errorf("%s: no %s", language, want)
			}
		}
		for name, b := range files {
			if strings.HasPrefix(name, "glovebox/") && strings.HasSuffix(name, "_test.go") || bytes.Contains(b, []byte("glovebox-dev")) {
				t.Errorf("%s: %s does not belong into a project as it is", language, name)
			}
		}
		if !bytes.HasPrefix(files["README.md"], []byte("# my-job\n")) {
			t.Errorf("%s: README begins %q", language, files["README.md"][:20])
		}
	}
	if _, err := Project("rust", "x"); err == nil {
		t.Error("a language without an SDK was taken")
	}
}

func TestTransformProjects(t *testing.T) {
	for _, language := range TransformLanguages() {
		files, err := TransformProject(language, "my-transform")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range append(map[string][]string{
			"go":   {"go.mod", "main.go", "main_test.go", "tx/tx.go", "tx/host_wasip1.go"},
			"c":    {"Makefile", "main.c", "glovebox_tx.h"},
			"rust": {"Cargo.toml", "src/lib.rs", "glovebox-tx/Cargo.toml", "glovebox-tx/src/lib.rs", "glovebox-tx/src/host.rs"},
		}[language], "README.md", "sample.jsonl", "expected.jsonl", ".gitignore") {
			if len(files[want]) == 0 {
				t.Errorf("%s: no %s", language, want)
			}
		}
		for name, b := range files {
			if strings.HasPrefix(name, "tx/") && strings.HasSuffix(name, "_test.go") || bytes.Contains(b, []byte("glovebox-dev")) || bytes.Contains(b, []byte("NAME")) && name != "glovebox_tx.h" {
				t.Errorf("%s: %s does not belong into a project as it is", language, name)
			}
		}
	}
	if _, err := TransformProject("cobol", "x"); err == nil {
		t.Error("a language without an SDK was taken")
	}
}

// TestTemplatesLearnTheSame runs both first jobs outside the sandbox: they write the same model.
func TestTemplatesLearnTheSame(t *testing.T) {
	dir := t.TempDir()
	sample, err := os.ReadFile("templates/go/sample.csv")
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := errors.Join(os.MkdirAll(filepath.Join(data, "sample"), 0o700), os.WriteFile(filepath.Join(data, "sample", "records.csv"), sample, 0o600)); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "job-go")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "./templates/go").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := run(t, bin, data, true)
	if !strings.Contains(want["metrics.json"], `"accuracy":0.9`) {
		t.Errorf("metrics %s", want["metrics.json"])
	}
	for _, cc := range compilers(t) {
		bin := filepath.Join(dir, "job-"+cc)
		if out, err := exec.Command(cc, "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-Ic", "-o", bin, "templates/c/main.c", "-lm").CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cc, err, out)
		}
		got := run(t, bin, data, true)
		if got["model.safetensors"] != want["model.safetensors"] || got["metrics.json"] != want["metrics.json"] {
			t.Errorf("%s: metrics %s, Go has %s", cc, got["metrics.json"], want["metrics.json"])
		}
	}
}
