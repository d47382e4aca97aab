// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

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
	Cosigned   int64            `json:"logCosigned"` // size of the newest checkpoint with enough cosignatures; 0: none
	Witnesses  []logWitness     `json:"logWitnesses"`
	Manifests  int64            `json:"manifests"`
	DiskFree   int64            `json:"diskFree"`
	Assurance  string           `json:"assurance"`
}

type logWitness struct {
	Name  string `json:"name"`
	Size  int64  `json:"size"`
	Time  int64  `json:"time"`  // Unix seconds of its last cosignature; 0: none since the host started
	Fault string `json:"fault"` // why it did not sign when last asked
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
	v.Cosigned, v.Witnesses = s.GetLogCosigned(), []logWitness{}
	for _, w := range s.GetLogWitnesses() {
		v.Witnesses = append(v.Witnesses, logWitness{w.GetName(), w.GetSize(), w.GetTime(), w.GetFault()})
	}
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
	for _, l := range v.Witnesses {
		text := "has cosigned nothing yet"
		if l.Time > 0 {
			text = fmt.Sprintf("cosigned %d entries, %s ago (%s)", l.Size, max(0, time.Since(time.Unix(l.Time, 0))).Truncate(time.Second), when(l.Time*1000))
		}
		if l.Fault != "" {
			text += ", and now: " + l.Fault
		}
		rows = append(rows, []string{"witness", l.Name + " " + text})
	}
	if len(v.Witnesses) > 0 {
		rows = append(rows, []string{"cosigned", fmt.Sprintf("%d of %d entries", v.Cosigned, v.LogSize)})
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
