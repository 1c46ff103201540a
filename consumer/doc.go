// Package consumer reads a Kinesis data stream as one member of a fleet.
//
// # The problem
//
// A stream is divided into shards, and each shard is a sequence of records that are kept for a day to a year. Reading one shard is a loop around one
// call. Reading a stream, for months, on machines that come and go, is more: the shards have to be divided among the machines, each one read by exactly
// one of them; when a machine dies another has to continue where it was; when the stream is resized (a shard is split in two, or two are merged)
// the new shards have to be found, and must not be read before the old ones are finished, or the records of a key come out of order; and producers pack
// many records into one, which have to be unpacked.
//
// A [Consumer] does that. You give it a function for the records and a table for its notes; start as many processes as you like, with the same
// configuration, and stop them whenever you like.
//
//	c, err := consumer.New(
//		consumer.Config{Application: "quakes", Stream: "earthquakes"},
//		kinesis.NewFromConfig(cfg),
//		dynamostore.New(dynamodb.NewFromConfig(cfg), dynamostore.Config{Table: "quakes"}),
//		consumer.Each(func(ctx context.Context, r *consumer.Record) error {
//			fmt.Printf("%s %s\n", r.PartitionKey, r.Data)
//			return nil
//		}))
//	if err != nil {
//		return err
//	}
//	return c.Run(ctx)
//
// # How it works
//
// The table has a row for each shard, its lease: who holds it, and the position up to which the shard is done. A worker takes leases that nobody holds
// until it has its share, and writes each of its rows every few seconds (a renewal); a row that stands still for Config.Lease.FailoverTime belongs
// to a worker that died, and is taken by another. A worker that joins asks the others for its share, and one that stops gives its shards away: the old owner
// finishes what it was handed, Flush is called, and the new owner begins at exactly that position. For each lease that it holds, a worker fetches pages of records from the shard, hands
// them to your code and notes how far it came. When a shard has been closed by a split or merge and all of it is done, the worker makes rows for its
// children and marks its own as finished (SHARD_END); a child is begun when all its parents are finished.
//
// An application begins at the oldest record that the stream still has, or where Config.Start says: then the instant is kept in the table, and the place
// before a shard's first record is stored before that record is delivered, so a worker that takes over meanwhile passes over nothing. Rows are those of KCL,
// Amazon's client library for Java, so an application can be moved from one to the other; see package dynamostore. A row of KCL's that says LATEST begins when
// the first worker of ours takes it; one that says AT_TIMESTAMP needs the time of KCL's configuration in Config.Start, and is held and not read without,
// which Health tells.
//
// With Config.End the application is a bounded one: it delivers what arrived before, and Run returns nil when the whole fleet is done.
//
// A row says which shard it is about, so a stream that was deleted and made again under the same name is refused with an [*IdentityError], and positions of
// one are never taken for positions in the other. Rows that were lost are made again, when two listings of the stream half a minute apart show that nothing
// leads to an open shard; rows of finished shards are deleted when the shards that continue them were begun.
//
// # Three ways to take records
//
//   - [Each]: one record at a time. Returning nil means that it is done. Progress is stored by itself.
//   - [Batches]: up to a page at a time, for sinks that like many records at once. Progress is stored by itself.
//   - [PerShard]: a [Processor] for each shard, for code that buffers and says itself what is done.
//
// Your code runs on one goroutine for each shard, and a worker holds several shards: what it shares must be safe for that.
//
// # Several records of a shard at once
//
// Where each record costs a call to somewhere slow, a shard's records one after the other are too slow, and more shards cost money.
// Config.ParallelizationFactor lets Each's function run for so many records of one shard at a time, each with another partition key: a key's records
// still come one after the other, in their order. The order between keys, which Kinesis does not promise across shards anyway, is given up.
//
// The stored position is the last record in front of the first that is not done, and nothing behind it can be stored: [Shard.Checkpoint] and [Shard.Mark]
// answer ErrNotDelivered. So after a crash what was done behind a slow record comes again. A record that fails and is tried again holds back its key and
// the stored position, and no other key, until the window is full: 10,000 records, 16 MiB or 5 minutes between the first that is not done and the
// newest. Then the shard stands still, and Health and the log name the record that it waits for. When the shard moves or the worker stops, nothing
// more begins but what stands in front of records that were begun, for half of the time there is: so nothing comes again unless a record fails or is
// too slow. A shard ends when all of its keys are done. Records without a partition key count as having the same one.
//
// # What is promised
//
// At least once. Every record that was acknowledged to its producer, and is still within the stream's retention when its shard is read, is handed to
// your code; and no position is stored that lies behind a record before your code returned nil for it, or, with PerShard, before it was handed over and
// your code stored the position itself. After a crash, records since the stored position come again: with Each and Batches those of one
// renewal interval, and those of the call that was under way. When a shard moves between running workers, or its worker stops, nothing comes again, as
// long as your code returns in time (and Flush, with PerShard, returned nil).
//
// In order. Records of one shard come in their order, and a shard's children come after the shard. So records with one partition key come in the order
// in which Kinesis stored them. A record whose processing fails is tried again, with growing pauses, for as long as it takes; nothing of its shard
// overtakes it, and other shards go on. Nothing is skipped unless your code says so, with nil or by an [ErrorPolicy].
//
// One owner. A worker that cannot renew a lease stops before another may take it: the context of your code ends with cause lease.ErrLost, and nothing
// more is handed over. Code that ignores its context, and a process that is suspended between that check and your code's first line, can still
// act late; a sink that must not accept that compares [Shard.Token].
//
// # What is not promised
//
// Exactly once: make what your code does repeatable, or compare positions. An order across partition keys, or across the explicit hash keys of one. Records
// that retention has removed before they were read: Hooks.Dropped and the log tell when the stored position itself is gone. Records of aggregates
// that cannot be decoded: their neighbours are delivered, and Hooks.Dropped tells.
//
// # When your code fails
//
// An error and a panic (a [*PanicError]) are the same: what was handed over is not done. [WithErrorPolicy] sets a function that decides what follows,
// after each failed call: [Retry] it, which is what happens without a policy; [Skip] the records; [Split] the batch in two halves, to find the bad
// record; or [Halt] the shard until [Consumer.Resume]. A [*RecordError] names the record of a batch that failed, and that those before it are done.
//
// When the shard is to be given away, because another worker asks for it or this one stops, a call that failed is not made again: its records are not
// done, Flush is called for what Process accepted, and the next owner begins with them. A policy that runs is waited for, and what it decides counts.
// Flush itself is repeated while there is time (see Processor). A call that runs for more than a minute is told of by the log and Hooks.Slow
// (Config.SlowCall), and nothing else happens to it.
//
// # What a context bounds
//
//	Run(ctx)               its end starts the stop, which takes at most ShutdownTimeout; its values reach your code; it does not cancel your code
//	Shutdown(ctx)          the stop; its end is the hard stop: your contexts end with cause ErrStopped, releases get two seconds more
//	Process, open, Each's  ends with cause lease.ErrLost before another owner may start, with ErrStopped at a hard stop; not when a graceful stop begins
//	and Batches' functions,
//	ErrorPolicy (of Flush:
//	that of Flush)
//	Flush                  the same, and what is left of the time: of ShutdownTimeout at a stop, of Config.Lease.HandoffTimeout when the shard moves
//	Close                  its own five seconds; nothing can be stored any more
//	Shard.Checkpoint(ctx)  the wait; a write that is on its way may still be stored
//
// # Aggregates
//
// Producers such as KPL and package producer pack many user records into one Kinesis record. They are unpacked here: a [Record] is always a user
// record, and its position has two parts, the Kinesis record's sequence number and its place inside. A worker that takes over in the middle of an
// aggregate continues in the middle.
//
// When a shard is split, a producer that has not heard of it may send an aggregate with records of both children, to one of them; it notices, and
// sends the aggregate again to the other. So of an aggregate that was packed for an ancestor of its shard (the outer partition key is "a", and all of
// its records fall into that ancestor's range) only those records are delivered that fall into the shard's own range. Nothing else is filtered;
// Config.Aggregates has other rules, KCL's among them. Aggregators that know nothing of shards pack records of any keys together, and nobody else has these: they
// are delivered where they are.
//
// An on-demand stream may be told to spread its records by itself (the distribution AUTO). Records then need no partition key, keys say nothing about the
// shard, records of one key are in no order, and nothing is filtered. The consumer looks every five minutes which way the stream works
// (kinesis:DescribeStreamSummary, the first time within 100 ms for each shard, so that a fleet stays within the account's limit), and filters nothing until it
// knows. An operator who turns AUTO on while aggregates are being written should turn the filter off before: for up to five minutes a worker may
// not know.
//
// # Polling and enhanced fan-out
//
// By default shards are polled: it costs nothing beyond the stream, and all applications share a shard's five calls and 2 MiB a second. KCL's default
// is the other way, enhanced fan-out: Kinesis knows the application as a registered consumer, gives it 2 MiB a second of each shard for itself, and
// pushes records within some 70 ms of their writing; it is paid for by consumer, shard and hour, and by what is read. Config.FanOut turns it on:
//
//	consumer.Config{Application: "quakes", Stream: "earthquakes", FanOut: &consumer.FanOut{}}
//
// The first worker registers the consumer and all read in its name. A worker subscribes to each of its shards, again after five minutes, when the
// connection is cut or says nothing for 30 s, each time behind the last event that it took. So a failure of the network costs a pause, and no record. Another
// subscription in the consumer's name, such as that of a worker which died, cannot be replaced before it is five seconds old: a shard that moves may
// pause for that long. While your code works on a page, nothing more is read: a slow shard costs a bounded piece of memory (two events, and up to 4 MiB in
// Go's HTTP/2), and leases are renewed all the while. A consumer that somebody deregistered is registered again. FanOut.OrElsePoll polls for as
// long as no subscription can be had. Stored positions are the same in both ways, so an application can change between them.
//
// # Memory and the pace of polls
//
// While your code works on a page that was polled, the next one is fetched; no more than that. A shard is polled once a second at its tip, four times a
// second while it is behind (Config.Polling), and not for five seconds after a page of 10 MiB, because Kinesis would refuse it: a shard answers
// five calls and 2 MiB a second to all who read it. Failures and throttles are followed by growing, jittered pauses of up to 10 s.
//
// What was fetched and is not done counts against Config.BufferBytes, for all shards together; Health.Buffered is how much that is. A shard whose turn
// it is waits until there is memory, in line with the others, and records are handed over only after that. A shard whose processing fails does not keep the
// others from theirs: when memory is short it keeps the records of the call that fails, and what came with them is fetched once more when it goes on.
// Hooks.Fetched and Hooks.Dropped then tell of them once more, too.
//
// # Operation
//
// [Consumer.Health] is a snapshot for probes and dashboards: Ready for a readiness probe, Err and each shard's Err for a human being. Throttling,
// outages of Kinesis or DynamoDB, and even a lease table that vanishes end nothing: shards are given up when their leases cannot be renewed in time, and
// taken again when the table is back. A vanished table is never created anew while the consumer runs, because it may be about to be restored, and
// an empty one would start every shard from the beginning.
//
// Permissions on the stream: kinesis:ListShards, kinesis:GetShardIterator, kinesis:GetRecords, and kinesis:DescribeStreamSummary, without which no
// aggregate is filtered; for the table see package dynamostore. For fan-out
// kinesis:DescribeStreamSummary (if Config.Stream is a name) and kinesis:RegisterStreamConsumer on the stream, kinesis:DescribeStreamConsumer,
// kinesis:SubscribeToShard and, to deregister, kinesis:DeregisterStreamConsumer on the consumer; the two for polling only with FanOut.OrElsePoll.
package consumer
