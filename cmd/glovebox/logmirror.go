// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/host/client/tiles"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// trustedLog is the log of a trust file or of a trusted_root.json.
func trustedLog(path string) (*tlog.Log, error) {
	if path != "" {
		if b, err := readBounded(path, usage.MaxTrust); err == nil {
			if l, err := usage.ParseTrustedRoot(b); err == nil {
				return l, nil
			}
		}
	}
	t, err := loadTrust(path)
	if err != nil {
		return nil, err
	}
	l, err := usage.ParseTrustedRoot(t.Log)
	if err != nil {
		return nil, Errorf(KindUsage, "make a trust file with --log").from(err)
	}
	return l, nil
}

func newLogMirror() *cobra.Command {
	var host, from, out, trust string
	var every time.Duration
	var follow bool
	cmd := &cobra.Command{
		Use: "mirror", Short: "Copy a log's files, verified, for any web server to serve", Args: noArgs,
		Long: `Mirror copies the log as static files: checkpoint, tile/<level>/<number> and tile/entries/<number> (C2SP tlog-tiles). Every
hash and entry is proven under the signed checkpoint before it is written, and the checkpoint comes last, so the directory can
be served while it is brought up to date. Another history than the one that the mirror holds is refused. An interrupted run
goes on where it was. Others read it with: glovebox auditor log --mirror URL|DIR, and watch it.`,
		Example: "  glovebox auditor log mirror --host http://127.0.0.1:7300 --out mirror --trust trust.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := trustedLog(trust)
			if err != nil {
				return err
			}
			if from == "" {
				from = strings.TrimRight(host, "/") + "/log"
			}
			s, err := tiles.Open(from)
			if err != nil || out == "" {
				return Errorf(KindUsage, "give --host URL or --from URL|DIR, and --out DIR").because("nothing to copy, or nowhere to put it")
			}
			for {
				if err := mirror(cmd, s, l, out); err != nil {
					if k, ok := errors.AsType[*Error](err); !follow || !ok || k.Kind != KindTryAgain {
						return err
					}
					say(cmd, "%v", err)
				}
				if !follow {
					return nil
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(every):
				}
			}
		},
	}
	f := cmd.Flags()
	f.StringVar(&host, "host", defaultHost, "host, by URL")
	f.StringVar(&from, "from", "", "another mirror to copy, by URL or directory, instead of a host")
	f.StringVar(&out, "out", "", "directory of the mirror (required)")
	f.StringVar(&trust, "trust", "", "trust file, or the operator's trusted_root.json (required)")
	f.BoolVar(&follow, "watch", false, "go on copying what is added")
	f.DurationVar(&every, "every", 10*time.Second, "with --watch, time between two looks")
	return cmd
}

func mirror(cmd *cobra.Command, s *tiles.Source, l *tlog.Log, out string) error {
	text, err := s.Checkpoint(cmd.Context())
	if err != nil {
		return explainTiles(err)
	}
	n, err := s.Mirror(cmd.Context(), l, text, out)
	if err != nil {
		return explainTiles(err)
	}
	if n > 0 {
		say(cmd, "%s: %d entries added", out, n)
	}
	return nil
}

func explainTiles(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, tiles.ErrHistory):
		return Errorf(KindVerify, "keep the mirror: it shows what the log was; see also glovebox auditor log watch").from(err)
	case errors.Is(err, tlog.ErrLog), errors.Is(err, tiles.ErrTile):
		return Errorf(KindVerify, "copy from another place; if it is the mirror's own file that is damaged, remove that").from(err)
	case errors.Is(err, tiles.ErrGone):
		return Errorf(KindTryAgain, "is the host running, and has its log an entry?").from(err)
	}
	return err
}

// auditMirror checks every file of a mirror, offline if it is a directory.
func auditMirror(ctx context.Context, l *tlog.Log, where, remembered string) (*logView, string, error) {
	s, err := tiles.Open(where)
	if err != nil {
		return nil, "", Errorf(KindUsage, "give the URL or the directory of a mirror").from(err)
	}
	text, err := s.Checkpoint(ctx)
	if err != nil {
		return nil, "", explainTiles(err)
	}
	v := &logView{Origin: l.Origin(), Grew: -1, Findings: []string{}, Open: []openGrant{}}
	now, err := l.ParseCheckpoint(text)
	if err != nil {
		v.Findings = append(v.Findings, err.Error())
		return v, text, nil
	}
	v.Size, v.Root = now.Size, now.Root
	then, err := recall(l, remembered)
	if err != nil {
		return nil, "", err
	}
	if err := s.Check(ctx, now, nil); errors.Is(err, tiles.ErrTile) || errors.Is(err, tiles.ErrGone) {
		v.Findings = append(v.Findings, err.Error())
	} else if err != nil {
		return nil, "", err
	}
	if err := sinceThen(ctx, s, v, now, then); err != nil {
		return nil, "", err
	}
	v.Verified = len(v.Findings) == 0
	return v, text, nil
}

func sinceThen(ctx context.Context, s *tiles.Source, v *logView, now tlog.Checkpoint, then *tlog.Checkpoint) error {
	if then == nil || len(v.Findings) > 0 {
		return nil
	}
	if then.Size > now.Size {
		v.Findings = append(v.Findings, fmt.Sprintf("the log had %d entries and has %d here: it was cut, or the mirror is behind", then.Size, now.Size))
		return nil
	}
	root, _, err := s.Prefix(ctx, now, then.Size)
	if err != nil {
		return explainTiles(err)
	}
	if v.Grew = now.Size - then.Size; root != then.Root {
		v.Findings = append(v.Findings, "the entries do not have the root of the remembered checkpoint: one was changed or hidden")
	}
	return nil
}

// evidenceView is what `auditor log evidence` found.
type evidenceView struct {
	Holds     bool     `json:"holds"`
	Fork      bool     `json:"fork"`
	Origin    string   `json:"origin"`
	First     int64    `json:"first"`  // entries
	Second    int64    `json:"second"` // entries
	Witnesses []string `json:"witnesses"`
	Why       string   `json:"why"`
}

func newLogEvidence() *cobra.Command {
	var trust string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "evidence FILE", Short: "Verify evidence that a log contradicted itself", Args: exactArgs(1, "one evidence file"),
		Long: `Evidence is what glovebox auditor log watch writes: two checkpoints that the log signed, and the proof that they cannot both be
true. It needs nothing but the log's key, which must come from elsewhere. It also names the witnesses who cosigned both.`,
		Example: "  glovebox auditor log evidence watch.json.evidence --trust trust.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := trustedLog(trust)
			if err != nil {
				return err
			}
			b, err := readBounded(args[0], tlog.MaxEvidence)
			if err != nil {
				return err
			}
			e, err := tlog.DecodeEvidence(b)
			if err != nil {
				return Errorf(KindUsage, "give the file that glovebox auditor log watch wrote").from(fmt.Errorf("%s: %w", args[0], err))
			}
			v := &evidenceView{Origin: l.Origin(), Witnesses: []string{}}
			c, err := e.Verify(l)
			if c != nil {
				v.Fork, v.First, v.Second = c.Fork, c.First.Size, c.Second.Size
				v.Witnesses = append(v.Witnesses, c.Witnesses...)
			}
			if v.Holds = err == nil; err != nil {
				v.Why = err.Error()
			}
			if err := show(cmd, asJSON, v, v.print); err != nil || v.Holds {
				return err
			}
			return Errorf(KindVerify, "who says so must show more").because("it proves nothing: %s", v.Why)
		},
	}
	cmd.Flags().StringVar(&trust, "trust", "", "trust file, or the operator's trusted_root.json (required)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (v *evidenceView) print(w io.Writer) {
	switch {
	case v.Fork:
		fmt.Fprintf(w, "PROVEN  %s signed two histories: of %d and of %d entries\n", v.Origin, v.First, v.Second)
	default:
		fmt.Fprintf(w, "NOTHING PROVEN  %s\n", v.Why)
	}
	for _, n := range v.Witnesses {
		fmt.Fprintf(w, "witness  %s signed both\n", n)
	}
}
