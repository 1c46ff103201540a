// Package kinesiskit is the root of a producer and a consumer for Amazon Kinesis Data Streams in pure Go: what the Kinesis Client Library (KCL) and
// the Kinesis Producer Library (KPL) are to the JVM, compatible with KCL's lease table and KPL's aggregated records. It has no code of its own.
//
// A program uses:
//
//   - [github.com/kinesiskit/kinesiskit/consumer] to read a stream with a fleet of workers: at least once, in order per partition key.
//   - [github.com/kinesiskit/kinesiskit/producer] to write to a stream: aggregated, batched, retried, with a result for every record.
//   - [github.com/kinesiskit/kinesiskit/lease/dynamostore] to keep the consumer's leases and progress in DynamoDB, or
//     [github.com/kinesiskit/kinesiskit/lease/memstore] to keep them in memory.
//   - [github.com/kinesiskit/kinesiskit/kinesistest] to test a pipeline against Kinesis and DynamoDB in its own process.
//
// They stand on packages that can be used alone:
//
//   - [github.com/kinesiskit/kinesiskit/lease] decides who holds which shard, and is the only code that writes lease rows.
//     [github.com/kinesiskit/kinesiskit/lease/leasetest] tests other stores.
//   - [github.com/kinesiskit/kinesiskit/checkpoint] says where in a shard: positions and their order.
//   - [github.com/kinesiskit/kinesiskit/aggregation] reads and writes KPL's record format.
//   - [github.com/kinesiskit/kinesiskit/shard] knows hash keys, hash ranges and how shards descend from each other.
//
// Imports go one way: shard → aggregation → producer, and shard → checkpoint → lease → consumer.
//
// The README shows the programs, DESIGN.md how and why it works, and examples/quickstart runs all of it on one machine:
//
//	go run ./examples/quickstart
package kinesiskit
