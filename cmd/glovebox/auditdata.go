// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// dataView is what `auditor data` found.
type dataView struct {
	Manifest envelope.Digest `json:"manifest"`
	Name     string          `json:"name"`
	Leaves   int64           `json:"leaves"`
	Root     envelope.Digest `json:"root"`
	Verified bool            `json:"verified"`
	Finding  string          `json:"finding"` // "" if verified
}

func newData() *cobra.Command {
	var host, blobs string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "data MANIFEST", Short: "Verify a package's ciphertext without a key", Args: exactArgs(1, "one manifest, by digest"),
		Long: `Data reads every leaf of a package in a directory of blobs and recomputes the tree that the owner signed. It needs no key
and learns nothing of the content.`,
		Example: "  glovebox auditor data MANIFEST --blobs op/blobs --host http://127.0.0.1:7300",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseDigest(args[0])
			if err != nil {
				return err
			}
			if blobs == "" {
				return Errorf(KindUsage, "for example: --blobs op/blobs").because("say where the ciphertext is with --blobs")
			}
			h, err := dialHost(host)
			if err != nil {
				return err
			}
			defer h.Close()
			_, m, err := h.manifest(cmd.Context(), id)
			if err != nil {
				return err
			}
			s, err := dataset.NewDirStore(blobs)
			if err != nil {
				return err
			}
			v := dataView{Manifest: id, Name: m.Name, Leaves: m.Tree.Size, Root: m.Tree.Root, Verified: true}
			refused := dataset.VerifyBlobs(cmd.Context(), m, s)
			if refused != nil {
				v.Verified, v.Finding = false, refused.Error()
			}
			if err := show(cmd, asJSON, v, func(w io.Writer) { v.print(w) }); err != nil || refused == nil {
				return err
			}
			return Errorf(KindVerify, "the copy is damaged; publish the package again").from(refused)
		},
	}
	cmd.Flags().StringVar(&host, "host", defaultHost, "host that has the manifest, by URL")
	cmd.Flags().StringVar(&blobs, "blobs", "", "directory of blobs, such as the operator's (required)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (v *dataView) print(w io.Writer) {
	if v.Verified {
		fmt.Fprintf(w, "VERIFIED  %s: %d leaves under root %s\n", v.Name, v.Leaves, v.Root)
		return
	}
	fmt.Fprintf(w, "REFUSED   %s: %s\n", v.Name, v.Finding)
}
