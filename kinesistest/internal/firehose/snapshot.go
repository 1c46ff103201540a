package firehose

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// snapshotVersion is that of the format that Save writes.
const snapshotVersion = 1

// snapshot is the service as it is saved. Rates are not: after Load a stream's buckets are full.
type snapshot struct {
	Version int
	Made    uint64
	Streams []savedStream
}

type savedStream struct {
	Name        string
	Number      uint64
	Type        string
	Created     time.Time
	Updated     time.Time
	Creating    time.Duration  // how much longer
	Deleting    *time.Duration // how much longer; nil: not at all
	VersionID   uint64
	Kind        string
	Destination members
	Source      members
	Encryption  savedEncryption
	Tags        map[string]string
	Records     [][]byte
}

type savedEncryption struct {
	On       bool
	KeyType  string
	KeyARN   string
	Changing time.Duration   // how much longer
	Switches []time.Duration // how long ago
}

// Save writes the streams, with their records, as JSON: the same state gives the same bytes. Calls that come meanwhile are not held up
// while it writes, and are not in it.
func (s *Service) Save(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(s.save()); err != nil {
		return fmt.Errorf("firehose: save: %w", err)
	}
	return nil
}

func (s *Service) save() snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	out := snapshot{Version: snapshotVersion, Made: s.made, Streams: []savedStream{}}
	for _, name := range slices.Sorted(maps.Keys(s.streams)) {
		st := s.lookup(name, now)
		if st == nil {
			continue
		}
		out.Streams = append(out.Streams, st.saved(now))
	}
	return out
}

// saved keeps what is to come and what counts from the past as durations: a snapshot may be loaded under a clock that shows an earlier
// time, as that of a test's bubble does.
func (st *stream) saved(now time.Time) savedStream {
	out := savedStream{
		Name: st.name, Number: st.number, Type: st.kind,
		Created: st.created, Updated: st.updated, Creating: max(st.ready.Sub(now), 0),
		VersionID: st.version, Kind: st.to.kind.name, Destination: st.to.members, Source: st.source,
		Encryption: savedEncryption{On: st.sse.on, KeyType: st.sse.keyType, KeyARN: st.sse.keyARN, Changing: max(st.sse.until.Sub(now), 0)},
		Tags:       maps.Clone(st.tags),
		Records:    slices.Clone(st.records),
	}
	if !st.gone.IsZero() {
		left := st.gone.Sub(now)
		out.Deleting = &left
	}
	for _, at := range st.sse.switches {
		out.Encryption.Switches = append(out.Encryption.Switches, now.Sub(at))
	}
	return out
}

// Load replaces all streams by those that Save wrote; r must hold nothing else. When it fails, nothing has changed.
func (s *Service) Load(r io.Reader) error {
	var in snapshot
	dec := json.NewDecoder(r)
	if err := dec.Decode(&in); err != nil {
		return fmt.Errorf("firehose: load: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("firehose: load: more than one snapshot")
	}
	if in.Version != snapshotVersion {
		return fmt.Errorf("firehose: load: version %d, want %d", in.Version, snapshotVersion)
	}
	now := time.Now()
	streams := make(map[string]*stream, len(in.Streams))
	for _, saved := range in.Streams {
		st, err := saved.stream(now)
		if err != nil {
			return fmt.Errorf("firehose: load: stream %q: %w", saved.Name, err)
		}
		if streams[st.name] != nil || st.number > in.Made {
			return fmt.Errorf("firehose: load: stream %q: not of this snapshot", saved.Name)
		}
		streams[st.name] = st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams, s.made = streams, in.Made
	return nil
}

// stream checks what later operations rely on.
func (saved savedStream) stream(now time.Time) (*stream, error) {
	k, known := kindOf(saved.Kind)
	var v violations
	v.required("Name", &saved.Name, nameRule)
	v.required("Type", &saved.Type, typeRule)
	switch {
	case len(v) > 0:
		return nil, errors.New(strings.Join(v, "; "))
	case !known || k.name == "S3":
		return nil, fmt.Errorf("no kind of destination %q", saved.Kind)
	case saved.Destination == nil || saved.VersionID == 0:
		return nil, errors.New("incomplete")
	}
	st := &stream{
		name: saved.Name, number: saved.Number, kind: saved.Type,
		created: saved.Created, updated: saved.Updated, ready: now.Add(saved.Creating),
		version: saved.VersionID, to: destination{k, saved.Destination}, source: saved.Source,
		sse: encryption{
			on: saved.Encryption.On, keyType: saved.Encryption.KeyType, keyARN: saved.Encryption.KeyARN,
			until: now.Add(saved.Encryption.Changing),
		},
		tags: saved.Tags, records: saved.Records, accepted: uint64(len(saved.Records)),
		rates: newRates(now),
	}
	if st.tags == nil {
		st.tags = make(map[string]string)
	}
	if saved.Deleting != nil {
		st.gone = now.Add(*saved.Deleting)
	}
	for _, ago := range saved.Encryption.Switches {
		st.sse.switches = append(st.sse.switches, now.Add(-ago))
	}
	return st, nil
}
