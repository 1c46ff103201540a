// Package promkinesis reports what a consumer or a producer does to Prometheus.
//
//	opt, err := promkinesis.Consumer(prometheus.DefaultRegisterer, "quakes", promkinesis.Application)
//	c, err := consumer.New(cfg, k, store, handler, opt)
//
// # Metrics of a consumer
//
// All have the labels app and stream. A gauge speaks of the shards that this worker holds: of several the largest value, or the sum where that is said; with the
// granularity Shard, of each by itself, with the label shard.
//
//	kinesis_consumer_lag_seconds               gauge      age of the oldest record that was delivered and is not stored as done; if there is none, the read lag
//	kinesis_consumer_read_lag_seconds          gauge      how far what was fetched is behind the tip of the shard
//	kinesis_consumer_uncheckpointed_records    gauge      delivered and not stored as done; the sum
//	kinesis_consumer_checkpoint_age_seconds    gauge      since a position was stored
//	kinesis_consumer_processor_stuck_seconds   gauge      how long the longest call of your code that runs has been running
//	kinesis_consumer_lease_owned               gauge      shards held; the sum
//	kinesis_consumer_lease_acquired_total      counter
//	kinesis_consumer_lease_lost_total          counter    by reason: lost (another may have it), stopped (a hard stop), failed. Not those that were given away
//	kinesis_consumer_records_total             counter    records fetched to be delivered
//	kinesis_consumer_bytes_total               counter    bytes fetched, as Kinesis counts them
//	kinesis_consumer_records_skipped_total     counter    records that are not delivered, by reason: outside_range, corrupt, expired (one for each gap), skipped
//	kinesis_consumer_throttled_total           counter    requests refused for the moment, by op
//	kinesis_consumer_fetch_duration_seconds    histogram  attempts at a page that took a request
//	kinesis_consumer_process_duration_seconds  histogram  calls of your code with records, by outcome: ok, error
//
// With Shard the counters have the label shard too. Histograms have it never: they would be most of all series. The series of a shard end when the worker
// does not hold it any more, so that dashboards show what is held and the number of series does not grow with each reshard.
//
// The gauges are made when they are collected. Alerts that are worth having: lag above what is tolerable; checkpoint age above three times
// lease.Config.RenewInterval while records_total grows; processor_stuck above a minute; lease_lost_total growing in a fleet at rest; any growth of
// records_skipped_total but for outside_range; lag near the stream's retention.
//
// # Metrics of a producer
//
//	kinesis_producer_records_total             counter    by stream and outcome: stored, failed
//	kinesis_producer_bytes_total               counter    by stream: data and keys of records that were stored
//	kinesis_producer_expired_total             counter    by stream: of the records that failed, those that outlived RecordTTL
//	kinesis_producer_retries_total             counter    by stream: attempts of records beyond the first of each
//	kinesis_producer_attempts_total            counter    Kinesis records sent, by stream and code: ok, throttled, failed, or the error of the whole request
//	kinesis_producer_buffer_time_seconds       histogram  by stream: from acceptance to verdict
//	kinesis_producer_request_duration_seconds  histogram  by stream
//	kinesis_producer_aggregation_ratio         histogram  by stream: user records for each Kinesis record of a request
//
// What is buffered, and for how long already, is in producer.Producer.Health.
package promkinesis
