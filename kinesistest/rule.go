package kinesistest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Rule says which requests meet a fault. Its methods narrow it and return it; it holds for all requests that fit every one of them.
// Of several rules that a request fits, the newest fires, and the others do not count it. A rule that lets a request through, because
// of After, Times, For or Sometimes, leaves it to the older ones.
//
// A rule holds from On on: a request that comes between On and a narrowing method meets the wider rule. Inside a bubble nothing
// comes in between once synctest.Wait has returned; elsewhere make rules before the traffic starts.
type Rule struct {
	server *Server
	op     string
	fault  Fault

	// The server's mutex guards what is below.
	draw                      *rand.Rand
	from                      *string
	stream, shard, table, key string
	when                      func(*Request) bool
	after, seen               int
	times                     int // -1: any number
	until                     time.Time
	share                     float64
	hits                      int
	removed                   bool
}

// On makes a rule: requests for the named operation ("PutRecords", "UpdateItem", or "*" for every one of all services) meet a fault.
func (s *Server) On(op string, f Fault) *Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	r := &Rule{server: s, op: op, fault: f, times: -1, share: 1, draw: rand.New(rand.NewPCG(s.seed, s.made))}
	s.rules = append(s.rules, r)
	return r
}

func (r *Rule) narrow(set func()) *Rule {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	set()
	return r
}

// From limits the rule to one caller: the name that its Config was given, over TCP its access key id.
func (r *Rule) From(client string) *Rule { return r.narrow(func() { r.from = &client }) }

// Stream limits the rule to requests about a stream.
func (r *Rule) Stream(name string) *Rule { return r.narrow(func() { r.stream = name }) }

// Shard limits the rule to requests that name a shard, or have an iterator of it. A PutRecords names none: there FailRecords
// takes the shard as the one whose entries may fail, and no other fault fires.
func (r *Rule) Shard(id string) *Rule { return r.narrow(func() { r.shard = id }) }

// Table limits the rule to requests about a DynamoDB table.
func (r *Rule) Table(name string) *Rule { return r.narrow(func() { r.table = name }) }

// Key limits the rule to requests about items with a hash key: the string, or the number's decimal form.
func (r *Rule) Key(key string) *Rule { return r.narrow(func() { r.key = key }) }

// When limits the rule to requests for which fn is true. fn runs on the goroutine that serves the request, under no lock, for every
// request that fits the rest; of several functions the last counts.
func (r *Rule) When(fn func(*Request) bool) *Rule { return r.narrow(func() { r.when = fn }) }

// Times ends the rule after n hits.
func (r *Rule) Times(n int) *Rule { return r.narrow(func() { r.times = n }) }

// After lets the first n requests that fit through.
func (r *Rule) After(n int) *Rule { return r.narrow(func() { r.after = n }) }

// For ends the rule when d has passed since this call.
func (r *Rule) For(d time.Duration) *Rule {
	until := time.Now().Add(d)
	return r.narrow(func() { r.until = until })
}

// Sometimes makes the rule fire with probability p, 0 to 1, drawn from the server's seed.
func (r *Rule) Sometimes(p float64) *Rule { return r.narrow(func() { r.share = p }) }

// Hits is how often the rule has fired.
func (r *Rule) Hits() int {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	return r.hits
}

// MustHit makes a test fail at its end if the rule has never fired by then: a fault that was not met has tested nothing. A rule that
// is to fire only under conditions that a test does not always reach is better asked for its Hits.
func (r *Rule) MustHit(t testing.TB) *Rule {
	t.Helper()
	t.Cleanup(func() {
		if r.Hits() == 0 {
			t.Errorf("kinesistest: the rule for %s has never fired", r.op)
		}
	})
	return r
}

// Remove ends the rule. Requests that it has hit already are not called back.
func (r *Rule) Remove() {
	r.narrow(func() {
		r.removed = true
		r.server.rules = slices.DeleteFunc(r.server.rules, func(o *Rule) bool { return o == r })
	})
}

// meets decides whether the rule fires for a request, and counts it. The lock is not held while the user's function runs, so the rule
// may be used up or removed meanwhile: fires looks again.
func (r *Rule) meets(q *Request) bool {
	r.server.mu.Lock()
	fits, when := r.fits(q), r.when
	r.server.mu.Unlock()
	if !fits || when != nil && !when(q) {
		return false
	}
	now := time.Now()
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	return r.fires(now)
}

func (r *Rule) fits(q *Request) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	shard := is(r.shard, q.Shard) || r.fault.byShard && q.Op == "PutRecords"
	return (r.from == nil || *r.from == q.Client) && is(r.stream, q.Stream) && shard && is(r.table, q.Table) && is(r.key, q.Key)
}

func (r *Rule) fires(now time.Time) bool {
	if r.removed || !r.until.IsZero() && !now.Before(r.until) {
		return false
	}
	if r.seen < r.after {
		r.seen++
		return false
	}
	if r.times >= 0 && r.hits >= r.times || r.share < 1 && r.draw.Float64() >= r.share {
		return false
	}
	r.hits++
	return true
}
