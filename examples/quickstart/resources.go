package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
	"github.com/kinesiskit/kinesiskit/shard"
)

// shardCount of a stream that is created here.
const shardCount = 4

// resources are the stream, the lease table, and the clients for both.
type resources struct {
	streams *kinesis.Client
	tables  *dynamodb.Client
	store   *dynamostore.Store
	stream  string
	table   string

	madeStream, madeTable bool
}

// arrange makes what is not there. say tells the user first.
func arrange(ctx context.Context, at place, o options, run string, say func(string)) (*resources, error) {
	r := &resources{stream: o.stream, table: "kinesiskit-quickstart-" + run}
	var err error
	if r.streams, r.tables, err = connect(ctx, at); err != nil {
		return nil, err
	}
	r.store = dynamostore.New(r.tables, dynamostore.Config{Table: r.table})
	exists, err := r.exists(ctx)
	if err != nil {
		return nil, err
	}
	if exists {
		say(fmt.Sprintf("Stream %s is there: one of its shards will be split, and two will be merged.", r.stream))
	} else {
		say(fmt.Sprintf("Stream %s will be created with %d provisioned shards, and deleted in the end.", r.stream, shardCount))
	}
	say(fmt.Sprintf("Lease table %s will be created, on demand, and deleted in the end.", r.table))
	if !exists {
		if err := r.createStream(ctx); err != nil {
			return r, err
		}
	}
	r.madeTable = true // also if the answer is lost
	if err := r.openTable(ctx, o.patience()); err != nil {
		return r, err
	}
	return r, r.active(ctx, o.patience())
}

func (r *resources) exists(ctx context.Context) (bool, error) {
	_, err := r.streams.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &r.stream})
	if missing := new(types.ResourceNotFoundException); errors.As(err, &missing) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("describe stream %s: %w", r.stream, err)
	}
	return true, nil
}

func (r *resources) createStream(ctx context.Context) error {
	r.madeStream = true // also if the answer is lost
	_, err := r.streams.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &r.stream, ShardCount: aws.Int32(shardCount)})
	if err == nil {
		return nil
	}
	if others := new(types.ResourceInUseException); errors.As(err, &others) {
		r.madeStream = false
	}
	return fmt.Errorf("create stream %s: %w", r.stream, err)
}

// openTable waits for the table, which Open makes one attempt at.
func (r *resources) openTable(ctx context.Context, patience time.Duration) error {
	return eventually(ctx, patience, askService, "lease table "+r.table, func(ctx context.Context) (bool, error) {
		err := r.store.Open(ctx)
		return err == nil, err
	})
}

// active waits until the stream can be changed.
func (r *resources) active(ctx context.Context, patience time.Duration) error {
	return eventually(ctx, patience, askService, "stream "+r.stream+" to be ACTIVE", func(ctx context.Context) (bool, error) {
		out, err := r.streams.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &r.stream})
		return err == nil && out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive, err
	})
}

// shards lists the stream.
func (r *resources) shards(ctx context.Context) ([]shard.Shard, error) {
	var shards []shard.Shard
	in := &kinesis.ListShardsInput{StreamName: &r.stream}
	for {
		out, err := r.streams.ListShards(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list shards of %s: %w", r.stream, err)
		}
		for _, s := range out.Shards {
			keys, err := shard.ParseHashRange(aws.ToString(s.HashKeyRange.StartingHashKey), aws.ToString(s.HashKeyRange.EndingHashKey))
			if err != nil {
				return nil, fmt.Errorf("list shards of %s: %w", r.stream, err)
			}
			sh := shard.Shard{ID: aws.ToString(s.ShardId), Range: keys}
			for _, parent := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
				if parent != nil {
					sh.Parents = append(sh.Parents, *parent)
				}
			}
			shards = append(shards, sh)
		}
		if out.NextToken == nil {
			return shards, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
}

// tearDown deletes what was made here. say tells the user first.
func (r *resources) tearDown(ctx context.Context, say func(string)) error {
	var errs []error
	if r.madeStream {
		say(fmt.Sprintf("Deleting stream %s.", r.stream))
		errs = append(errs, gone(ctx, "stream "+r.stream, func(ctx context.Context) error {
			_, err := r.streams.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &r.stream})
			return err
		}))
	}
	if r.madeTable {
		say(fmt.Sprintf("Deleting table %s.", r.table))
		errs = append(errs, gone(ctx, "table "+r.table, func(ctx context.Context) error {
			_, err := r.tables.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &r.table})
			return err
		}))
	}
	return errors.Join(errs...)
}

// gone deletes something, which the services refuse while it is still being created.
func gone(ctx context.Context, what string, remove func(context.Context) error) error {
	return eventually(ctx, time.Minute, askService, what+" to be deleted", func(ctx context.Context) (bool, error) {
		err := remove(ctx)
		var api smithy.APIError
		return err == nil || errors.As(err, &api) && api.ErrorCode() == "ResourceNotFoundException", err
	})
}

// askService is how often the services are asked for something that takes them a while; DescribeStreamSummary allows 20 a second (AWS limit).
const askService = 200 * time.Millisecond

// eventually asks until the answer is yes. An error is no answer, unless patience ends with it.
func eventually(ctx context.Context, patience, every time.Duration, what string, ask func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not within %v", patience))
	defer cancel()
	for {
		yes, err := ask(ctx)
		if yes {
			return nil
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			if err == nil {
				err = context.Cause(ctx)
			}
			return fmt.Errorf("wait for %s: %w", what, err)
		}
	}
}
