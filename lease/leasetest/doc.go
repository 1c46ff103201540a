// Package leasetest is the contract of lease.Store as a test, for whoever keeps leases elsewhere than in DynamoDB.
//
//	func TestStore(t *testing.T) {
//		leasetest.Run(t, func(t *testing.T) lease.Store { return mystore.New(emptyDatabase(t)) })
//	}
//
// What it asks for is what the lease protocol stands on: a write happens only under its condition and wholly, of two writers with the same condition
// one wins, a row that was deleted does not come back, and an answer is the truth. A store that fails here makes two workers own one shard, or forgets
// how far one was read.
package leasetest
