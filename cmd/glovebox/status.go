// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	hostv1 "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
)

// statusView is a host as it describes itself.
type statusView struct {
	Version    string           `json:"version"`
	Jobs       map[string]int64 `json:"jobs"`
	Enclaves   []enclaveView    `json:"enclaves"`
	LogOrigin  string           `json:"logOrigin"`
	LogSize    int64            `json:"logSize"`
	LogPending int64            `json:"logPending"`
	Manifests  int64            `json:"manifests"`
	DiskFree   int64            `json:"diskFree"`
	Assurance  string           `json:"assurance"`
}

type enclaveView struct {
	Slot     int32  `json:"slot"`
	State    string `json:"state"`
	PID      int64  `json:"pid"`
	Job      string `json:"job"`
	Restarts int64  `json:"restarts"`
	LastExit string `json:"lastExit"`
}

func viewStatus(s *hostv1.StatusResponse) *statusView {
	v := &statusView{
		Version: s.GetVersion(), Jobs: map[string]int64{}, Enclaves: []enclaveView{}, LogOrigin: s.GetLogOrigin(), LogSize: s.GetLogSize(),
		LogPending: s.GetLogPending(), Manifests: s.GetManifests(), DiskFree: s.GetDiskFree(), Assurance: s.GetAssurance(),
	}
	maps.Copy(v.Jobs, s.GetJobs())
	for _, e := range s.GetEnclaves() {
		v.Enclaves = append(v.Enclaves, enclaveView{e.GetSlot(), e.GetState(), e.GetPid(), e.GetJob(), e.GetRestarts(), e.GetLastExit()})
	}
	return v
}

func (v *statusView) print(w io.Writer) {
	var jobs []string
	for _, state := range slices.Sorted(maps.Keys(v.Jobs)) {
		jobs = append(jobs, fmt.Sprintf("%d %s", v.Jobs[state], state))
	}
	if len(jobs) == 0 {
		jobs = []string{"none"}
	}
	rows := [][]string{
		{"jobs", strings.Join(jobs, ", ")},
		{"manifests", fmt.Sprint(v.Manifests)},
		{"log", fmt.Sprintf("%s, %d entries, %d waiting to be published", v.LogOrigin, v.LogSize, v.LogPending)},
		{"disk free", byteSize(v.DiskFree)},
		{"assurance", v.Assurance},
	}
	for _, e := range v.Enclaves {
		text := fmt.Sprintf("%s, process %d, %d restarts", e.State, e.PID, e.Restarts)
		if e.Job != "" {
			text += ", job " + short(e.Job)
		}
		if e.LastExit != "" {
			text += ", last ended with " + e.LastExit
		}
		rows = append(rows, []string{fmt.Sprintf("enclave %d", e.Slot), text})
	}
	table(w, rows...)
}
