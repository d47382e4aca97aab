// SPDX-License-Identifier: Apache-2.0

//go:build nvml && cgo

package gpu

import (
	"encoding/base64"
	"fmt"
	"sync"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	nvtrust "github.com/confidentsecurity/go-nvtrust/pkg/gonvtrust/gpu"

	"github.com/glovebox-dev/glovebox/attestation/gpu/spdm"
)

// management is NVML through go-nvtrust. What that checks of certificates is not relied upon: it takes the last one of a
// chain for the root.
type management struct {
	mu    sync.Mutex
	admin *nvtrust.NvmlGPUAdmin
}

func open() (driver, error) {
	h := &nvtrust.DefaultNVMLHandler{}
	admin, err := nvtrust.NewNvmlGPUAdmin(h)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDevice, err)
	}
	s, ret := h.SystemGetConfComputeSettings()
	switch {
	case ret != nvml.SUCCESS:
		return nil, fmt.Errorf("%w: confidential-computing settings: %s", ErrDevice, nvml.ErrorString(ret))
	case s.CcFeature != nvml.CC_SYSTEM_FEATURE_ENABLED:
		return nil, fmt.Errorf("%w: confidential computing is off", ErrDevice)
	case s.DevToolsMode != nvml.CC_SYSTEM_DEVTOOLS_MODE_OFF:
		return nil, fmt.Errorf("%w: developer mode is on: the host can read the GPU's memory", ErrDevice)
	}
	return &management{admin: admin}, nil
}

// reports implements driver. NVML is asked by one goroutine at a time.
func (m *management) reports(nonce [spdm.NonceSize]byte) ([]report, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	devices, err := m.admin.CollectEvidence(nonce[:])
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDevice, err)
	}
	var out []report
	for _, d := range devices {
		text, err := d.Certificate().EncodeBase64()
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrDevice, err)
		}
		certs, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrDevice, err)
		}
		out = append(out, report{d.AttestationReport(), certs})
	}
	return out, nil
}
