package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
)

// files is a bucket in memory. after is called when a file was stored.
type files struct {
	mu    sync.Mutex
	m     map[string]string
	sizes []int
	fails int
	after func(n int)
}

func (f *files) put(_ context.Context, name string, body []byte) error {
	f.mu.Lock()
	if f.fails > 0 {
		f.fails--
		f.mu.Unlock()
		return errors.New("no connection")
	}
	f.m[name] = string(body)
	f.sizes = append(f.sizes, len(body))
	n, after := len(f.sizes), f.after
	f.mu.Unlock()
	if after != nil {
		after(n)
	}
	return nil
}

// uploaded is the size of each file, in the order in which they were stored.
func (f *files) uploaded() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sizes)
}

// clicks counts each line of all files, and demands that those of one shard are in order.
func (f *files) clicks(t *testing.T) map[string]int {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	count, last := map[string]int{}, map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(f.m)) {
		shard, _, _ := strings.Cut(name, "/")
		for line := range strings.Lines(f.m[name]) {
			var n int
			if _, err := fmt.Sscanf(line, "click %d\n", &n); err != nil {
				t.Fatal(err)
			}
			if count[line]++; n < last[shard] {
				t.Errorf("%s: %d stands behind %d", shard, n, last[shard])
			}
			last[shard] = n
		}
	}
	return count
}

func (f *files) wantOnce(t *testing.T, n int) {
	t.Helper()
	count := f.clicks(t)
	for i := range n {
		if k := count[fmt.Sprintf("click %d\n", i)]; k != 1 {
			t.Errorf("click %d is in the files %d times", i, k)
		}
	}
	if len(count) != n {
		t.Errorf("%d clicks, want %d", len(count), n)
	}
}

// place is a server in a bubble, with a bucket.
type place struct {
	t *testing.T
	s *kinesistest.Server
	f *files
}

func bubble(t *testing.T, test func(p *place)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{t, kinesistest.New(), &files{m: map[string]string{}}}
		defer func() { _ = p.s.Close() }()
		p.s.CreateStream(stream, shards)
		test(p)
	})
}

func (p *place) start(worker string, s sizes) (c *consumer.Consumer, stop func() error) {
	p.t.Helper()
	cfg := p.s.Config(worker)
	c, err := newUploader(worker, kinesis.NewFromConfig(cfg), dynamostore.New(dynamodb.NewFromConfig(cfg), dynamostore.Config{Table: "uploader"}), p.f, s)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	return c, func() error { cancel(); return <-ended }
}

func (p *place) write(from, to int) {
	p.t.Helper()
	if err := write(p.t.Context(), kinesis.NewFromConfig(p.s.Config("clicks")), from, to); err != nil {
		p.t.Fatal(err)
	}
}

func TestFilesAreUploadedBySizeAndTheRestAtAStop(t *testing.T) {
	bubble(t, func(p *place) {
		_, stop := p.start("w1", sizes{bytes: 200, age: time.Hour})
		p.write(0, 100)
		time.Sleep(5 * time.Second)
		for _, n := range p.f.uploaded() {
			if n < 200 || n > 220 {
				t.Errorf("a file of %d bytes", n)
			}
		}
		if len(p.f.uploaded()) == 0 || len(p.f.clicks(t)) == 100 {
			t.Errorf("%d files", len(p.f.uploaded()))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		p.f.wantOnce(t, 100)
	})
}

func TestAnIdleShardUploadsWhatHasWaited(t *testing.T) {
	bubble(t, func(p *place) {
		_, stop := p.start("w1", sizes{bytes: 1 << 20, age: 30 * time.Second})
		time.Sleep(15 * time.Second)
		p.write(0, 10)
		time.Sleep(25 * time.Second)
		if len(p.f.uploaded()) != 0 {
			t.Errorf("%d files after 25 s", len(p.f.uploaded()))
		}
		time.Sleep(20 * time.Second)
		p.f.wantOnce(t, 10)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestABucketOutOfReachLosesNothing(t *testing.T) {
	bubble(t, func(p *place) {
		p.f.fails = 20
		_, stop := p.start("w1", sizes{bytes: 100, age: 5 * time.Second})
		p.write(0, 100)
		time.Sleep(2 * time.Minute)
		p.f.wantOnce(t, 100)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// The worker dies between an upload and its checkpoint: the next one replaces the file.
func TestACrashAfterAnUploadRepeatsNothing(t *testing.T) {
	bubble(t, func(p *place) {
		var cut atomic.Pointer[kinesistest.Rule]
		p.f.after = func(n int) {
			if n == 5 {
				cut.Store(p.s.On("*", kinesistest.LoseRequest()).From("w1"))
			}
		}
		first, stopFirst := p.start("w1", sizes{bytes: 150, age: time.Hour})
		p.write(0, 100)
		_, stopSecond := p.start("w2", sizes{bytes: 130, age: time.Hour})
		p.write(100, 200)
		time.Sleep(time.Minute)
		if cut.Load() == nil || len(first.Health().Shards) != 0 {
			t.Errorf("the first worker still has %+v", first.Health().Shards)
		}
		if err := stopSecond(); err != nil {
			t.Fatal(err)
		}
		p.f.wantOnce(t, 200)
		cut.Load().Remove()
		if err := stopFirst(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAReshardUploadsWhatIsLeftOfTheParent(t *testing.T) {
	bubble(t, func(p *place) {
		_, stop := p.start("w1", sizes{bytes: 1 << 20, age: time.Hour})
		p.write(0, 50)
		p.s.Split(stream, "shardId-000000000000")
		p.write(50, 100)
		time.Sleep(10 * time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		p.f.wantOnce(t, 100)
	})
}
