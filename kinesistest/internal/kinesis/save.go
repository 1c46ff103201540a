package kinesis

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// saveVersion is that of the format; Load takes no other.
const saveVersion = 1

type saved struct {
	Version    int
	Epoch      uint64
	Commitment commitment
	Registered map[string]int64
	Streams    []savedStream
}

type savedStream struct {
	Name          string
	ID            uint64
	Created       time.Time
	TrimmedTo     time.Time
	Last          time.Time
	Configuration configuration
	Labels        labels
	Made          int
	Done          map[string][]time.Time
	Consumers     []savedConsumer
	Shards        []savedShard
}

type savedConsumer struct {
	Name, ARN string
	Created   time.Time
	Labels    labels
}

type savedShard struct {
	ID, Parent, Adjacent string
	From, To             string
	Prefix               string
	Base                 uint64
	Created, Closed      time.Time
	Trimmed              uint64
	Records              []savedRecord
}

type savedRecord struct {
	Data    []byte
	Key     string
	Arrival int64
	KMS     bool `json:",omitempty"`
}

// Save writes the streams with their records, shards, settings and consumers as one JSON document; equal states are written alike.
// Transitions end with it: what is being deleted is not saved, the rest is saved as ACTIVE. Rates are not saved, nor is who subscribes.
// The error is w's.
func (s *Service) Save(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(s.save()); err != nil {
		return fmt.Errorf("kinesis: save: %w", err)
	}
	return nil
}

func (s *Service) save() *saved {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &saved{
		Version: saveVersion, Epoch: s.epoch, Commitment: s.commitment, Registered: maps.Clone(s.registered), Streams: []savedStream{},
	}
	now := time.Now()
	for _, name := range slices.Sorted(maps.Keys(s.streams)) {
		if st := s.streams[name]; st.doing != statusDeleting {
			st.expire(now)
			out.Streams = append(out.Streams, st.save(now))
		}
	}
	return out
}

// save copies what may change; records do not.
func (st *stream) save(now time.Time) savedStream {
	out := savedStream{
		Name: st.name, ID: st.id, Created: st.created, TrimmedTo: st.trimmedTo, Last: st.last,
		Configuration: st.configuration, Labels: st.labels.clone(), Made: st.made, Done: maps.Clone(st.done),
	}
	for _, c := range st.consumers {
		if c.gone.IsZero() {
			out.Consumers = append(out.Consumers, savedConsumer{c.name, c.arn, c.created, c.labels.clone()})
		}
	}
	for _, sh := range st.shards {
		sh.trim(st.horizon(now))
		shot := savedShard{
			ID: sh.id, Parent: sh.parent, Adjacent: sh.adjacent, From: sh.keys.start.String(), To: sh.keys.end.String(),
			Prefix: sh.sequence.prefix, Base: sh.sequence.base, Created: sh.created, Closed: sh.closed, Trimmed: sh.trimmed,
			Records: make([]savedRecord, len(sh.records)),
		}
		for i, r := range sh.records {
			shot.Records[i] = savedRecord{r.data, r.key, r.arrival, r.kms}
		}
		out.Shards = append(out.Shards, shot)
	}
	return out
}

func (l *labels) clone() labels { return labels{Tags: maps.Clone(l.Tags), Policy: l.Policy} }

// Load fills a service without streams with what Save wrote. What is not such a document is refused, and nothing is loaded.
func (s *Service) Load(r io.Reader) error {
	var in saved
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return fmt.Errorf("kinesis: load: %w", err)
	}
	if in.Version != saveVersion {
		return fmt.Errorf("kinesis: load: version %d of the format is not %d", in.Version, saveVersion)
	}
	streams := make(map[string]*stream, len(in.Streams))
	for i := range in.Streams {
		st, err := s.restore(&in.Streams[i])
		if err != nil {
			return fmt.Errorf("kinesis: load: stream %q: %w", in.Streams[i].Name, err)
		}
		if streams[st.name] != nil {
			return fmt.Errorf("kinesis: load: stream %q is there twice", st.name)
		}
		streams[st.name] = st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams, s.epoch, s.commitment = streams, max(s.epoch, in.Epoch), in.Commitment
	if in.Registered != nil {
		s.registered = in.Registered
	}
	return nil
}

// restore makes a stream. It refuses what operations could not have made and would stumble over.
func (s *Service) restore(in *savedStream) (*stream, error) {
	if !streamName.MatchString(in.Name) {
		return nil, fmt.Errorf("not a name")
	}
	st := &stream{
		name: in.Name, arn: s.arnOf(in.Name), id: in.ID, created: in.Created, trimmedTo: in.TrimmedTo, last: in.Last,
		configuration: in.Configuration, labels: in.Labels, made: in.Made,
		byID: make(map[string]*shard), calls: make(map[string]*bucket), done: in.Done,
	}
	if st.done == nil {
		st.done = make(map[string][]time.Time)
	}
	for i := range in.Shards {
		sh, err := in.Shards[i].restore()
		if err != nil {
			return nil, fmt.Errorf("shard %q: %w", in.Shards[i].ID, err)
		}
		if i > 0 && sh.id <= st.shards[i-1].id || sh.id >= fmt.Sprintf("shardId-%012d", in.Made) {
			return nil, fmt.Errorf("shard %q: out of order", sh.id)
		}
		st.shards = append(st.shards, sh)
		st.byID[sh.id] = sh
	}
	st.route()
	next := hashKey{}
	for i, sh := range st.serving {
		if sh.keys.start != next {
			return nil, fmt.Errorf("shard %q: starts at %s, not at %s", sh.id, sh.keys.start, next)
		}
		if next = sh.keys.end.plus(1); (i == len(st.serving)-1) != (sh.keys.end == lastHashKey) {
			return nil, fmt.Errorf("shard %q: ends at %s", sh.id, sh.keys.end)
		}
	}
	if len(st.serving) == 0 {
		return nil, fmt.Errorf("no open shard")
	}
	for _, c := range in.Consumers {
		if _, name, ok := cutConsumerARN(c.ARN); !ok || name != c.Name || !strings.HasPrefix(c.ARN, st.arn+"/") {
			return nil, fmt.Errorf("consumer %q: ARN %q", c.Name, c.ARN)
		}
		if err := st.enlist(c); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// enlist registers a consumer as it was saved.
func (st *stream) enlist(c savedConsumer) error {
	i, ok := st.byName(c.Name)
	if ok {
		return fmt.Errorf("consumer %q: twice", c.Name)
	}
	st.consumers = slices.Insert(st.consumers, i, &consumer{
		labels: c.Labels, name: c.Name, arn: c.ARN, created: c.Created, stream: st, feeds: make(map[string]*feed),
	})
	return nil
}

var (
	savedID     = regexp.MustCompile(`^shardId-\d{12}$`)
	savedPrefix = regexp.MustCompile(fmt.Sprintf(`^\d{%d}$`, prefixDigits))
)

func (in *savedShard) restore() (*shard, error) {
	from, ok1 := parseHashKey(in.From)
	to, ok2 := parseHashKey(in.To)
	if !ok1 || !ok2 || from.compare(to) > 0 {
		return nil, fmt.Errorf("hash keys %q to %q", in.From, in.To)
	}
	// Both go into answers as they are.
	if !savedID.MatchString(in.ID) {
		return nil, fmt.Errorf("not an id")
	}
	if !savedPrefix.MatchString(in.Prefix) || in.Base < smallestBase || in.Base > largestBase {
		return nil, fmt.Errorf("sequence numbers %q and %d", in.Prefix, in.Base)
	}
	sh := &shard{
		id: in.ID, parent: in.Parent, adjacent: in.Adjacent, keys: hashRange{from, to}, sequence: sequence{in.Prefix, in.Base},
		created: in.Created, closed: in.Closed, trimmed: in.Trimmed, records: make([]record, len(in.Records)),
	}
	for i, r := range in.Records {
		if i > 0 && r.Arrival < in.Records[i-1].Arrival {
			return nil, fmt.Errorf("record %d arrived before the one before", i)
		}
		sh.records[i] = record{r.Data, r.Key, r.Arrival, r.KMS}
	}
	return sh, nil
}
