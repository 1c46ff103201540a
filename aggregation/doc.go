// Package aggregation reads and writes the KPL record format. Bytes in, bytes out.
//
// # Why records are aggregated
//
// A shard of a Kinesis data stream takes 1 MiB and 1,000 records a second, so a
// producer of small records runs out of records long before it runs out of
// bytes. The Kinesis Producer Library (KPL) therefore packs many records of its
// users into one Kinesis record, an aggregate, and the Kinesis Client Library
// (KCL) unpacks it again. Amazon's Lambda, Flink and Spark integrations read the
// same format. This package is that format:
//
//	F3 89 9A C2 | protobuf message AggregatedRecord | MD5 of the message
//
//	message AggregatedRecord {
//	  repeated string partition_key_table     = 1;
//	  repeated string explicit_hash_key_table = 2;
//	  repeated Record records                 = 3;
//	}
//	message Record {
//	  required uint64 partition_key_index     = 1;
//	  optional uint64 explicit_hash_key_index = 2;
//	  required bytes  data                    = 3;
//	  repeated Tag    tags                    = 4; // nobody writes them; skipped
//	}
//
// The message is frozen and tiny, so it is coded by hand: that is faster than a
// protobuf runtime, and it lets one unreadable entry be told from the readable
// ones around it.
//
// # Writing
//
// A [Builder] makes one aggregate at a time, byte for byte what KPL would write
// for the same records in the same order. It checks nothing: that a partition
// key has 1 to 256 characters, that an explicit hash key is a decimal number in
// its canonical form, and that the result fits the stream's maximum record size
// is for the caller to see to. So is the most important rule of the format: all
// records of an aggregate must belong to the shard it is sent to, because KCL
// drops an aggregate whole if one record lies outside.
//
// # Reading
//
// [Decode] unpacks an aggregate. Each record keeps its place in it, Sub, which
// together with the Kinesis record's sequence number is the record's position.
// What is not an aggregate is an ordinary record and is to be delivered as it
// is; a record that merely starts with the same four bytes fails the checksum
// and is ordinary too. An entry of an aggregate that cannot be read costs nobody
// else: it is reported by its place, and all others are returned.
//
// Decode does not look at shards: whether a record belongs to the shard it was
// read from is decided where the shard's lineage is known.
package aggregation
