package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

const stream = "clicks"

// slowly is an archive that takes its time. It is shared by workers, as what they write to would be.
type slowly struct {
	archive
	takes time.Duration
	buf   bytes.Buffer
}

func newSlowly(takes time.Duration) *slowly {
	s := &slowly{takes: takes}
	s.archive.out = &s.buf
	return s
}

func (s *slowly) handle(ctx context.Context, r *consumer.Record) error {
	time.Sleep(s.takes)
	return s.archive.handle(ctx, r)
}

// counts is how often each datum was archived.
func (s *slowly) counts(t *testing.T) map[string]int {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := map[string]int{}
	for text := range strings.Lines(s.buf.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		n[string(l.Data)]++
	}
	return n
}

func ask(w *worker, path string) (status int, body string) {
	out := httptest.NewRecorder()
	w.probes().ServeHTTP(out, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	return out.Code, out.Body.String()
}

// load puts forty records a second until stop is called, and returns how many there were.
func load(s *kinesistest.Server) (stop func() int) {
	api := kinesis.NewFromConfig(s.Config("clicks"))
	ended := make(chan struct{})
	n := 0
	var over sync.WaitGroup
	over.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(25 * time.Millisecond):
			}
			in := &kinesis.PutRecordInput{StreamName: aws.String(stream), PartitionKey: aws.String(fmt.Sprint("visitor-", n)), Data: fmt.Append(nil, n)}
			if _, err := api.PutRecord(context.Background(), in); err == nil {
				n++
			}
		}
	})
	return func() int { close(ended); over.Wait(); return n }
}

func TestAWorkerThatIsStoppedUnderLoadIsGoneInTimeAndLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := kinesistest.New()
		defer func() { _ = server.Close() }()
		server.CreateStream(stream, 4)
		core, logs := observer.New(zap.InfoLevel)
		to := newSlowly(150 * time.Millisecond)
		start := func(name string, parallel int) (w *worker, stop func() error) {
			s := settings{stream: stream, application: "archive", table: "archive", worker: name, parallel: parallel}
			w, err := newWorker(s, server.Config(name), zap.New(core), to)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- w.consume(ctx) }()
			return w, func() error { cancel(); return <-ended }
		}
		first, stopFirst := start("w1", 4)
		if status, _ := ask(first, "/ready"); status != http.StatusServiceUnavailable {
			t.Errorf("ready before it began: %d", status)
		}
		stopLoad := load(server)
		time.Sleep(90 * time.Second)
		for path, want := range map[string]string{"/ready": "", "/live": "", "/health": `"state":"running"`} {
			if status, body := ask(first, path); status != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		_, stopSecond := start("w2", 1)
		time.Sleep(20 * time.Second)

		begin := time.Now()
		if err := stopFirst(); err != nil {
			t.Errorf("the stop was cut short: %v", err)
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("the stop took %v", took)
		}
		if status, body := ask(first, "/ready"); status != http.StatusServiceUnavailable || !strings.Contains(body, "stopped") {
			t.Errorf("ready when it was stopped: %d %s", status, body)
		}
		n := stopLoad()
		time.Sleep(2 * time.Minute)
		if err := stopSecond(); err != nil {
			t.Error(err)
		}
		got := to.counts(t)
		for i := range n {
			if k := got[fmt.Sprint(i)]; k != 1 {
				t.Errorf("record %d was archived %d times", i, k)
			}
		}
		var told int64
		for _, e := range logs.FilterMessage("worked").All() {
			told += e.ContextMap()["records"].(int64)
		}
		if told != int64(n) {
			t.Errorf("the log has counted %d of %d records", told, n)
		}
	})
}

// The probes, over TCP, in real time.
func TestTheProbesAreAnsweredUntilTheWorkerIsGone(t *testing.T) {
	t.Parallel()
	server := kinesistest.New(kinesistest.WithoutLimits())
	defer func() { _ = server.Close() }()
	server.CreateStream(stream, 1)
	w, err := newWorker(settings{stream: stream, application: "archive", table: "archive", parallel: 1}, server.Config("w1"), zap.NewNop(), newSlowly(0))
	if err != nil {
		t.Fatal(err)
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx, listener) }()
	get := func() int {
		in, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+"/ready", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		out, err := http.DefaultClient.Do(in)
		if err != nil {
			return 0
		}
		_, _ = io.Copy(io.Discard, out.Body)
		_ = out.Body.Close()
		return out.StatusCode
	}
	for begin := time.Now(); get() != http.StatusOK; {
		if time.Since(begin) > 30*time.Second {
			t.Fatal("never ready")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if status := get(); status != 0 {
		t.Errorf("a worker that is gone answers %d", status)
	}
}

func TestTheEnvironmentIsReadAndJudged(t *testing.T) {
	t.Parallel()
	env := func(of map[string]string) func(string) string { return func(name string) string { return of[name] } }
	s, err := fromEnvironment(env(map[string]string{"STREAM": "clicks", "APPLICATION": "archive", "PARALLEL": "8", "WORKER": "pod-1"}))
	if want := (settings{stream: "clicks", application: "archive", table: "archive", worker: "pod-1", listen: ":8080", parallel: 8}); err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
	_, err = fromEnvironment(env(map[string]string{"PARALLEL": "many"}))
	for _, what := range []string{"STREAM", "APPLICATION", "PARALLEL"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v says nothing of %s", err, what)
		}
	}
}
