// Package memstore keeps leases in memory: for tests, for an application that is one process, and for a first try without a DynamoDB table.
//
// Workers that share one [Store] share its leases, so several of them in one process divide the shards among themselves exactly as several processes
// on one table do. What it cannot do is outlive the process: after a restart every shard is read from its start again.
package memstore
