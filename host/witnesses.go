// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Witness is who cosigns the log's checkpoints, and where it answers (C2SP tlog-witness).
type Witness struct {
	URL string // submission prefix
	Key string // verifier key, cosignature/v1
}

const (
	witnessPoll     = 100 * time.Millisecond
	witnessTimeout  = 10 * time.Second // for one answer
	witnessPatience = 2 * time.Second  // of a round for one who is slow, until enough have answered
	witnessGrace    = 200 * time.Millisecond
	witnessRetryMin = 250 * time.Millisecond
	witnessRetryMax = 5 * time.Second
	witnessTries    = 3  // of one question: a witness says which size it knows, and may be wrong about that
	keptHeads       = 64 // more than there can be in headGrace, one at every witnessPoll
	// headGrace is how long the last cosigned checkpoint is shown to readers of files instead of a later one.
	headGrace = 5 * time.Second
)

// feeder asks witnesses for cosignatures and keeps the checkpoints that have enough. It is apart from the log's own
// publishing: a witness that is slow, away or hostile delays only what waits for its word. All witnesses are asked, not
// only as many as are needed, because brokers may believe different ones.
type feeder struct {
	log       *tlog.Log
	threshold int
	peers     []*peer
	latest    func(context.Context) (text []byte, size int64, err error)
	prove     func(ctx context.Context, from, to int64) ([]envelope.Digest, error)
	file      string // of the newest cosigned checkpoint
	news      func() // called when there is a newer one
	now       func() time.Time
	slog      *slog.Logger

	keeping sync.Mutex     // one cosignature at a time is kept
	asking  sync.WaitGroup // questions under way: none outlives run

	mu    sync.Mutex
	heads []*signedHead // the last few, newest last
	best  *signedHead   // the newest with at least threshold cosignatures
	top   shownHead     // the largest that readers of files were shown without enough of them
	saved int64         // size of the largest head on disk, in either file
}

// shownHead is a checkpoint with the log's signature only. The zero value is none.
type shownHead struct {
	text string
	size int64
}

// signedHead is a checkpoint and who has cosigned it so far.
type signedHead struct {
	text  string // with the log's signature only
	size  int64
	since time.Time
	lines []string
	names map[string]int64 // to the time of the cosignature
}

func (s *signedHead) full() string { return s.text + strings.Join(s.lines, "") }

// peer is one witness. Its fields are guarded by the feeder's lock, but for those that never change.
type peer struct {
	tlog.Witness
	url    string
	client *http.Client

	size  int64 // that it last cosigned, as far as we know
	busy  bool
	wait  time.Duration
	next  time.Time
	fault string // why it did not cosign when it was last asked; "" if it did
}

// newFeeder checks the configuration. Without witnesses it is one that never has anything to do.
func newFeeder(cfg *Config, log *tlog.Log) (*feeder, error) {
	f := &feeder{log: log, threshold: cfg.WitnessThreshold, now: cfg.Now, slog: cfg.Slog, news: func() {}}
	if len(cfg.Witnesses) == 0 {
		if cfg.WitnessThreshold != 0 {
			return nil, fmt.Errorf("%w: %d of no witnesses", ErrConfig, cfg.WitnessThreshold)
		}
		return f, nil
	}
	var keys []string
	for _, w := range cfg.Witnesses {
		keys = append(keys, w.Key)
	}
	if _, err := tlog.NewWitnesses(f.threshold, keys...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	for _, w := range cfg.Witnesses {
		key, err := tlog.NewWitness(w.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.Proxy = nil
		f.peers = append(f.peers, &peer{Witness: key, url: strings.TrimRight(w.URL, "/") + "/add-checkpoint", client: &http.Client{
			Timeout: witnessTimeout, Transport: t,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}})
	}
	return f, nil
}

func (f *feeder) on() bool { return len(f.peers) > 0 }

// load takes up the cosigned checkpoint that an earlier host left, and the one it showed. One that does not verify is
// forgotten: the witnesses sign another. Without witnesses both go, because readers are shown the latest at once, and
// neither may be shown again after that.
func (f *feeder) load(file string) error {
	f.file = file
	if !f.on() {
		return errors.Join(removeFile(file), removeFile(f.shownFile()))
	}
	cp, text, err := f.stored(f.shownFile())
	if err != nil {
		return err
	}
	f.top, f.saved = shownHead{tlog.OwnSignature(text), cp.Size}, cp.Size
	if cp, text, err = f.stored(file); err != nil || text == "" {
		return err
	}
	own := tlog.OwnSignature(text)
	lines := text[len(own):]
	h := f.add(own, cp.Size)
	for _, p := range f.peers {
		if line, c, err := p.Pick(own, lines); err == nil {
			f.accept(p, h, line, c)
		}
	}
	return nil
}

// shownFile holds the largest checkpoint that was shown without enough cosignatures.
func (f *feeder) shownFile() string { return filepath.Join(filepath.Dir(f.file), shownFile) }

// stored reads a checkpoint of this log; text is empty if there is none that verifies.
func (f *feeder) stored(file string) (cp tlog.Checkpoint, text string, err error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return cp, "", nil
	}
	if err != nil {
		return cp, "", err
	}
	if cp, err = f.log.ParseCheckpoint(string(b)); err != nil {
		return tlog.Checkpoint{}, "", nil
	}
	return cp, string(b), nil
}

// add makes room for a checkpoint, if it is not there yet.
func (f *feeder) add(text string, size int64) *signedHead {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.heads {
		if h.text == text {
			return h
		}
	}
	h := &signedHead{text: text, size: size, since: f.now(), names: map[string]int64{}}
	f.heads = append(f.heads, h)
	if len(f.heads) > keptHeads {
		f.heads = f.heads[1:]
	}
	return h
}

// accept notes a verified cosignature, and keeps the checkpoint if it has enough of them now: on disk first, so that what
// somebody was shown is known after a restart.
func (f *feeder) accept(p *peer, h *signedHead, line string, c tlog.Cosignature) {
	if f.keep(p, h, line, c) {
		f.news()
	}
}

func (f *feeder) keep(p *peer, h *signedHead, line string, c tlog.Cosignature) (newer bool) {
	f.keeping.Lock() // only here do heads change
	defer f.keeping.Unlock()
	f.mu.Lock()
	p.size, p.fault, p.wait = max(p.size, h.size), "", 0
	had := h.names[c.Name] != 0
	newer = !had && len(h.lines)+1 >= f.threshold && (f.best == nil || h.size >= f.best.size)
	text := h.full() + line
	f.mu.Unlock()
	if had {
		return false
	}
	saved := false
	if newer {
		err := writeFile(f.file, []byte(text))
		if saved = err == nil; !saved { // the witnesses will sign again
			f.slog.Warn("log", "error", diskError(err))
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if saved {
		f.saved = max(f.saved, h.size)
	}
	h.names[c.Name] = c.Time
	h.lines = append(h.lines, line)
	if newer {
		f.best = h
	}
	return newer
}

// cosigned is the newest checkpoint with enough cosignatures; ok is false before the first.
func (f *feeder) cosigned() (text string, size int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.best == nil {
		return "", 0, false
	}
	return f.best.full(), f.best.size, true
}

// dress adds to a checkpoint the cosignatures it has so far.
func (f *feeder) dress(text string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dressed(text)
}

func (f *feeder) dressed(text string) string {
	for _, h := range f.heads {
		if h.text == text {
			return h.full()
		}
	}
	return text
}

// shown is what readers of the log's files get for the latest checkpoint: the last cosigned one, as long as witnesses may
// still be busy with later ones. It never is a smaller one than was shown before, also by an earlier host: a log that goes
// back is taken for one that hides entries. So what is not on disk is not shown, and the error is the disk's.
func (f *feeder) shown(latest string, size int64) (string, error) {
	if text, _, saved := f.pick(latest, size); saved {
		return text, nil
	}
	f.keeping.Lock()
	defer f.keeping.Unlock()
	text, top, saved := f.pick(latest, size) // another reader may have been here
	if saved {
		return text, nil
	}
	if err := writeFile(f.shownFile(), []byte(top.text)); err != nil {
		return "", diskError(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.top, f.saved = top, top.size
	return text, nil
}

// pick is the head to show, with its cosignatures, and whether one at least as large is on disk: the largest of the last
// cosigned one, those that witnesses had time for, and the one shown before.
func (f *feeder) pick(latest string, size int64) (text string, top shownHead, saved bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	top = f.top
	if f.best == nil && size >= top.size {
		top = shownHead{latest, size}
	}
	for _, h := range f.heads {
		if h.size > top.size && f.now().Sub(h.since) > headGrace {
			top = shownHead{h.text, h.size}
		}
	}
	if f.best != nil && f.best.size >= top.size {
		return f.best.full(), shownHead{f.best.text, f.best.size}, f.best.size <= f.saved
	}
	return f.dressed(top.text), top, top.size <= f.saved
}

// run asks until ctx ends, and every answer is dealt with.
func (f *feeder) run(ctx context.Context) {
	if !f.on() {
		return
	}
	defer f.asking.Wait()
	var last []byte
	var h *signedHead
	t := time.NewTicker(witnessPoll)
	defer t.Stop()
	for {
		if text, size, err := f.latest(ctx); err == nil && size > 0 && !bytes.Equal(text, last) {
			last, h = text, f.add(string(text), size)
		}
		if h != nil {
			f.round(ctx, h)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// round asks every idle witness that has not signed h, and waits for them: for all a moment, for enough of them longer.
// Whoever is slower is left alone until it has answered.
func (f *feeder) round(ctx context.Context, h *signedHead) {
	done := make(chan struct{}, len(f.peers))
	asked := 0
	for _, p := range f.peers {
		if !f.claim(p, h) {
			continue
		}
		asked++
		f.asking.Go(func() {
			f.settle(p, f.ask(ctx, p, h))
			done <- struct{}{}
		})
	}
	limit := time.NewTimer(witnessPatience)
	defer limit.Stop()
	for ; asked > 0; asked-- {
		select {
		case <-done:
			f.mu.Lock()
			if len(h.lines) >= f.threshold {
				limit.Reset(witnessGrace)
			}
			f.mu.Unlock()
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (f *feeder) claim(p *peer, h *signedHead) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.busy || h.names[p.Name()] != 0 || f.now().Before(p.next) {
		return false
	}
	p.busy = true
	return true
}

// settle lets a witness be asked again: at once, or after a failure later and later.
func (f *feeder) settle(p *peer, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.busy = false
	if err == nil {
		p.next = time.Time{}
		return
	}
	if text := clip(err.Error()); p.fault != text {
		p.fault = text
		f.slog.Warn("witness", "name", p.Name(), "error", text)
	}
	p.wait = min(max(2*p.wait, witnessRetryMin), witnessRetryMax)
	p.next = f.now().Add(p.wait)
}

// ask gets a witness's cosignature of h.
func (f *feeder) ask(ctx context.Context, p *peer, h *signedHead) error {
	f.mu.Lock()
	old := p.size
	f.mu.Unlock()
	for range witnessTries {
		if old > h.size {
			return fmt.Errorf("it has cosigned a log of %d entries, and this one has %d: an older copy of this log was put back, or there are two", old, h.size)
		}
		r := tlog.AddCheckpoint{Old: old, Checkpoint: h.text}
		var err error
		if old > 0 && old < h.size {
			if r.Proof, err = f.prove(ctx, old, h.size); err != nil {
				return err
			}
		}
		answer, known, err := p.post(ctx, r)
		if err != nil {
			return err
		}
		if answer == "" {
			old = known
			continue
		}
		line, c, err := p.Pick(h.text, answer)
		if err != nil {
			return err
		}
		f.accept(p, h, line, c)
		return nil
	}
	return errors.New("it keeps naming other sizes than it accepts")
}

// post sends one request. It returns either signature lines, or the size that the witness knows.
func (p *peer) post(ctx context.Context, r tlog.AddCheckpoint) (answer string, known int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, strings.NewReader(r.String()))
	if err != nil {
		return "", 0, err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, tlog.MaxCheckpoint+1))
	if err != nil {
		return "", 0, err
	}
	switch {
	case len(b) > tlog.MaxCheckpoint:
		return "", 0, errors.New("its answer is too large")
	case res.StatusCode == http.StatusOK && len(b) > 0:
		return string(b), 0, nil
	case res.StatusCode == http.StatusConflict && res.Header.Get("Content-Type") == tlog.SizeType:
		known, err = tlog.ParseSize(strings.TrimSuffix(string(b), "\n"))
		return "", known, err
	}
	return "", 0, fmt.Errorf("it refused: %d %s", res.StatusCode, http.StatusText(res.StatusCode))
}

// status lists the witnesses for operators, and the size of the newest cosigned checkpoint.
func (f *feeder) status() ([]*pb.LogWitness, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*pb.LogWitness
	for _, p := range f.peers {
		w := &pb.LogWitness{Name: p.Name(), Size: p.size, Fault: p.fault}
		for _, h := range f.heads {
			w.Time = max(w.Time, h.names[p.Name()])
		}
		out = append(out, w)
	}
	if f.best == nil {
		return out, 0
	}
	return out, f.best.size
}
