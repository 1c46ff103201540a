package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

const checkpointGetUsage = `Usage: kinesiskit checkpoint get -table name [-stream name] [-json]

Prints the position of each shard as the lease table has it and, with -stream, when the record that stands there arrived and how far it is behind
the newest one. With -json it is what checkpoint reset -to takes as a file.
`

// leasesJSON is what get prints. Its form is fixed.
type leasesJSON struct {
	Table   string      `json:"table"`
	Leases  []leaseJSON `json:"leases"`
	Skipped []string    `json:"skipped,omitempty"` // rows that are no leases
}

type leaseJSON struct {
	Shard      string               `json:"shard"`
	Checkpoint checkpoint.Position  `json:"checkpoint"`
	Pending    *checkpoint.Position `json:"pending,omitempty"`
	Owner      string               `json:"owner,omitempty"`
	Counter    int64                `json:"counter"`
	Parents    []string             `json:"parents,omitempty"`
	Children   []string             `json:"children,omitempty"`
	Arrival    *time.Time           `json:"arrival,omitempty"`
	BehindMs   *int64               `json:"behindMillis,omitempty"`
}

func checkpointGet(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := newCheckpointCommand("get", checkpointGetUsage, stdout, stderr)
	c.flags.StringVar(&c.stream, "stream", "", "`name` or ARN of the stream: also print how far behind each shard is")
	if status := c.parse(args, 0); status >= 0 {
		return status
	}
	k, s, err := c.connect(ctx)
	if err != nil {
		return c.failed(err)
	}
	out, err := c.leases(ctx, s)
	if err != nil {
		return c.failed(err)
	}
	if c.stream != "" {
		for i := range out.Leases {
			if err := c.measure(ctx, k, &out.Leases[i]); err != nil {
				return c.failed(err)
			}
		}
	}
	if c.json {
		return c.print(out)
	}
	return c.printLeases(out)
}

// leases reads the table, sorted by shard.
func (c *checkpointCommand) leases(ctx context.Context, s lease.Store) (*leasesJSON, error) {
	out := &leasesJSON{Table: c.table, Leases: []leaseJSON{}}
	for l, err := range s.List(ctx) {
		var row *lease.RowError
		if errors.As(err, &row) {
			out.Skipped = append(out.Skipped, row.Error())
			continue
		}
		if err != nil {
			return nil, err
		}
		printed := leaseJSON{
			Shard: l.Key, Checkpoint: l.Checkpoint.Position, Owner: l.Owner, Counter: l.Counter, Parents: l.Parents, Children: l.Children,
		}
		if l.Checkpoint.Pending != (checkpoint.Position{}) {
			printed.Pending = &l.Checkpoint.Pending
		}
		out.Leases = append(out.Leases, printed)
	}
	slices.SortFunc(out.Leases, func(a, b leaseJSON) int { return strings.Compare(a.Shard, b.Shard) })
	slices.Sort(out.Skipped)
	return out, nil
}

// measure reads the record at a stored position, for the time when it arrived and how far the shard goes on behind it. The client repeats what is throttled.
func (c *checkpointCommand) measure(ctx context.Context, k *kinesis.Client, l *leaseJSON) error {
	sequence := l.Checkpoint.Sequence()
	if l.Checkpoint.IsSentinel() || sequence == "" {
		return nil
	}
	in := &kinesis.GetShardIteratorInput{
		ShardId: &l.Shard, ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &sequence,
	}
	if strings.HasPrefix(c.stream, "arn:") {
		in.StreamARN = &c.stream
	} else {
		in.StreamName = &c.stream
	}
	it, err := k.GetShardIterator(ctx, in)
	if err != nil {
		return fmt.Errorf("shard %s: %w", l.Shard, err)
	}
	page, err := k.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator, StreamARN: in.StreamARN, Limit: aws.Int32(1)})
	if err != nil {
		return fmt.Errorf("shard %s: %w", l.Shard, err)
	}
	l.BehindMs = page.MillisBehindLatest
	if len(page.Records) > 0 && aws.ToString(page.Records[0].SequenceNumber) == sequence {
		l.Arrival = page.Records[0].ApproximateArrivalTimestamp
	}
	return nil
}
