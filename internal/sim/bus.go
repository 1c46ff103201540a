package sim

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// bus is the network between the components and the server, and the only thing that happens by chance.
type bus struct {
	rng    *rand.Rand // of the scheduler's goroutine
	faults faults
	start  time.Time
	hash   uint64 // of all that was performed and when
	counts Counts
	trace  func(format string, args ...any) // nil: none

	// watch is told of each request that the server has performed, with its answer.
	watch func(c *call, status int, body []byte)

	mu      sync.Mutex
	arrived []*call
	asked   []func()
	cut     map[string]bool // clients whose network is gone
	wake    chan struct{}   // capacity 1

	due    queue
	serial uint64
	quiet  bool
}

// call is one request under way.
type call struct {
	client, op string
	inner      aws.HTTPClient
	req        *http.Request
	body       []byte // canonical: the SDK writes maps in any order
	answer     chan answered
}

type answered struct {
	resp *http.Response
	err  error
}

// happening is what the scheduler has to do at a moment.
type happening struct {
	at     time.Time
	serial uint64
	do     func()
}

type queue []*happening

func (q *queue) Len() int { return len(*q) }
func (q *queue) Less(i, j int) bool {
	x, y := (*q)[i], (*q)[j]
	return cmp.Or(x.at.Compare(y.at), cmp.Compare(x.serial, y.serial)) < 0
}
func (q *queue) Swap(i, j int) { (*q)[i], (*q)[j] = (*q)[j], (*q)[i] }
func (q *queue) Push(x any)    { *q = append(*q, x.(*happening)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func newBus(seed uint64, f faults) *bus {
	return &bus{rng: rand.New(rand.NewPCG(seed, 0x627573)), faults: f, start: time.Now(), cut: map[string]bool{}, wake: make(chan struct{}, 1)}
}

// client is the network as one component has it.
type client struct {
	b     *bus
	name  string
	inner aws.HTTPClient
}

// Do parks the request until the scheduler has decided what becomes of it.
func (c *client) Do(req *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	target := req.Header.Get("X-Amz-Target")
	p := &call{
		client: c.name, op: target[strings.LastIndexByte(target, '.')+1:], inner: c.inner, req: req, body: canonical(raw), answer: make(chan answered, 1),
	}
	c.b.mu.Lock()
	c.b.arrived = append(c.b.arrived, p)
	c.b.mu.Unlock()
	select {
	case c.b.wake <- struct{}{}:
	default:
	}
	select {
	case a := <-p.answer:
		return a.resp, a.err
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

func canonical(body []byte) []byte {
	var v any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return body
	}
	out, err := json.Marshal(v)
	if err != nil {
		return body
	}
	return out
}

// run schedules until stop is closed. It is the only goroutine that draws from the bus's source.
func (b *bus) run(stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := time.Hour
		if len(b.due) > 0 {
			wait = time.Until(b.due[0].at)
		}
		timer.Reset(max(0, wait))
		select {
		case <-stop:
			b.hangUp()
			return
		case <-b.wake:
		case <-timer.C:
		}
		synctest.Wait() // whatever else happens at this moment has happened
		b.gather()
		for len(b.due) > 0 && !b.due[0].at.After(time.Now()) {
			heap.Pop(&b.due).(*happening).do()
			synctest.Wait()
			b.gather()
		}
	}
}

// hangUp answers what is still on its way.
func (b *bus) hangUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.arrived {
		c.answer <- answered{err: broken()}
	}
	b.arrived = nil
}

// gather decides about the requests that have come, in an order of their own.
func (b *bus) gather() {
	b.mu.Lock()
	calls, asked := b.arrived, b.asked
	b.arrived, b.asked = nil, nil
	b.mu.Unlock()
	for _, do := range asked {
		do()
	}
	slices.SortFunc(calls, func(x, y *call) int {
		return cmp.Or(strings.Compare(x.client, y.client), strings.Compare(x.op, y.op), bytes.Compare(x.body, y.body))
	})
	for _, c := range calls {
		b.decide(c)
	}
}

// at lets do happen after d, at a moment that nothing else has.
func (b *bus) at(d time.Duration, do func()) {
	b.serial++
	at := time.Now().Add(max(d, 0).Truncate(time.Microsecond) + time.Duration(b.serial%1000))
	heap.Push(&b.due, &happening{at: at, serial: b.serial, do: do})
}

// ask lets do happen at this moment, on the scheduler's goroutine.
func (b *bus) ask(do func()) {
	b.mu.Lock()
	b.asked = append(b.asked, do)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *bus) cutOff(client string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut[client] = true
}

func (b *bus) connect(client string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.cut, client)
}

func (b *bus) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(b.rng.Int64N(int64(hi-lo)+1))
}

func (b *bus) chance(p float64) bool { return b.rng.Float64() < p }

func (b *bus) decide(c *call) {
	there, back := b.between(time.Millisecond, 20*time.Millisecond), b.between(time.Millisecond, 20*time.Millisecond)
	b.mu.Lock()
	isCut := b.cut[c.client]
	b.mu.Unlock()
	f := b.faults
	if b.quiet {
		f = faults{}
	}
	switch {
	case isCut || b.chance(f.lost):
		b.counts.Lost++
		b.at(there, func() { b.fail(c) })
		return
	case b.chance(f.slow):
		b.counts.Slow++
		there += b.between(0, 2*time.Second)
	}
	switch {
	case b.chance(f.lostReply):
		b.counts.LostReplies++
		b.at(there, func() {
			b.perform(c)
			b.fail(c)
		})
	case b.chance(f.late):
		b.counts.AppliedLate++
		b.at(there, func() { b.fail(c) })
		b.at(there+b.between(0, 20*time.Second), func() { b.perform(c) })
	default:
		b.at(there, func() {
			a := b.perform(c)
			b.at(back, func() { c.answer <- a })
		})
	}
}

func (b *bus) fail(c *call) { c.answer <- answered{err: broken()} }

// perform lets the server have the request.
func (b *bus) perform(c *call) answered {
	b.counts.Requests++
	req := c.req.Clone(context.WithoutCancel(c.req.Context())) // whoever has stopped waiting has sent it all the same
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(c.body)), int64(len(c.body))
	resp, err := c.inner.Do(req)
	if err != nil {
		b.note(c, 0)
		return answered{err: err}
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return answered{err: err}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	b.note(c, resp.StatusCode)
	b.watch(c, resp.StatusCode, body)
	return answered{resp: resp}
}

// note adds to the hash of the run.
func (b *bus) note(c *call, status int) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %s %s %d %s", b.hash, time.Since(b.start), c.client, c.op, status, c.body)
	b.hash = h.Sum64()
	if b.trace != nil {
		b.trace("%v %s %s %d %s", time.Since(b.start), c.client, c.op, status, c.body)
	}
}

var errReset = os.NewSyscallError("read", syscall.ECONNRESET)

func broken() error { return &net.OpError{Op: "read", Net: "tcp", Err: errReset} }
