package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// process is a worker in a process of its own. It says what it does on its standard output, and ends when its standard input does: not even
// this program's sudden death leaves one behind.
type process struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr tail
	over   chan struct{} // closed when it is gone and all it said was heard
	err    error         // how it ended; valid then
}

// launch starts a worker. Every line it writes goes to heard, on one goroutine.
func launch(j job, heard func(worker string, l line)) (*process, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start %s: find this program: %w", j.Worker, err)
	}
	p := &process{name: j.Worker, over: make(chan struct{})}
	p.cmd = exec.Command(self) //nolint:gosec,noctx // this program itself, and it is ended by a signal or by its standard input
	p.cmd.Env = append(os.Environ(), jobVariable+"="+string(text))
	p.cmd.Stderr = &p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", j.Worker, err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", j.Worker, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", j.Worker, err)
	}
	go p.listen(stdout, heard)
	return p, nil
}

// listen ends with the process.
func (p *process) listen(stdout io.Reader, heard func(string, line)) {
	defer close(p.over)
	in := bufio.NewReader(stdout)
	for {
		text, err := in.ReadBytes('\n')
		if err != nil {
			break // what is left is the line of a process that died while it wrote
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			fmt.Fprintf(&p.stderr, "not understood: %.200q: %v\n", text, err)
			continue
		}
		heard(p.name, l)
	}
	p.err = p.cmd.Wait()
}

// signal sends a signal, and waits until the process is over.
func (p *process) signal(ctx context.Context, s os.Signal, patience time.Duration) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %v to %s: %w", s, p.name, err)
	}
	select {
	case <-p.over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(patience):
		return fmt.Errorf("%s did not end within %v of %v", p.name, patience, s)
	}
}

// failure is why the process ended, with its last words.
func (p *process) failure() error {
	if p.err == nil {
		return fmt.Errorf("%s ended by itself", p.name)
	}
	return fmt.Errorf("%s ended by itself: %w: %s", p.name, p.err, p.stderr.text())
}

// end makes sure that nothing is left of the process.
func (p *process) end() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Kill() // says so if it is over already
	<-p.over
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailBytes = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - tailBytes; over > 0 {
		t.kept = t.kept[over:]
	}
	return len(b), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.kept))
}
