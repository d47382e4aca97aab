// SPDX-License-Identifier: Apache-2.0

package keyholder

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// maxLine bounds one request or answer on a pipe.
const maxLine = 64 << 20

// pipeRequest is one line from the program that needs a keyholder to the one that has it.
type pipeRequest struct {
	Op      string `json:"op"`
	Context []byte `json:"context,omitempty"`
	Key     []byte `json:"key,omitempty"`
	Wrapped []byte `json:"wrapped,omitempty"`
	Items   []Item `json:"items,omitempty"`
	Oldest  int    `json:"oldest,omitempty"`
}

type pipeAnswer struct {
	Keys     [][]byte   `json:"keys,omitempty"`
	Versions *Versions  `json:"versions,omitempty"`
	Version  int        `json:"version,omitempty"`
	Error    *pipeError `json:"error,omitempty"`
}

// pipeError is an error of this package on its way: a code for the sentinel, and its words.
type pipeError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	target  error
}

func (e *pipeError) Error() string { return e.Message }

func (e *pipeError) Unwrap() error { return e.target }

func pipeCodes() map[string]error {
	return map[string]error{"unavailable": ErrUnavailable, "auth": ErrAuth, "unwrap": ErrUnwrap, "input": ErrInput}
}

// Serve answers requests from r on w, one line each, until r ends. It is for a parent process that must not link the
// keyholder; keys travel through pipes, never through arguments or files.
func Serve(ctx context.Context, k Keyholder, r io.Reader, w io.Writer) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	out := json.NewEncoder(w)
	for lines.Scan() {
		var q pipeRequest
		var a pipeAnswer
		err := json.Unmarshal(lines.Bytes(), &q)
		if err != nil {
			err = fmt.Errorf("%w: not a request", ErrInput)
		} else {
			err = answer(ctx, k, &q, &a)
		}
		if err != nil {
			Wipe(a.Keys)
			a = pipeAnswer{Error: toPipe(err)}
		}
		werr := out.Encode(a)
		clear(q.Key)
		Wipe(a.Keys)
		if werr != nil {
			return werr
		}
	}
	return lines.Err()
}

func answer(ctx context.Context, k Keyholder, q *pipeRequest, a *pipeAnswer) (err error) {
	one := func(b []byte, err error) error {
		a.Keys = [][]byte{b}
		return err
	}
	switch q.Op {
	case "wrap":
		return one(k.Wrap(ctx, q.Context, q.Key))
	case "unwrap":
		return one(k.Unwrap(ctx, q.Context, q.Wrapped))
	case "unwrapAll":
		a.Keys, err = UnwrapAll(ctx, k, q.Items)
		return err
	}
	r, ok := k.(Retirer)
	if !ok {
		return fmt.Errorf("%w: this keyholder has no versions", ErrInput)
	}
	switch q.Op {
	case "rotate":
		return r.Rotate(ctx)
	case "rewrap":
		return one(r.Rewrap(ctx, q.Context, q.Wrapped))
	case "retire":
		return r.Retire(ctx, q.Oldest)
	case "version":
		a.Version, err = r.Version(q.Wrapped)
		return err
	case "versions":
		v, err := r.Versions(ctx)
		a.Versions = &v
		return err
	}
	return fmt.Errorf("%w: operation %q", ErrInput, q.Op)
}

func toPipe(err error) *pipeError {
	for code, target := range pipeCodes() {
		if errors.Is(err, target) {
			return &pipeError{Code: code, Message: err.Error()}
		}
	}
	return &pipeError{Message: err.Error()}
}

// Pipe is a keyholder in another process, which runs [Serve]. It has all abilities; what the other one cannot do is
// [ErrInput].
type Pipe struct {
	mu     sync.Mutex
	in     io.WriteCloser
	out    *bufio.Reader
	broken bool
}

// NewPipe speaks to a process by its standard input and output.
func NewPipe(in io.WriteCloser, out io.Reader) *Pipe {
	return &Pipe{in: in, out: bufio.NewReaderSize(out, 64<<10)}
}

// Close ends the other process's work.
func (p *Pipe) Close() error { return p.in.Close() }

// ask makes one exchange. A call that is given up leaves the pipe unusable, because the answer would be taken for the next.
func (p *Pipe) ask(ctx context.Context, q pipeRequest) (*pipeAnswer, error) {
	if err := Interrupted(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		return nil, fmt.Errorf("%w: its process has ended", ErrUnavailable)
	}
	type result struct {
		a   *pipeAnswer
		err error
	}
	done := make(chan result, 1)
	go func() {
		a, err := p.exchange(q)
		done <- result{a, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			p.broken = true
			return nil, fmt.Errorf("%w: its process: %w", ErrUnavailable, r.err)
		}
		if e := r.a.Error; e != nil {
			e.target = pipeCodes()[e.Code]
			return nil, e
		}
		return r.a, nil
	case <-ctx.Done():
		p.broken = true
		return nil, errors.Join(Interrupted(ctx), p.in.Close())
	}
}

func (p *Pipe) exchange(q pipeRequest) (*pipeAnswer, error) {
	b, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		return nil, err
	}
	var line []byte
	defer func() { clear(line) }()
	for {
		part, err := p.out.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine {
			return nil, err
		}
	}
	var a pipeAnswer
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, errors.New("the answer is not understood")
	}
	return &a, nil
}

func (p *Pipe) one(ctx context.Context, q pipeRequest) ([]byte, error) {
	a, err := p.ask(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(a.Keys) != 1 || len(a.Keys[0]) == 0 {
		return nil, fmt.Errorf("%w: the answer has %d keys", ErrUnavailable, len(a.Keys))
	}
	return a.Keys[0], nil
}

// Wrap implements [Keyholder].
func (p *Pipe) Wrap(ctx context.Context, context, key []byte) ([]byte, error) {
	if err := CheckWrap(context, key); err != nil {
		return nil, err
	}
	return p.one(ctx, pipeRequest{Op: "wrap", Context: context, Key: key})
}

// Unwrap implements [Keyholder].
func (p *Pipe) Unwrap(ctx context.Context, context, wrapped []byte) ([]byte, error) {
	if err := CheckUnwrap(context, wrapped); err != nil {
		return nil, err
	}
	return p.one(ctx, pipeRequest{Op: "unwrap", Context: context, Wrapped: wrapped})
}

// UnwrapAll implements [Batch].
func (p *Pipe) UnwrapAll(ctx context.Context, items []Item) ([][]byte, error) {
	a, err := p.ask(ctx, pipeRequest{Op: "unwrapAll", Items: items})
	if err != nil {
		return nil, err
	}
	return a.Keys, nil
}

// Rotate implements [Rotator].
func (p *Pipe) Rotate(ctx context.Context) error {
	_, err := p.ask(ctx, pipeRequest{Op: "rotate"})
	return err
}

// Rewrap implements [Rotator].
func (p *Pipe) Rewrap(ctx context.Context, context, wrapped []byte) ([]byte, error) {
	return p.one(ctx, pipeRequest{Op: "rewrap", Context: context, Wrapped: wrapped})
}

// Versions implements [Retirer].
func (p *Pipe) Versions(ctx context.Context) (Versions, error) {
	a, err := p.ask(ctx, pipeRequest{Op: "versions"})
	if err != nil {
		return Versions{}, err
	}
	if a.Versions == nil {
		return Versions{}, fmt.Errorf("%w: the answer has no versions", ErrUnavailable)
	}
	return *a.Versions, nil
}

// Version implements [Retirer].
func (p *Pipe) Version(wrapped []byte) (int, error) {
	a, err := p.ask(context.Background(), pipeRequest{Op: "version", Wrapped: wrapped})
	if err != nil {
		return 0, err
	}
	return a.Version, nil
}

// Retire implements [Retirer].
func (p *Pipe) Retire(ctx context.Context, oldest int) error {
	_, err := p.ask(ctx, pipeRequest{Op: "retire", Oldest: oldest})
	return err
}

// Kind tells a wrapped key's kind of keyholder by its label, for people: a key wrapped by one does not open by another.
func Kind(wrapped []byte) string {
	label, _, ok := strings.Cut(string(wrapped), "\n")
	if !ok {
		return ""
	}
	return map[string]string{
		strings.TrimSuffix(fileLabel, "\n"): "file", "glovebox.dev/key-wrap-vault/v1": "vault", "glovebox.dev/key-wrap-pkcs11/v1": "pkcs11",
	}[label]
}
