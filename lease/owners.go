package lease

import (
	"context"
	"errors"
	"iter"
)

// OwnerLister is implemented by a Store that can say who owns what for less than List costs, as a DynamoDB table with KCL 3.x's index can. In a fleet whose
// workers would together read too much if each of them listed the table, a few workers list it for all, and the others ask this; without it, every worker lists.
//
// Answers may be stale, and are hints: what is done about a lease follows a Get, or is a write on condition. A store that has no such index after all, or may not
// use it, yields an error that is ErrNoIndex.
type OwnerLister interface {
	// ListOwned yields the keys of the leases that owner owns, in any order.
	ListOwned(ctx context.Context, owner string) iter.Seq2[string, error]

	// ListOwners yields key and owner of every lease that has an owner, in any order.
	ListOwners(ctx context.Context) iter.Seq2[Owned, error]

	// ListPart is List for one of parts parts of the table, counted from 0: every lease is in exactly one of them, and which one is as good as chance.
	ListPart(ctx context.Context, part, parts int) iter.Seq2[Lease, error]
}

// Owned says whose a lease is.
type Owned struct{ Key, Owner string }

// ErrNoIndex is answered by an OwnerLister that cannot list by owner.
var ErrNoIndex = errors.New("lease: the table cannot be listed by owner")
