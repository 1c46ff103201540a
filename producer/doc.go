// Package producer writes records to Kinesis data streams: many records a second, in few requests, each of them stored or reported.
//
//	p, err := producer.New(producer.Config{Stream: "orders"}, kinesis.NewFromConfig(cfg))
//	...
//	future, err := p.Put(ctx, producer.Record{PartitionKey: "customer-7", Data: order})
//	...
//	err = p.Close(ctx) // everything accepted is stored, or reported
//
// # Why not call PutRecords
//
// A stream is made of shards, and each shard takes 1,000 records and 1 MiB a second. Who writes records of 100 bytes one by one reaches a tenth of what
// the bytes would allow, and makes a request for each. PutRecords takes up to 500 records, but its answer can be a success in which some of them failed,
// mostly because their shard was busy: the caller has to find them, wait, and send them again, and only them.
//
// This package does both. It aggregates: records that belong to one shard are packed into one Kinesis record, in the format of the Kinesis Producer Library
// (KPL), which this module's consumer, the Kinesis Client Library, Lambda and others unpack (see package aggregation). It batches: the Kinesis records of
// all shards share PutRecords requests, several of them under way at a time. And it follows each record until its fate is known.
//
// # The way of a record
//
// Put checks the record, copies it into a buffer and returns. The producer knows the stream's shards (from ListShards, listed again when they have changed,
// and once a minute) and queues the record in the lane of its shard. When an aggregate is full, or the record has waited for Config.Linger, it is sent. What
// the answer says is looked at entry by entry:
//
//   - stored: the Future gets its shard and sequence number;
//   - shard busy, or a fault of the service: exactly these are sent again, before anything newer of their lane, after a delay that grows while it
//     happens again and has some chance in it; other lanes are not held up;
//   - no answer (timeout, broken connection, 5xx): sent again, and the result says MayRepeat, since the first attempt may have been stored;
//   - refused for a reason that stays (no permission, no such stream, encryption key disabled): the record fails at once with a *RecordError. A stream that is
//     reported missing is given 2 s, because new streams are not known everywhere at once. Credentials that have expired or cannot be had are waited for;
//     Health shows them;
//   - refused because one record of the request is not valid: that one is found and fails; its neighbours are stored.
//
// While the shards were never listed, records wait; they are not sent blindly.
//
// # Flow
//
// A shard refuses what is more than it takes, and nobody says how many producers share it. So each of them finds its rate by itself, for each shard: it
// begins small, grows until the shard refuses something, and then lowers its rate and lets it grow again, slowly at first. Where a shard is
// saturated, aggregates become smaller than Config.AggregateBytes, 10 KiB at least, so that less is refused at a time. Two or ten producers that
// saturate a shard have less than 5 in 100 Kinesis records refused, fifty less than 10, from a cold start on, and use what the shard gives (StreamHealth.Throttled
// tells the share). A producer that has a shard for itself has a tenth of it after two seconds and all of it after six to eight; who cannot wait sets
// Config.RateLimit to -1, and is throttled instead.
//
// Config.InFlight is how many requests may be under way at once, at most. There are four at first, more while answers come as quickly as they did, and fewer
// while most of them are slow for their size or requests fail as a whole.
//
// # Resharding
//
// When a shard has been split, an aggregate made for it reaches one of its children, although some of its records belong to the other. Readers of the format
// then drop the aggregate as a whole, so what counts is the aggregate: if the shard that it reached holds all of its records, they are stored; otherwise all
// of them are sent again, each to its own shard (Hooks.Resent, Result.MayRepeat). If the shard is not known yet, the shards are listed until it is, and until
// then the records are neither stored nor failed. A record that goes alone is right on any shard.
//
// # Streams that distribute records by themselves
//
// An on-demand stream can be set to distribute records over its shards as it likes (record distribution strategy AUTO). Keys mean nothing there, and readers
// take no aggregates. The producer asks how a stream does it before the first record is sent, every five minutes, and when three records were stored on
// unexpected shards. An AUTO stream gets records alone, without explicit hash keys, and so does one of which that is not known yet; one that may not be described
// (kinesis:DescribeStreamSummary) gets aggregates. There is no order on an AUTO stream, also with Config.Ordered; records
// are sent evenly at the rate of all its shards, whatever their keys.
//
// # Several streams
//
// A record goes to the stream that it names, by name or ARN, which may be another account's if its policy allows that; one that names none goes to
// Config.Stream. Each stream has its own map, lanes, requests, delays and limits; they share the buffer, of which each has a part that the others cannot take
// (see Config.Stream), and the goroutine of the callbacks. So a stream that is away, or slow, fills its part and holds up nobody else. What a producer knows of a
// stream it knows until Close: streams are for writing to often, not for trying out names.
//
// # Delivery and order
//
// An accepted record is stored at least once, or its *RecordError says whether it may exist. It is stored more than once only if its result says MayRepeat.
// Nothing is given up silently, and by default nothing is given up at all: if the service is away, the buffer fills and Put waits. Config.RecordTTL limits that.
//
// By default records of one key may overtake each other when some of them are sent again. With Config.Ordered they do not: of the records of one Producer and
// one key (the explicit hash key if there is one, else the partition key) the first copies stand in the stream in the order of their acceptance, in one shard
// by sequence number, and in a shard's ancestors before the shard. So they do through throttles, failures of single entries, lost and late answers, splits and
// merges. Repeated copies may stand later, behind newer records: a reader that lets the last one win needs a version in the data. Nothing is promised across
// producers, nor across explicit hash keys of one partition key.
//
// What keeps it: at any time one Kinesis record that can hold the key is without a verdict. A lane's next one waits for it (PutRecords does not stop at an
// entry that fails, so of two the second could be stored alone), also the lanes of a later map whose hash keys it meets, and also while it is not clear
// whether an aggregate on an unexpected shard counts. A failed one is sent again unchanged before anything newer.
//
// When a record fails for good, its successors must not be stored as if nothing had happened. Those of its key that were accepted before the producer begins
// to report the failure (to WithOnFailure, Hooks.Settled, the Future or the callback, whichever is first) fail with ErrPredecessor; what is put after that
// goes on, the record itself if it is put again first. The records of one Kinesis record fail together and count as one failure. With Config.OrderedGaps
// successors are stored. A record that failed with MayExist may still turn up behind newer ones.
//
// The price is that a lane has one Kinesis record a round trip. Aggregates grow with the time that takes, retries included, up to 1 MiB, so that most of a
// shard can still be used; without aggregation it is one record a round trip.
//
// # What a context bounds
//
//	Put, PutFunc        the wait for space in the buffer; an accepted record is on its way whatever becomes of it
//	PutAll              the wait for space, and for results
//	Future.Result       the wait, not the record
//	Flush               the wait
//	Close               the wait; when it ends, what has no verdict fails with ErrClosed
//
// # Memory, goroutines, seeds
//
// Config.BufferBytes and BufferRecords bound what is accepted and has no verdict. Beside that, short partition keys that repeat are remembered with their
// hashes, in half a mebibyte at most, and each shard takes about half a kibibyte. New does no I/O and starts nothing; the producer's goroutines start with the
// first record and end in Close: one that decides, one for each request under way, and one for callbacks while there are any. Delays have chance in them;
// WithSeed makes them repeatable. The identity needs kinesis:PutRecords and kinesis:ListShards; with kinesis:DescribeStreamSummary the producer learns how
// large the stream's records may be (1 MiB, unless it is set to take up to 10 MiB) and how it distributes them. While the first is not known, a record of up to
// 10 MiB is accepted, and fails if the service refuses it.
//
// Retries of the SDK are switched off for the producer's calls: its own know which records failed.
package producer
