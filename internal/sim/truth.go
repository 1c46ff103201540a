package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/internal/sim/history"
	"github.com/kinesiskit/kinesiskit/shard"
)

// What the service itself knows is the truth that everything else is judged by: it is read off the requests that the server has performed.

// performed is told of each of them.
func (w *world) performed(c *call, status int, body []byte) {
	if status != 200 {
		return
	}
	switch c.op {
	case "PutRecords":
		w.put(c.body, body)
	case "PutItem", "UpdateItem", "DeleteItem":
		w.rowsChanged()
	}
}

func (w *world) put(request, response []byte) {
	var in struct {
		Records []struct {
			Data                          []byte
			PartitionKey, ExplicitHashKey string
		}
	}
	var out struct {
		Records []struct{ ShardId, SequenceNumber, ErrorCode string }
	}
	if json.Unmarshal(request, &in) != nil || json.Unmarshal(response, &out) != nil || len(in.Records) != len(out.Records) {
		w.broken("PutRecords of %d bytes cannot be read", len(request))
		return
	}
	for i, r := range in.Records {
		if at := out.Records[i]; at.ErrorCode == "" {
			w.copies(at.ShardId, at.SequenceNumber, aggregation.Record{PartitionKey: r.PartitionKey, ExplicitHashKey: r.ExplicitHashKey, Data: r.Data})
		}
	}
}

// copies tells the checker of the user records of one Kinesis record.
func (w *world) copies(shardID, sequence string, r aggregation.Record) {
	users, err := aggregation.Decode(nil, r.Data)
	if err != nil {
		users = []aggregation.Record{r}
	}
	for _, u := range users {
		p, err := checkpoint.At(sequence, int64(u.Sub))
		if err != nil {
			w.broken("%v", err)
			return
		}
		hash, err := u.HashKey()
		if err != nil {
			w.broken("%v", err)
			return
		}
		at := history.Copy{ID: string(u.Data), Key: u.PartitionKey, Shard: shardID, Position: p, Hash: hash}
		w.locked(func() { w.check.Stored(at) })
	}
}

// rowsChanged compares the lease table with what it was.
func (w *world) rowsChanged() {
	now := map[string]history.Row{}
	for _, item := range w.server.Items(table) {
		r, err := rowOf(item)
		if err != nil {
			w.broken("%v", err)
			return
		}
		now[r.Key] = r
	}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		r, before := now[key], w.rows[key]
		if r == before {
			continue
		}
		if before.Owner != r.Owner && r.Owner != "" {
			w.locked(func() { w.counts.OwnerChanges++ })
		}
		w.locked(func() { w.check.Committed(r) })
	}
	for _, key := range slices.Sorted(maps.Keys(w.rows)) {
		if _, there := now[key]; !there {
			w.locked(func() { w.check.Deleted(key) })
		}
	}
	w.rows = now
}

func rowOf(item map[string]types.AttributeValue) (r history.Row, err error) {
	text := func(name string) string {
		s, _ := item[name].(*types.AttributeValueMemberS)
		if s == nil {
			return ""
		}
		return s.Value
	}
	number := func(name string) int64 {
		n, _ := item[name].(*types.AttributeValueMemberN)
		if n == nil {
			return 0
		}
		v, nerr := strconv.ParseInt(n.Value, 10, 64)
		if nerr != nil {
			err = fmt.Errorf("row: %s: %w", name, nerr)
		}
		return v
	}
	p := text("checkpoint")
	if !slices.Contains([]string{"TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "SHARD_END"}, p) {
		p += ":" + strconv.FormatInt(number("checkpointSubSequenceNumber"), 10)
	}
	r = history.Row{Key: text("leaseKey"), Owner: text("leaseOwner"), Counter: number("leaseCounter")}
	if r.Checkpoint, err = checkpoint.Parse(p); err != nil {
		return r, fmt.Errorf("row of %s: %w", r.Key, err)
	}
	return r, err
}

// listed tells the checker of the shards that there are.
func (w *world) listed() []shard.Shard {
	out, err := w.direct.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String(streamName)})
	if err != nil {
		w.broken("%v", err)
		return nil
	}
	var all []shard.Shard
	for _, s := range out.Shards {
		r, err := shard.ParseHashRange(*s.HashKeyRange.StartingHashKey, *s.HashKeyRange.EndingHashKey)
		if err != nil {
			w.broken("%v", err)
			return nil
		}
		one := shard.Shard{ID: *s.ShardId, Range: r, First: *s.SequenceNumberRange.StartingSequenceNumber, Last: aws.ToString(s.SequenceNumberRange.EndingSequenceNumber)}
		for _, p := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
			if p != nil {
				one.Parents = append(one.Parents, *p)
			}
		}
		all = append(all, one)
		w.locked(func() { w.check.Shard(one) })
	}
	return all
}
