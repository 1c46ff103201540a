// Package shard knows what a shard of a Kinesis data stream is: hash keys,
// hash-key ranges, parents and children. Pure values; no AWS type, no I/O.
//
// # The ring
//
// Kinesis puts a record into a shard by a number of 128 bits, its hash key: the
// MD5 digest of the record's partition key, or an explicit hash key that the
// producer chose instead. Each shard owns one contiguous range of these
// numbers, and the open shards of a stream together own all of them, each once.
// [HashOf] computes the number, [HashRange] is what a shard owns, and
// [Graph.Owner] says which shard takes a record.
//
// # Lineage
//
// A stream is resized while data flows. A split closes one shard and opens two
// children that share its range; a merge closes two neighbours and opens one
// child. A closed shard takes no new records but keeps those it has until they
// age out of retention. The records of one partition key are therefore spread
// over a chain of shards, and they are in order only if a parent is read to its
// end before its child is begun. [Graph] answers the questions that this rule
// asks: whose child is this, what came before it, what came after.
//
// A listing of shards is rarely whole: shards whose records have all expired
// disappear from it, so a shard may name parents that are not there. NewGraph
// takes any listing as it is, and every answer is in a fixed order, so that two
// programs with the same listing decide alike.
//
// All values are safe for concurrent use.
package shard
