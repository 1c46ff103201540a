package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// processVariable makes the test binary a process that can be sent signals: "main" is the program, "stuck" one that does not get further than
// to hear of the first signal.
const processVariable = "KINESISKIT_TEST_PROCESS"

func TestMain(m *testing.M) {
	switch os.Getenv(processVariable) {
	case "main":
		main()
	case "stuck":
		ctx := untilInterrupted()
		os.Exit(run(ctx, os.Args[1:], os.Stdout, stuckWriter{ctx}))
	}
	os.Exit(m.Run())
}

// stuckWriter blocks its caller once ctx has ended, after a line on standard output.
type stuckWriter struct{ ctx context.Context }

func (w stuckWriter) Write(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		_, _ = io.WriteString(os.Stdout, "stuck\n")
		select {}
	}
	return len(p), nil
}

// process starts one and returns when it has printed its settings. It is killed at the test's end.
func process(t *testing.T, kind string, args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no signals")
	}
	cmd := exec.Command(os.Args[0], append([]string{"local", "-addr", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), processVariable+"="+kind)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		timer.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "AWS_SECRET_ACCESS_KEY") {
			return cmd, lines
		}
	}
	t.Fatal("it has not started")
	return nil, nil
}

func TestASignalEndsTheProcessWithItsStateWritten(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		file := filepath.Join(t.TempDir(), "state.json")
		cmd, _ := process(t, "main", "-persist", file)
		if err := os.Remove(file); err != nil { // what it wrote at its start
			t.Error(err)
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", signal, err)
		}
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}

func TestASecondSignalEndsTheProcessAtOnce(t *testing.T) {
	t.Parallel()
	cmd, lines := process(t, "stuck")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || lines.Text() != "stuck" {
		t.Fatalf("%q, %v", lines.Text(), lines.Err())
	}
	// The first signal ends the context and, a moment later, the catching: until then it would swallow the second.
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("%v, not by the signal", err)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
