// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// version is the module's version where the build knows it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// platforms are those whose evidence this build can verify, given whose word counts where no vendor's does.
func platforms() []attestation.Platform {
	known := map[attestation.Platform]bool{attestation.PlatformTPM: true, attestation.PlatformSimulated: simulated.Enabled}
	for _, f := range verifiers.New(nil, nil) {
		known[f.Platform()] = true
	}
	return slices.DeleteFunc(attestation.Platforms(), func(p attestation.Platform) bool { return !known[p] })
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
			v := versionView{version(), runtime.Version(), platforms(), []string{job.RuntimeWASM}}
			return show(cmd, asJSON, v, func(w io.Writer) {
				fmt.Fprintf(w, "glovebox %s, %s, platforms %v, runtimes %v\n", v.Version, v.Go, v.Platforms, v.Runtimes)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}
