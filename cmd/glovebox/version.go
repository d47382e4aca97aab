// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// version is the module's version where the build knows it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

type versionView struct {
	Version   string                 `json:"version"`
	Go        string                 `json:"go"`
	Platforms []attestation.Platform `json:"platforms"` // that this build can verify
	Runtimes  []string               `json:"runtimes"`
}

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version and what this build can verify", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versionView{version(), runtime.Version(), []attestation.Platform{attestation.PlatformTPM}, []string{job.RuntimeWASM}}
			if simulated.Enabled {
				v.Platforms = append(v.Platforms, attestation.PlatformSimulated)
			}
			return show(cmd, asJSON, v, func(w io.Writer) {
				fmt.Fprintf(w, "glovebox %s, %s, platforms %v, runtimes %v\n", v.Version, v.Go, v.Platforms, v.Runtimes)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}
