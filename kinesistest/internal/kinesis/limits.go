package kinesis

import (
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// AWS's limits of a shard.
const (
	writeRecords = 1000    // a second
	writeBytes   = 1 << 20 // a second
	readCalls    = 5       // a second
	readBytes    = 2 << 20 // a second
	iterators    = 5       // GetShardIterator, a second
)

// burst is how much of a rate may come at once: a second's worth, which is what the service is observed to let through.
const burst = time.Second

// bucket limits a rate: what is taken costs time, and the bucket is the moment up to which time has been taken. The zero value is full.
type bucket struct{ taken time.Time }

// has reports whether cost can be taken while not more than the given burst is used up.
func (b *bucket) has(now time.Time, cost, burst time.Duration) bool {
	used := max(b.taken.Sub(now), 0)
	return used+cost <= burst
}

// spend takes cost, whether or not it is there.
func (b *bucket) spend(now time.Time, cost time.Duration) {
	if b.taken.Before(now) {
		b.taken = now
	}
	b.taken = b.taken.Add(cost)
}

// take takes cost if it is there.
func (b *bucket) take(now time.Time, cost, burst time.Duration) bool {
	if !b.has(now, cost, burst) {
		return false
	}
	b.spend(now, cost)
	return true
}

// price is what n of something cost at a rate a second.
func price(n, rate int) time.Duration { return time.Duration(n) * time.Second / time.Duration(rate) }

// rate limits the calls of an operation a second.
type rate struct {
	calls    int
	byStream bool // for each stream; otherwise for the account in the region
}

// rates are those that AWS documents for each operation. What the data plane may do is a shard's limit.
var rates = map[string]rate{
	"AddTagsToStream":               {calls: 5},
	"CreateStream":                  {calls: 5},
	"DecreaseStreamRetentionPeriod": {calls: 5},
	"DeleteResourcePolicy":          {calls: 5},
	"DeleteStream":                  {calls: 5},
	"DeregisterStreamConsumer":      {calls: 5},
	"DescribeAccountSettings":       {calls: 5},
	"DescribeLimits":                {calls: 1},
	"DescribeStream":                {calls: 10},
	"DescribeStreamConsumer":        {calls: 20, byStream: true},
	"DescribeStreamSummary":         {calls: 20},
	"DisableEnhancedMonitoring":     {calls: 5},
	"EnableEnhancedMonitoring":      {calls: 5},
	"GetResourcePolicy":             {calls: 5},
	"IncreaseStreamRetentionPeriod": {calls: 5},
	"ListShards":                    {calls: 1000, byStream: true},
	"ListStreamConsumers":           {calls: 5, byStream: true},
	"ListStreams":                   {calls: 5},
	"ListTagsForResource":           {calls: 5},
	"ListTagsForStream":             {calls: 5},
	"MergeShards":                   {calls: 5},
	"PutResourcePolicy":             {calls: 5},
	"RegisterStreamConsumer":        {calls: 5},
	"RemoveTagsFromStream":          {calls: 5},
	"SplitShard":                    {calls: 5},
	"StartStreamEncryption":         {calls: 5},
	"StopStreamEncryption":          {calls: 5},
	"TagResource":                   {calls: 5},
	"UntagResource":                 {calls: 5},
	"UpdateAccountSettings":         {calls: 5},
	"UpdateMaxRecordSize":           {calls: 5},
	"UpdateShardCount":              {calls: 10},
	"UpdateStreamMode":              {calls: 5},
	"UpdateStreamWarmThroughput":    {calls: 5},

	"UpdateStreamRecordDistributionStrategy": {calls: 5},
}

// admit refuses a call that comes too soon after others, whoever made them.
func (s *Service) admit(op string, body []byte) *wire.Error {
	limit, ok := rates[op]
	if !ok || !s.cfg.Limits {
		return nil
	}
	name := ""
	if limit.byStream {
		name, _ = Names(body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	if limit.byStream {
		st, ok := s.streams[name]
		if !ok {
			return nil // the operation will say so
		}
		calls = st.calls
	}
	b := calls[op]
	if b == nil {
		b = new(bucket)
		calls[op] = b
	}
	if b.take(time.Now(), price(1, limit.calls), burst) {
		return nil
	}
	if limit.byStream {
		return exceeded("Rate exceeded for stream %s under account %s.", name, s.cfg.Account)
	}
	return exceeded("Rate exceeded for %s under account %s.", op, s.cfg.Account)
}

// meter is a shard's use of its limits.
type meter struct{ records, bytes, calls, read, iterators bucket }

// write reports whether the shard takes one more record, and counts it if so.
//
// A record above 1 MiB is more than a second's worth. It is taken when nothing is used up, and leaves a debt: the shard then takes
// nothing until the average is below 1 MiB a second again, as AWS describes its burst capacity for large records.
func (m *meter) write(now time.Time, size int) bool {
	cost := price(size, writeBytes)
	if !m.records.has(now, price(1, writeRecords), burst) || !m.bytes.has(now, cost, max(burst, cost)) {
		return false
	}
	m.records.spend(now, price(1, writeRecords))
	m.bytes.spend(now, cost)
	return true
}

// readable reports whether the shard answers one more GetRecords, and counts it if so.
func (m *meter) readable(now time.Time) bool {
	return m.read.has(now, 1, burst) && m.calls.take(now, price(1, readCalls), burst)
}

// readOut counts a page. One that is larger than a second's worth leaves no burst for what follows: after 10 MiB the next page comes
// after 5 s, as AWS documents.
func (m *meter) readOut(now time.Time, size int) {
	cost := price(size, readBytes)
	if cost > burst {
		m.read = bucket{taken: now.Add(cost + burst - 1)}
		return
	}
	m.read.spend(now, cost)
}

// throttled is the answer of a shard that has no throughput left.
func (s *Service) throttled(st *stream, sh *shard) *wire.Error {
	return failure("ProvisionedThroughputExceededException", "Rate exceeded for shard %s in stream %s under account %s.", sh.id, st.name, s.cfg.Account)
}

// daily counts what may be done to a stream only so often in 24 hours, and refuses it beyond.
func (s *Service) daily(st *stream, what string, most int, now time.Time) *wire.Error {
	if !s.cfg.Limits {
		return nil
	}
	var recent []time.Time
	for _, at := range st.done[what] {
		if now.Sub(at) < 24*time.Hour {
			recent = append(recent, at)
		}
	}
	if len(recent) >= most {
		return exceeded("%s can be done %d times in 24 hours for stream %s under account %s.", what, most, st.name, s.cfg.Account)
	}
	st.done[what] = append(recent, now)
	return nil
}
