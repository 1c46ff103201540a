package route

import "github.com/kinesiskit/kinesiskit/shard"

// Sent is what there is to know about a Kinesis record that was stored.
type Sent struct {
	Aggregate bool
	Low, High shard.HashKey // least and greatest hash key of its user records
	Expected  string        // the shard it was made for
	Version   int64         // of the map it was made by
}

// Verdict is what follows from where a Kinesis record was stored.
type Verdict int

const (
	// Settled: every reader of that shard accepts it.
	Settled Verdict = iota
	// Resend: some of its user records belong to other shards. A reader that follows the format's rules drops such an aggregate as a whole, also the
	// records that are in the right place, so all of them have to be sent again.
	Resend
	// NeedMap: the map does not know that shard; whether the aggregate counts can be said only when it does.
	NeedMap
)

// Decide judges a record that the service stored in the shard actual. The rule is about the aggregate, never about single records of it: readers
// accept or drop it whole. A record that is no aggregate is right wherever it is.
//
// That the shard is the expected one proves something only under the map the aggregate was made by. Under a later map that shard may be another one
// of the same name, in a stream that was deleted and created again, so its range is looked at.
func (m *Map) Decide(s Sent, actual string) Verdict {
	if !s.Aggregate || actual == s.Expected && s.Version == m.version {
		return Settled
	}
	hashes := m.Range(actual)
	switch {
	case !hashes.Known():
		return NeedMap
	case hashes.Contains(s.Low) && hashes.Contains(s.High):
		return Settled
	default:
		return Resend
	}
}

// Surprised reports whether a record with hash key k in the shard actual tells that the stream was resharded after this map was made. A shard that the
// map knows to be closed is no news: the record was stored before that.
func (m *Map) Surprised(k shard.HashKey, actual string) bool {
	return m.open[m.Predict(k)].ID != actual && !m.known[actual].closed
}
