// SPDX-License-Identifier: Apache-2.0

package ego_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// manifest is what `ego sign` reads; the names are EGo's.
type manifest struct {
	Exe             string  `json:"exe"`
	Key             string  `json:"key"`
	Debug           *bool   `json:"debug"`
	HeapSize        int     `json:"heapSize"` // MB
	ExecutableHeap  bool    `json:"executableHeap"`
	ProductID       int     `json:"productID"`
	SecurityVersion int     `json:"securityVersion"`
	Mounts          []mount `json:"mounts"`
	Env             []any   `json:"env"`
	Files           []any   `json:"files"`
}

type mount struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	Type     string `json:"type"`
	ReadOnly bool   `json:"readOnly"`
}

// TestEGoManifest holds deploy/ego/enclave.json to what the enclave needs and an owner may expect: the engine compiles to
// machine code and so writes what it executes, an enclave without debug, and a file system that holds nothing of the host's.
func TestEGoManifest(t *testing.T) {
	b, err := os.ReadFile("../../../deploy/ego/enclave.json")
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	switch {
	case m.Debug == nil || *m.Debug:
		t.Error("debug must be false, and said to be")
	case !m.ExecutableHeap:
		t.Error("executableHeap: wazero's compiler needs it")
	case m.HeapSize < 1024 || m.HeapSize > 1<<16:
		t.Errorf("heapSize: %d MB", m.HeapSize)
	case m.Exe != "glovebox-enclave" || m.ProductID < 1 || m.SecurityVersion < 1 || m.Key == "":
		t.Errorf("%+v", m)
	}
	for _, x := range m.Mounts {
		if x.Target == "/" || x.Target == "" || (x.Type != "memfs" && x.Type != "hostfs") || (x.Type == "hostfs" && x.Source == "") {
			t.Errorf("mount %+v", x)
		}
	}
	if len(m.Env) != 0 {
		t.Error("the enclave reads no environment")
	}
}
