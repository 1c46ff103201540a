// Package kinesistest is Kinesis Data Streams, DynamoDB and Firehose in your process, spoken to by the real SDK: as net/http/httptest is to a
// web client, so is this to a program that reads or writes streams.
//
// It is a server and not a mock. The SDK's serializers, its retries, its typed exceptions and its paginators are all part of a test,
// and the service's limits of a request hold. What the network or the service does to a program once in a month, a rule does now:
//
//	func TestPipeline(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) { // virtual time: an hour takes milliseconds
//			s := kinesistest.New()
//			defer s.Close()
//			s.CreateStream("orders", 2)
//			s.On("GetRecords", kinesistest.Throttle()).For(10 * time.Second).MustHit(t) // a fault that is not met fails the test
//			s.On("UpdateItem", kinesistest.LoseReply()).After(3).Times(1).MustHit(t)
//			time.AfterFunc(time.Minute, func() { s.Split("orders", "shardId-000000000000") })
//			ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
//			defer stop()
//			err := run(ctx, s.Config("worker-1")) // your program, with this aws.Config instead of a loaded one
//			check(t, err, s.Records("orders"), s.Items("leases"))
//		})
//	}
//
// What runs in a bubble has to end before its function does, so the test waits for the program. The module's examples/testing is such a
// test in full.
//
// # Transports
//
// Config's clients are served in memory, on the goroutine that calls, inside a testing/synctest bubble or outside. Listen and ListenTLS
// serve the same server over TCP too, to any program in any language that speaks the JSON protocols; CBOR is refused in words. Over
// TCP the Authorization header tells region and account, and what is in one is not seen from another.
//
// # Time
//
// Time is what package time says to the caller, so in a bubble everything keeps to its clock: arrival times, retention, the five
// minutes of an iterator, of a token and of a subscription, rates, and the Date header. Streams and tables change their state at once,
// unless WithTransitions makes CREATING, UPDATING and DELETING last. WithStaleReads makes eventually consistent reads lag.
//
// # Limits
//
// What AWS limits is limited here, because that is what breaks programs. A shard takes 1,000 records and 1 MiB a second, with a second's
// worth at once; an entry of a PutRecords beyond that fails for itself, inside an answer with status 200. A record of more than 1 MiB is
// taken when nothing is used up, and paid for afterwards. A shard answers 5 GetRecords and gives 2 MiB a second: nothing for 5 s after
// 10 MiB. Every other operation has its rate for the account, whoever calls: 500 programs that describe their stream when they
// start wait for each other at 20 a second. So do numbers of streams, shards, consumers, tags and changes a day. WithoutLimits takes
// these away, for benchmarks; the sizes of a request stay. CreateStream, Split, Merge and Trim of Server are past all of that.
//
// # Kinesis
//
// Every operation but those on channels behaves as AWS documents it, with its validation, its messages, its sizes and its exceptions.
// Channels' answer UnknownOperationException, unless a rule with Do answers for them.
//
// Some choices are stricter or simpler than a busy stream usually is, and within what AWS allows: sequence numbers have gaps; pages are
// as full as they can be; the last page of a closed shard has records and children and no next iterator, all at once; a change is in
// force when its request is answered, even if the stream is UPDATING then; an on-demand stream does not scale by itself; and with
// the AUTO distribution the shards take turns.
//
// # Enhanced fan-out
//
// SubscribeToShard streams over every transport, HTTP/1.1 included, and in memory without a goroutine of the server's: an event is made
// when the client reads. What is written is pushed at once, at most 2 MiB a second; silence lasts 5 s at most. A stream ends after
// five minutes, with the shard, with ResourceInUseException when a newer one takes over, and with ResourceNotFoundException when
// its consumer or its stream is deleted. Within 5 s of a successful call the next is refused with ResourceInUseException, also when
// the stream has ended meanwhile, or when its answer was lost. CutStream ends a stream in the middle of a frame.
//
// # DynamoDB
//
// Tables, indexes, items, conditions and updates as far as programs around streams use them; other operations answer
// UnknownOperationException too.
//
// # Firehose
//
// Delivery streams, which deliver at once: Delivered shows what arrived.
//
// # State
//
// Save writes what all services hold, Load reads it. Calls and Operations tell what was called, and by whom.
package kinesistest
