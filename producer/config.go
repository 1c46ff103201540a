package producer

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// The service's limits of one PutRecords.
const (
	maxBatchRecords = 500
	maxBatchBytes   = 10 << 20
)

// Config is what a Producer does. Zero means the default; a negative value means "none" where the field says so, and is an error elsewhere. The
// defaults are those of the Kinesis Producer Library (KPL) unless another reason is given.
type Config struct {
	// Stream is the stream of records that name none, by name or ARN. A producer of several streams divides the buffer among those that records were put to:
	// half of it in equal parts that belong to one stream each, the other half to whoever comes first. With Stream set, it counts on others only when it has
	// seen one, so that one that writes to a single stream has all of the buffer. Default: none; each record names its stream.
	Stream string

	// Linger is how long a record may wait for company before it is sent. Default: 100 ms (KPL recordMaxBufferedTime). Negative: none.
	Linger time.Duration

	// AggregateBytes is how large an aggregate may become, framing and keys included; at most 1 MiB. A record that is larger goes alone. With Ordered
	// aggregates grow beyond it, up to 1 MiB, where a shard could not be used otherwise.
	// Default: 50 KiB (KPL aggregationMaxSize). Negative: no aggregation.
	AggregateBytes int

	// BatchRecords is how many Kinesis records one PutRecords carries. Default and maximum: 500 (the service's limit).
	BatchRecords int

	// BatchBytes is how many bytes one PutRecords carries, data and partition keys. A single record may be larger. Default: 5 MiB (KPL
	// collectionMaxSize); maximum: 10 MiB (the service's limit).
	BatchBytes int

	// InFlight is how many requests to one stream may be under way at once, at most: there are fewer at first, and when answers get slow or
	// requests fail, until that is over. Default: 24 (KPL maxConnections, which is for all streams: here one that does
	// not answer cannot take the connections of the others). With 1 the records of a
	// key keep their order too, as with Ordered and OrderedGaps, but all shards wait for the slowest.
	InFlight int

	// RateLimit is how much is sent to one shard at most, in percent of the 1,000 records and the 1 MiB a second that a shard takes. It is adapted
	// downwards: a shard of which nothing is known yet is begun with 2 percent, doubled about every half second until a throttle, each throttle lowers its
	// rate, and what is stored raises it, so that producers that know nothing of each other share a shard with few refusals. Beyond 100 percent only
	// a shard's burst capacity is used, until the first throttle. Other shards are not affected. With a negative value nothing is held back until the service
	// refuses it. Default: 150 (KPL rateLimit, which is not adapted). Negative: none.
	RateLimit int

	// RecordTTL is when a record that could not be stored is given up, with ErrExpired; a request that is under way is waited for. Default: never: the
	// buffer fills, and Put waits. (KPL recordTtl gives up after 30 s.)
	RecordTTL time.Duration

	// RequestTimeout is how long one PutRecords or ListShards may take. Default: 6 s (KPL requestTimeout).
	RequestTimeout time.Duration

	// Ordered stores the records of each key in the order of their Puts, whatever fails meanwhile, see the package comment. When a record fails for good,
	// those of its key that were put before the program was told fail with ErrPredecessor; with OrderedGaps they are stored without it. Default: neither.
	Ordered     bool
	OrderedGaps bool

	// BufferBytes and BufferRecords bound what is accepted and has no verdict yet; Put waits when either is reached. Bytes are those of memory: a record
	// counts its data and keys twice, since what is being sent exists a second time, encoded, and 400 bytes more. A record that counts more than BufferBytes
	// is refused. The SDK's copy of a request that is being written, of up to 4/3 of BatchBytes, comes on top. Defaults: 64 MiB and 100,000.
	BufferBytes   int64
	BufferRecords int
}

// WithDefaults returns c with the default in place of each zero.
func (c Config) WithDefaults() Config {
	def(&c.Linger, 100*time.Millisecond)
	def(&c.AggregateBytes, 50<<10)
	def(&c.BatchRecords, maxBatchRecords)
	def(&c.BatchBytes, 5<<20)
	def(&c.InFlight, 24)
	def(&c.RateLimit, 150)
	def(&c.RequestTimeout, 6*time.Second)
	def(&c.BufferBytes, 64<<20)
	def(&c.BufferRecords, 100_000)
	return c
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports everything that is wrong with c, each an *InvalidError, joined. Zeros stand for their defaults.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var errs []error
	between := func(field string, value, least, most int64) {
		if value < least || value > most {
			errs = append(errs, &InvalidError{field, fmt.Sprintf("is %d, it must be from %d to %d", value, least, most)})
		}
	}
	if c.Stream != "" {
		if err := checkStream(c.Stream); err != nil {
			errs = append(errs, err)
		}
	}
	between("AggregateBytes", int64(c.AggregateBytes), math.MinInt64, leastMaxRecord)
	between("BatchRecords", int64(c.BatchRecords), 1, maxBatchRecords)
	between("BatchBytes", int64(c.BatchBytes), 1, maxBatchBytes)
	between("InFlight", int64(c.InFlight), 1, math.MaxInt32)
	between("BufferBytes", c.BufferBytes, 1, math.MaxInt64)
	between("BufferRecords", int64(c.BufferRecords), 1, math.MaxInt64)
	if c.OrderedGaps && !c.Ordered {
		errs = append(errs, &InvalidError{"OrderedGaps", "has no meaning without Ordered"})
	}
	if c.RecordTTL < 0 {
		errs = append(errs, &InvalidError{"RecordTTL", "is negative"})
	}
	if c.RequestTimeout < 0 {
		errs = append(errs, &InvalidError{"RequestTimeout", "is negative"})
	}
	return errors.Join(errs...)
}
