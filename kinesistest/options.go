package kinesistest

import "time"

// Option configures a Server.
type Option interface{ apply(s *Server) }

type option func(s *Server)

func (o option) apply(s *Server) { o(s) }

// WithSeed makes what a server leaves to chance, in Sometimes, FailRecords and WithStaleReads, another sequence. Default: 1. Each rule
// draws from a sequence of its own, which the seed and the number of rules made before it determine.
func WithSeed(seed uint64) Option { return option(func(s *Server) { s.seed = seed }) }

// WithoutLimits takes away every limit of rate and number: of a shard, of a stream, of an account. Those of a single request, such as
// 500 records and 10 MiB of a PutRecords, stay, and so do the 20,000 shards of an account and what a stream may have of tags and
// consumers. It is for benchmarks: a program that meets no throttling in its tests meets it later.
func WithoutLimits() Option { return option(func(s *Server) { s.free = true }) }

// WithTransitions makes what the service does in the background take d: streams, tables and the like are CREATING, UPDATING and DELETING
// for so long, and refuse meanwhile what they refuse then. Default: none, every change is done when its request is answered. What
// the arranging functions do is done at once in any case.
func WithTransitions(d time.Duration) Option {
	return option(func(s *Server) { s.transitions = max(d, 0) })
}

// WithStaleReads lets eventually consistent reads lag behind by a time drawn from 0 to d, anew for each request, so that a later one may
// see less: of Kinesis ListShards, DescribeStream and DescribeStreamSummary, whose shards are then those of a while ago; of DynamoDB
// reads that do not ask for consistency, and of indexes. Default: none.
func WithStaleReads(d time.Duration) Option { return option(func(s *Server) { s.stale = max(d, 0) }) }
