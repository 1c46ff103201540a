package dynamostore

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

// The attributes of a row. All but the last eight, which are ours, are named by KCL.
const (
	attrKey             = "leaseKey"
	attrOwner           = "leaseOwner"
	attrCounter         = "leaseCounter"
	attrOwnerSwitches   = "ownerSwitchesSinceCheckpoint"
	attrCheckpoint      = "checkpoint"
	attrCheckpointSub   = "checkpointSubSequenceNumber"
	attrPending         = "pendingCheckpoint"
	attrPendingSub      = "pendingCheckpointSubSequenceNumber"
	attrPendingState    = "pendingCheckpointState"
	attrCheckpointOwner = "checkpointOwner"
	attrParents         = "parentShardId"
	attrChildren        = "childShardIds"
	attrStartingHashKey = "startingHashKey"
	attrEndingHashKey   = "endingHashKey"
	attrEntityType      = "entityType"
	attrStreamName      = "streamName" // with shardId only in rows of an application that reads several streams
	attrShardID         = "shardId"
	attrStream          = "kkStream"
	attrFailover        = "kkFailover"
	attrAskedBy         = "kkNext"
	attrAskedOf         = "kkFrom"
	attrSpeaks          = "kkOwner"
	attrStartAt         = "kkStart"
	attrFirst           = "kkFirst"
	attrReadTo          = "kkEnd"
)

// entityLease is the entityType of a lease; KCL before 3.5 writes none.
const entityLease = "LEASE"

func keyOf(key string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{attrKey: text(key)}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// stringSet is nil for an empty one, which DynamoDB cannot store; duplicates it refuses.
func stringSet(ids []string) types.AttributeValue {
	if len(ids) == 0 {
		return nil
	}
	return &types.AttributeValueMemberSS{Value: slices.Compact(slices.Sorted(slices.Values(ids)))}
}

// assignment gives an attribute a value; without one it is removed.
type assignment struct {
	attribute string
	value     types.AttributeValue
	once      bool // a value that is there already stays
}

func textOrNone(attribute, s string) assignment {
	if s == "" {
		return assignment{attribute: attribute}
	}
	return assignment{attribute: attribute, value: text(s)}
}

func place(sequence, sub string, p checkpoint.Position) []assignment {
	if (p == checkpoint.Position{}) {
		return []assignment{{attribute: sequence}, {attribute: sub}}
	}
	return []assignment{{attribute: sequence, value: text(p.Sequence())}, {attribute: sub, value: number(p.Sub())}}
}

func ofCheckpoint(c checkpoint.Checkpoint) []assignment {
	state := assignment{attribute: attrPendingState}
	if (c.Pending != checkpoint.Position{}) && len(c.State) > 0 {
		state.value = &types.AttributeValueMemberB{Value: c.State}
	}
	return slices.Concat(place(attrCheckpoint, attrCheckpointSub, c.Position), place(attrPending, attrPendingSub, c.Pending), []assignment{state})
}

// ofChange is a change without its counter, which is not assigned but added to.
func ofChange(c lease.Change) ([]assignment, error) {
	var all []assignment
	if c.Owner != nil {
		all = append(all, textOrNone(attrOwner, *c.Owner))
	}
	if c.CheckpointOwner != nil {
		all = append(all, textOrNone(attrCheckpointOwner, *c.CheckpointOwner))
	}
	if c.AskedBy != nil {
		all = append(all, textOrNone(attrAskedBy, *c.AskedBy))
	}
	if c.AskedOf != nil {
		all = append(all, textOrNone(attrAskedOf, *c.AskedOf))
	}
	if c.Speaks != nil {
		all = append(all, textOrNone(attrSpeaks, *c.Speaks))
	}
	if c.OwnerSwitches != nil {
		all = append(all, assignment{attribute: attrOwnerSwitches, value: number(*c.OwnerSwitches)})
	}
	if c.Checkpoint != nil {
		all = append(all, ofCheckpoint(*c.Checkpoint)...)
	}
	if len(c.Children) > 0 {
		all = append(all, assignment{attribute: attrChildren, value: stringSet(c.Children)})
	}
	if c.FailoverTime != 0 {
		failover, err := milliseconds(c.FailoverTime)
		if err != nil {
			return nil, err
		}
		all = append(all, assignment{attribute: attrFailover, value: failover})
	}
	return append(all, ofInstants(c)...), nil
}

func ofInstants(c lease.Change) (all []assignment) {
	if !c.StartAt.IsZero() {
		all = append(all, assignment{attribute: attrStartAt, value: number(c.StartAt.UnixMilli()), once: true})
	}
	if c.First != "" {
		all = append(all, assignment{attribute: attrFirst, value: text(c.First)})
	}
	switch {
	case !c.ReadTo.IsZero():
		all = append(all, assignment{attribute: attrReadTo, value: number(c.ReadTo.UnixMilli())})
	case c.Checkpoint != nil:
		all = append(all, assignment{attribute: attrReadTo})
	}
	return all
}

// encode is the row of a new lease.
func encode(l lease.Lease) (map[string]types.AttributeValue, error) {
	all, err := ofChange(lease.Change{
		Owner:           &l.Owner,
		CheckpointOwner: &l.CheckpointOwner,
		AskedBy:         &l.AskedBy,
		AskedOf:         &l.AskedOf,
		Speaks:          &l.Speaks,
		OwnerSwitches:   &l.OwnerSwitches,
		Checkpoint:      &l.Checkpoint,
		Children:        l.Children,
		FailoverTime:    l.FailoverTime,
		StartAt:         l.StartAt,
		First:           l.First,
		ReadTo:          l.ReadTo,
	})
	if err != nil {
		return nil, err
	}
	all = append(all,
		assignment{attribute: attrKey, value: text(l.Key)},
		assignment{attribute: attrCounter, value: number(l.Counter)},
		assignment{attribute: attrEntityType, value: text(entityLease)},
		assignment{attribute: attrParents, value: stringSet(l.Parents)},
		textOrNone(attrStream, l.Stream))
	if l.HashRange.Known() {
		all = append(all,
			assignment{attribute: attrStartingHashKey, value: text(l.HashRange.Start.String())},
			assignment{attribute: attrEndingHashKey, value: text(l.HashRange.End.String())})
	}
	item := make(map[string]types.AttributeValue, len(all))
	for _, a := range all {
		if a.value != nil {
			item[a.attribute] = a.value
		}
	}
	return item, nil
}
