// Package otelkinesis reports what a consumer or a producer does to OpenTelemetry: spans, and metrics with the names of the messaging conventions
// (semantic conventions 1.44, where they are in development), and those that KCL 3.5 has for the same things with its OpenTelemetry backend
// (aws.kinesis.client.…).
//
//	opt := otelkinesis.Consumer("quakes", otelkinesis.Application, otel.GetMeterProvider(), otel.GetTracerProvider())
//	c, err := consumer.New(cfg, k, store, handler, opt)
//
// Give each Consumer and each Producer an option of its own.
//
// # Spans
//
// "process <stream>", of kind consumer, is one call of your code with records, and the parent of what your code does with the context that it gets. With
// consumer.Each that is one for each record: sample. "put_records <stream>", of kind client, is one request of a producer. The spans of an AWS client that is
// instrumented lie beside and inside them; nothing is reported twice. Records of Kinesis have no headers, so no context goes from a producer to a consumer.
//
// # Metrics of a consumer
//
//	messaging.client.operation.duration          histogram, s        get_records, subscribe_to_shard, checkpoint (those that your code asked for)
//	messaging.client.consumed.messages           counter, {message}  user records fetched to be delivered
//	messaging.process.duration                   histogram, s        calls of your code with records
//	aws.kinesis.client.consumer.lag.duration     histogram, ms       how far each page is behind the tip
//	aws.kinesis.client.records.size              histogram, By       bytes of each page that has records
//	aws.kinesis.client.records_processed         counter, {record}   records for which your code returned nil
//	aws.kinesis.client.current_leases            gauge, {lease}      shards that this worker holds
//	aws.kinesis.client.lost_leases               counter, {lease}    shards that it held and did not give away
//	aws.kinesis.client.total_leases              gauge, {lease}      rows of the table when it was last read
//	aws.kinesis.client.expired_leases            gauge, {lease}      of these, those whose owner was silent
//	aws.kinesis.client.workers                   gauge, {worker}     owners of live leases then
//
// and, which the KCL has not:
//
//	aws.kinesis.client.read.lag.duration         gauge, ms           how far what was fetched is behind the tip
//	aws.kinesis.client.checkpoint.lag.duration   gauge, ms           age of the oldest record that was delivered and is not stored as done; else the read lag
//	aws.kinesis.client.records.dropped           counter, {record}   not delivered, by kinesis.drop.reason: outside range, corrupt, expired, skipped
//	aws.kinesis.client.throttles                 counter, {request}  refused for the moment, by aws.kinesis.operation
//
// The two gauges of lag show the largest value of the shards held, for each stream. With the granularity Shard they have the attribute aws.kinesis.shard.id
// and a series for each shard, which ends when the shard is not held any more. Nothing else has that attribute: series of shards that are gone would stay.
//
// # Metrics of a producer
//
//	messaging.client.operation.duration          histogram, s        put_records
//	messaging.client.sent.messages               counter, {message}  records; without error.type they are stored
package otelkinesis
