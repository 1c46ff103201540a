// Package kinesistest is Kinesis Data Streams and DynamoDB in your process, spoken to by the real SDK: as net/http/httptest is to a
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
//			s.On("PutRecords", kinesistest.FailRecords("ProvisionedThroughputExceededException", 0.3)).For(10 * time.Second)
//			s.On("UpdateItem", kinesistest.LoseReply()).After(3).Times(1)
//			go run(t.Context(), s.Config("worker-1")) // your program, with this aws.Config instead of a loaded one
//			time.Sleep(time.Minute)
//			s.Split("orders", "shardId-000000000000")
//			time.Sleep(time.Minute)
//			check(t, s.Records("orders"), s.Items("leases"))
//		})
//	}
//
// # Transports
//
// Config's clients are served in memory, on the goroutine that calls, inside a testing/synctest bubble or outside. Listen serves the
// same server over TCP too, to any program in any language.
//
// # Time
//
// Time is what package time says to the caller, so in a bubble everything keeps to its clock: arrival times, the 24 hours of retention,
// the five minutes of an iterator, and the Date header. Streams and tables change their state at once: CREATING and UPDATING are not seen.
//
// # Kinesis
//
// CreateStream, DeleteStream, DescribeStreamSummary, ListStreams, ListShards, PutRecord, PutRecords, GetShardIterator, GetRecords,
// SplitShard and MergeShards behave as AWS documents them, with their validation, their sizes and their exceptions. Other operations
// answer UnknownOperationException, unless a rule with Do answers for them. Rates are not limited: throttling is a rule's to do.
//
// Three choices are stricter than a busy stream usually is, and within what AWS allows: sequence numbers have gaps; pages are as full as
// they can be; and the last page of a closed shard has records and children and no next iterator, all at once.
//
// # DynamoDB
//
// Tables, indexes, items, conditions and updates as far as programs around streams use them; other operations answer
// UnknownOperationException too.
package kinesistest
