// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// fakeWorker is a process that does as the test says in the place of a worker. behave has the worker's ends of the pipes.
func fakeWorker(t *testing.T, behave func(down io.Reader, up, out io.Writer)) *process {
	t.Helper()
	down, up, out := pipe(t), pipe(t), pipe(t)
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	window, err := unix.Mmap(-1, 0, windowBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{
		down: down[1], up: up[0], out: out[0], window: window, results: -1, pidfd: pidfd, isolation: "none", exit: make(chan exitReport, 1),
	}
	done := make(chan struct{})
	go func() {
		behave(down[0], up[1], out[1])
		close(done)
	}()
	go func() { // when it is killed, its ends close
		_ = cmd.Wait()
		for _, f := range []*os.File{down[0], up[1], out[1]} {
			f.Close()
		}
		<-done
		p.exit <- exitReport{Status: "fake"}
	}()
	return p
}

func pipe(t *testing.T) [2]*os.File {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return [2]*os.File{r, w}
}

// hostileModule is what the hostile workers of these tests were asked to run.
var hostileModule = []byte("module")

// truth is what a worker says of it that does not lie.
func truth() admission {
	return admission{Original: envelope.Sum(hostileModule), Rewritten: envelope.Sum([]byte("rewritten")), Costs: fuel.CostTable}
}

// says is what a worker sends of an admission.
func says(a admission) []byte {
	var b bytes.Buffer
	_ = a.write(&b)
	return b.Bytes()
}

// sent is what a worker sends that admits the module and comes to this artefact.
func sent(a artefact) []byte {
	b := bytes.NewBuffer(says(truth()))
	_ = a.write(b)
	return b.Bytes()
}

// completed is the artefact of a run that completed.
func completed(outputs ...Artefact) artefact {
	return artefact{result: result{Fuel: 1}, outputs: outputs}
}

// honest is what a worker sends of one.
func honest(outputs ...Artefact) []byte { return sent(completed(outputs...)) }

// TestHostileWorker: a module that broke out of the engine owns the worker, and what it then sends is refused.
func TestHostileWorker(t *testing.T) {
	good := Artefact{"result", []byte("abc")}
	send := func(b []byte) func(io.Reader, io.Writer, io.Writer) {
		return func(_ io.Reader, _, out io.Writer) { _, _ = out.Write(b) }
	}
	ask := func(q request) func(io.Reader, io.Writer, io.Writer) {
		return func(_ io.Reader, up, _ io.Writer) { _, _ = up.Write(q.append(nil)) }
	}
	frame := func(kind byte, size uint32, body string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{kind}, size), body...)
	}
	start := honest()[:len(honest())-5] // admission, result and logs, without the end
	for name, behave := range map[string]func(io.Reader, io.Writer, io.Writer){
		"garbage":              send(bytes.Repeat([]byte{0xff}, 1<<16)),
		"text":                 send([]byte("HTTP/1.1 200 OK\r\n\r\n")),
		"undeclared output":    send(honest(Artefact{"other", []byte("x")})),
		"output twice":         send(honest(good, good)),
		"output out of order":  send(honest(Artefact{"second", []byte("x")}, good)),
		"output too large":     send(honest(Artefact{"result", make([]byte, 1<<10+1)})),
		"together too much":    send(honest(good, Artefact{"second", make([]byte, 1<<20-2)})),
		"declared as huge":     send(slices.Concat(start, frame(kindOutput, 0xffffffff, "\x06result"))),
		"empty name":           send(slices.Concat(start, frame(kindOutput, 1, "\x00"))),
		"name beyond frame":    send(slices.Concat(start, frame(kindOutput, 3, "\x06result"))),
		"unknown frame":        send(slices.Concat(start, frame('X', 0, ""))),
		"end with a body":      send(slices.Concat(start, frame(kindEnd, 1, "x"))),
		"data after the end":   send(append(honest(good), 'x')),
		"outputs of a failure": send(sent(artefact{result: result{Reason: ReasonTrap}, outputs: []Artefact{good}})),
		"reason not its own":   send(sent(artefact{result: result{Reason: usage.ReasonStopped}})),
		"detail too long":      send(sent(artefact{result: result{Reason: ReasonTrap, Detail: strings.Repeat("x", maxDetail+1)}})),
		"undeclared too many":  send(sent(artefact{result: result{Fuel: 1, Undeclared: maxOutFiles + 1}})),
		"undeclared negative":  send(sent(artefact{result: result{Fuel: 1, Undeclared: -1}})),
		"result not canonical": send(bytes.Replace(honest(), []byte(`{"detail":"","fuel":1`), []byte(`{"fuel":1,"detail":""`), 1)),
		"logs not asked for":   send(sent(artefact{result: result{Fuel: 1}, logs: []byte("logs")})),
		"huge result":          send(slices.Concat(says(truth()), frame(kindResult, maxResult+1, ""))),
		"file that is not":     ask(request{file: 1, want: 1, space: 1}),
		"nothing asked":        ask(request{space: 1}),
		"past the end":         ask(request{want: 2, offset: 9, space: 2}),
		"far past the end":     ask(request{want: 1, offset: 1 << 63, space: 1}),
		"wrapping around":      ask(request{want: 2, offset: 1<<64 - 1, space: 2}),
		"more than the window": ask(request{want: 1, space: windowBytes + 1}),
		"behind the window":    ask(request{want: 1, at: windowBytes, space: 1}),
		"over its end":         ask(request{want: 1, at: windowBytes - 1, space: 2}),
		"wrapping its end":     ask(request{want: 1, at: 1<<32 - 1, space: 2}),
		"more than its space":  ask(request{want: 2, space: 1}),
		"no space":             ask(request{want: 1}),
	} {
		t.Run(name, func(t *testing.T) { wantHostile(t, behave) })
	}
}

// wantHostile runs a worker that behaves so and demands that nothing it says is believed. It returns the run.
func wantHostile(t *testing.T, behave func(io.Reader, io.Writer, io.Writer)) *run {
	t.Helper()
	sp := spec(hostileModule)
	sp.Logs = false
	sp.Files = []File{{"f", 10}}
	sp.Outputs = append(sp.Outputs, Output{"second", 1 << 20})
	p := fakeWorker(t, behave)
	defer p.close()
	r := &run{process: p, spec: &sp, data: memData{make([]byte, 10)}}
	began := time.Now()
	a, err := r.do(t.Context(), began.Add(20*time.Second))
	if a != nil || err != nil {
		t.Fatalf("artefact %v, err %v; want neither", a, err)
	}
	if reason, detail := r.reason(exitReport{}); reason != ReasonWorker || !errors.Is(r.hostile, ErrProtocol) {
		t.Errorf("reason %q (%s)", reason, detail)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("took %s", d)
	}
	return r
}

// TestSilentWorker: a worker that neither answers nor dies ends at the wall limit.
func TestSilentWorker(t *testing.T) {
	sp := spec(nil)
	p := fakeWorker(t, func(io.Reader, io.Writer, io.Writer) {})
	defer p.close()
	r := &run{process: p, spec: &sp}
	if a, err := r.do(t.Context(), time.Now().Add(200*time.Millisecond)); a != nil || err != nil {
		t.Fatalf("artefact %v, err %v", a, err)
	}
	if reason, _ := r.reason(exitReport{}); reason != ReasonWall {
		t.Errorf("reason %q", reason)
	}
}

// TestWorkerThatDoesNotRead: requests without reading the answers block the worker, not the enclave.
func TestWorkerThatDoesNotRead(t *testing.T) {
	sp := spec(nil)
	sp.Files = []File{{"f", windowBytes}}
	p := fakeWorker(t, func(_ io.Reader, up, _ io.Writer) {
		for {
			if _, err := up.Write(request{want: windowBytes, space: windowBytes}.append(nil)); err != nil {
				return
			}
		}
	})
	defer p.close()
	r := &run{process: p, spec: &sp, data: memData{make([]byte, windowBytes)}}
	if a, err := r.do(t.Context(), time.Now().Add(300*time.Millisecond)); a != nil || err != nil {
		t.Fatalf("artefact %v, err %v", a, err)
	}
	if reason, _ := r.reason(exitReport{}); reason != ReasonWall {
		t.Errorf("reason %q", reason)
	}
}

// reader is a module that reads /data/f for ever, 256 bytes at a time.
func reader() []byte {
	wasi := "wasi_snapshot_preview1"
	data := make([]byte, 64)
	data[0], data[5], data[16] = 128, 1, 'f'                                                                                // iovec: 256 bytes at 128
	open := slices.Concat(i32const(3), i32const(0), i32const(16), i32const(1), i32const(0), []byte{0x42, 0x02, 0x42, 0x02}, // the right to read
		i32const(0), i32const(8), callFn(0), opDrop)
	read := slices.Concat([]byte{0x03, 0x40, 0x41, 8, 0x28, 2, 0}, i32const(0), i32const(1), []byte{0x20, 0}, i32const(12), callFn(1),
		opDrop, []byte{0x20, 0, 0x42, 0x80, 0x02, 0x7c, 0x21, 0, 0x0c, 0, 0x0b}) // local 0 += 256
	m := wasmModule{
		memory: []uint64{1}, data: data, locals: []byte{0x7e}, code: append(open, read...),
		imports: []wasmImport{{wasi, "path_open", 9}, {wasi, "fd_pread", 5}},
	}.bytes()
	m = bytes.Replace(m, slices.Repeat([]byte{0x7f}, 9), []byte{0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7e, 0x7e, 0x7f, 0x7f}, 1)
	return bytes.Replace(m, []byte{0x60, 5, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f}, []byte{0x60, 5, 0x7f, 0x7f, 0x7f, 0x7e, 0x7f}, 1)
}

func readerSpec() Spec {
	sp := spec(reader())
	sp.Files = []File{{"f", 1 << 40}}
	return sp
}

func TestDataProviderFails(t *testing.T) {
	revoked := errors.New("revoked")
	reads := 0
	o, err := newSpawner(t).Run(t.Context(), readerSpec(), hookData(func(_ context.Context, p []byte) (int, error) {
		if reads++; reads > 3 {
			return 0, revoked
		}
		return len(p), nil
	}))
	if !errors.Is(err, ErrData) || !errors.Is(err, revoked) {
		t.Errorf("err = %v, want the provider's", err)
	}
	if o == nil || len(o.Outputs) != 0 || o.Isolation == "" || o.Wall <= 0 {
		t.Errorf("outcome %+v, want figures and no outputs", o)
	}
	if reads != 4 {
		t.Errorf("%d reads; none may follow the error", reads)
	}
}

func TestJobCancelled(t *testing.T) {
	cause := errors.New("cancelled by the buyer")
	ctx, cancel := context.WithCancelCause(t.Context())
	o, err := newSpawner(t).Run(ctx, readerSpec(), hookData(func(_ context.Context, p []byte) (int, error) {
		cancel(cause)
		return len(p), nil
	}))
	if !errors.Is(err, cause) || o == nil || len(o.Outputs) != 0 {
		t.Errorf("outcome %+v, err %v", o, err)
	}
}

// TestProviderHangs: the wall limit also ends a run whose data does not come, through the provider's context.
func TestProviderHangs(t *testing.T) {
	sp := readerSpec()
	sp.Wall = time.Second
	wantReason(t, outcome(t, sp, hookData(func(ctx context.Context, _ []byte) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	})), ReasonWall)
}

// TestReadsExactly: a module's read wants just these bytes of the provider, once.
func TestReadsExactly(t *testing.T) {
	stop := errors.New("seen enough")
	_, err := newSpawner(t).Run(t.Context(), readerSpec(), hookData(func(_ context.Context, p []byte) (int, error) {
		if len(p) != 256 {
			t.Errorf("asked for %d bytes, the module read 256", len(p))
		}
		return 0, stop
	}))
	if !errors.Is(err, stop) {
		t.Error(err)
	}
}

func FuzzReadArtefact(f *testing.F) {
	seeds := [][]byte{
		honest(), honest(Artefact{"result", []byte("abc")}), honest(Artefact{"result", []byte("abc")}, Artefact{"second", nil}),
		[]byte(strings.Repeat("R", 100)), sent(artefact{result: result{Reason: ReasonFuel, Fuel: 1 << 20}}),
		sent(artefact{result: result{Reason: ReasonModule}})[len(says(truth())):],
	}
	for _, s := range seeds {
		f.Add(s)
	}
	sp := spec(hostileModule)
	sp.Outputs, sp.OutputBytes, sp.Fuel = []Output{{"result", 8}, {"second", 16}}, 20, 1<<20
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &run{process: &process{}, spec: &sp}
		a, err := r.read(bytes.NewReader(b))
		if err != nil {
			return
		}
		total := 0
		for i, o := range a.outputs {
			if i > 0 && a.outputs[i-1].Name >= o.Name {
				t.Error("outputs repeated or out of order")
			}
			if at := slices.IndexFunc(sp.Outputs, func(d Output) bool { return d.Name == o.Name }); at < 0 || int64(len(o.Data)) > sp.Outputs[at].MaxBytes {
				t.Errorf("output %q of %d bytes", o.Name, len(o.Data))
			}
			total += len(o.Data)
		}
		if int64(total) > sp.OutputBytes || (a.Reason != ReasonNone && total > 0) {
			t.Errorf("%d bytes with reason %q", total, a.Reason)
		}
		if a.Fuel < 0 || a.Fuel > sp.Fuel || (r.admitted == nil && a.Fuel != 0) {
			t.Errorf("%d units of fuel", a.Fuel)
		}
		var again bytes.Buffer
		if r.admitted != nil {
			again.Write(says(*r.admitted))
		}
		if err := a.write(&again); err != nil || !bytes.Equal(again.Bytes(), b) {
			t.Errorf("one artefact, two encodings (%v)", err)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	for _, q := range []request{
		{want: 1, space: 1},
		{file: 1, want: windowBytes / 2, offset: 5, at: windowBytes / 2, space: windowBytes / 2},
		{file: 0xffffffff, offset: 1 << 63, at: 0xffffffff, space: 0xffffffff},
	} {
		f.Add(q.append(nil))
	}
	files := []File{{"a", 10}, {"b", 2 * windowBytes}, {"c", 0}}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != requestBytes {
			return
		}
		q, err := parseRequest([requestBytes]byte(b), files)
		if err != nil {
			return
		}
		if q.want < 1 || q.want > q.space || int64(q.at)+int64(q.space) > windowBytes || int64(q.offset)+int64(q.want) > files[q.file].Size {
			t.Errorf("admitted %+v", q)
		}
		if !bytes.Equal(q.append(nil), b) {
			t.Error("one request, two encodings")
		}
	})
}

// TestLateKill: a kill that comes after a worker was put away must not hit whatever got its descriptor number.
func TestLateKill(t *testing.T) {
	p := fakeWorker(t, func(io.Reader, io.Writer, io.Writer) {})
	p.close()
	if p.pidfd != -1 {
		t.Errorf("descriptor %d still there for a late kill", p.pidfd)
	}
	p.kill()
}
