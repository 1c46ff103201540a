package producer

import (
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/producer/internal/route"
	"github.com/kinesiskit/kinesiskit/producer/internal/send"
)

// stream is what the producer has for one stream that it writes to: streams share the buffer and the goroutines that decide and call back, nothing else.
type stream struct {
	name      string       // or ARN
	maxRecord atomic.Int64 // bytes of data and partition key

	share share // the inbox's

	// The engine's, under its lock.
	core        *send.Core
	schedule    *route.Schedule
	watch       *route.Watch
	listingErr  error
	listingGone time.Time // since when the stream is reported missing by ListShards
	recent      recent

	// The engine's goroutine's alone.
	log          *zap.Logger
	reportedDown bool
	failures     failureLog
	batch        []*send.Item // of one delivery
	waiting      int          // records without a verdict at the last delivery
}

// target names the stream in a request.
func (s *stream) target() (name, arn *string) {
	if strings.HasPrefix(s.name, "arn:") {
		return nil, aws.String(s.name)
	}
	return aws.String(s.name), nil
}

// trouble is why nothing can be sent.
func (s *stream) trouble() error {
	if s.listingErr != nil {
		return s.listingErr
	}
	return s.core.Trouble()
}

// checkStream says what is wrong with a stream's name or ARN.
func checkStream(name string) error {
	plain := name
	if strings.HasPrefix(name, "arn:") {
		var ok bool
		if _, plain, ok = strings.Cut(name, ":stream/"); !ok {
			return &InvalidError{"Stream", "is not the ARN of a stream"}
		}
	}
	if plain == "" {
		return &InvalidError{"Stream", "is empty"}
	}
	if len(plain) > maxStreamName {
		return &InvalidError{"Stream", "has more than 128 characters"}
	}
	for _, c := range []byte(plain) {
		if c != '_' && c != '.' && c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return &InvalidError{"Stream", "has characters other than letters, digits, underscores, dots and hyphens"}
		}
	}
	return nil
}

// registry knows the streams that records were put to. Each Put asks it, so it is read without a lock: what is read never changes, and is replaced when
// a stream is added.
type registry struct {
	mu      sync.Mutex // of who adds
	present atomic.Pointer[directory]
}

// directory has streams by name, and in the order of their first records: everything that is done for each of them is done in it.
type directory struct {
	byName map[string]*stream
	list   []*stream
}

func (r *registry) all() []*stream { return r.present.Load().list }

func (r *registry) find(name string) *stream { return r.present.Load().byName[name] }

// add is called with the lock.
func (r *registry) add(s *stream) {
	old := r.present.Load()
	next := &directory{byName: maps.Clone(old.byName), list: append(slices.Clip(old.list), s)}
	next.byName[s.name] = s
	r.present.Store(next)
}

// streamOf is the stream that a record is for. The error is an *InvalidError.
func (p *Producer) streamOf(name string) (*stream, error) {
	if name == "" || name == p.cfg.Stream {
		if p.main == nil {
			return nil, &InvalidError{"Stream", "is empty, and the Config has none either"}
		}
		return p.main, nil
	}
	if s := p.streams.find(name); s != nil {
		return s, nil
	}
	if err := checkStream(name); err != nil {
		return nil, err
	}
	return p.addStream(name), nil
}

func (p *Producer) addStream(name string) *stream {
	r := &p.streams
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.find(name); s != nil { // another Put was first
		return s
	}
	// Each stream has its own chance, by its name: what happens to one does not change the delays of another.
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	rng := rand.New(rand.NewPCG(*p.seed, h.Sum64()))
	s := &stream{name: name, schedule: route.NewSchedule(rng), watch: route.NewWatch(rng), log: p.log.With(zap.String("stream", name))}
	s.core = send.New(p.limits(), rng, send.Errors{Expired: ErrExpired, Stopped: ErrClosed, Predecessor: ErrPredecessor})
	s.maxRecord.Store(maxRecord)
	p.inbox.join(&s.share)
	r.add(s)
	return s
}

// recent counts attempts of Kinesis records in the last minute, by tens of seconds.
type recent struct {
	spans [6]attempts
	at    int64 // number of the present span
}

type attempts struct{ all, throttled int }

const recentSpan = 10 * time.Second

func (r *recent) turn(now time.Time) *attempts {
	at := now.UnixNano() / int64(recentSpan)
	for n := min(at-r.at, int64(len(r.spans))); n > 0; n-- {
		r.spans[(at-n+1)%int64(len(r.spans))] = attempts{}
	}
	r.at = max(at, r.at)
	return &r.spans[r.at%int64(len(r.spans))]
}

func (r *recent) add(now time.Time, all, throttled int) {
	span := r.turn(now)
	span.all += all
	span.throttled += throttled
}

// throttled is the share of the attempts that were throttled.
func (r *recent) throttled(now time.Time) float64 {
	r.turn(now)
	var sum attempts
	for _, s := range r.spans {
		sum.all += s.all
		sum.throttled += s.throttled
	}
	if sum.all == 0 {
		return 0
	}
	return float64(sum.throttled) / float64(sum.all)
}
