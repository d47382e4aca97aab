// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"io/fs"
	"strings"
)

// validateNames checks the names of files, outputs and parameters, and their sizes.
func (s *Spec) validateNames() error {
	seen := map[string]bool{}
	for _, f := range s.Files {
		if len(f.Name) > maxPath || f.Name == "." || !fs.ValidPath(f.Name) || !printable(f.Name) || f.Size < 0 {
			return fmt.Errorf("file %q of %d bytes", f.Name, f.Size)
		}
		if seen[f.Name] {
			return fmt.Errorf("file %q twice", f.Name)
		}
		seen[f.Name] = true
	}
	for _, f := range s.Files {
		for dir := f.Name; strings.Contains(dir, "/"); {
			dir = dir[:strings.LastIndexByte(dir, '/')]
			if seen[dir] {
				return fmt.Errorf("%q is a file and a directory", dir)
			}
		}
	}
	outs := map[string]bool{}
	for _, o := range s.Outputs {
		if !validOutName(o.Name) || o.MaxBytes < 1 || outs[o.Name] {
			return fmt.Errorf("output %q of at most %d bytes", o.Name, o.MaxBytes)
		}
		outs[o.Name] = true
	}
	for k, v := range s.Params {
		if k == "" || len(k)+len(v) > maxParam || strings.ContainsAny(k, "=\x00") || strings.Contains(v, "\x00") {
			return fmt.Errorf("parameter %q", k)
		}
	}
	return nil
}

// validOutName admits one printable path element.
func validOutName(n string) bool {
	return n != "" && n != "." && n != ".." && len(n) <= maxName && !strings.Contains(n, "/") && printable(n)
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
	}
	return true
}
