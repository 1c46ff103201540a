package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/lease"
)

// A page of a scan has 1 MB (AWS limit) and takes a round trip. A table of more than a few is read in segments that are scanned at once, so that a look at
// twenty thousand leases takes hardly longer than one at two thousand. What is read, and paid for, is the same.
const (
	segmentBytes = 4 << 20
	maxSegments  = 16
)

// List scans the table, eventually consistent, at half a read unit per 4 KB; a big table in segments at once. Rows that are no leases come as *lease.RowError.
func (s *Store) List(ctx context.Context) iter.Seq2[lease.Lease, error] {
	return func(yield func(lease.Lease, error) bool) {
		segments := s.segments()
		if segments == 1 {
			s.each(ctx, &dynamodb.ScanInput{TableName: &s.cfg.Table}, yield)
			return
		}
		s.together(ctx, segments, yield)
	}
}

// ListConsistent scans the table, strongly consistent, at a read unit per 4 KB. Rows that are no leases come as *lease.RowError.
func (s *Store) ListConsistent(ctx context.Context) iter.Seq2[lease.Lease, error] {
	return func(yield func(lease.Lease, error) bool) {
		s.each(ctx, &dynamodb.ScanInput{TableName: &s.cfg.Table, ConsistentRead: aws.Bool(true)}, yield)
	}
}

// segments is how many the table is read in.
func (s *Store) segments() int {
	return int(min(maxSegments, 1+s.bytes.Load()/segmentBytes))
}

// ListPart scans one segment of the table, as List does.
func (s *Store) ListPart(ctx context.Context, part, parts int) iter.Seq2[lease.Lease, error] {
	return func(yield func(lease.Lease, error) bool) {
		s.each(ctx, s.segment(part, parts), yield)
	}
}

func (s *Store) segment(part, parts int) *dynamodb.ScanInput {
	return &dynamodb.ScanInput{TableName: &s.cfg.Table, Segment: aws.Int32(int32(part)), TotalSegments: aws.Int32(int32(parts))}
}

// each yields what one scan finds.
func (s *Store) each(ctx context.Context, in *dynamodb.ScanInput, yield func(lease.Lease, error) bool) {
	for items, err := range s.pages(ctx, in) {
		if err != nil {
			yield(lease.Lease{}, err)
			return
		}
		for _, item := range items {
			if !yield(decode(item)) {
				return
			}
		}
	}
}

// together scans all segments at once, and yields what they find on the caller's goroutine. When it returns, no scan is left.
func (s *Store) together(ctx context.Context, segments int, yield func(lease.Lease, error) bool) {
	type page struct {
		items []map[string]types.AttributeValue
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	pages := make(chan page)
	var scans sync.WaitGroup
	defer scans.Wait()
	defer cancel()
	for i := range segments {
		scans.Go(func() {
			for items, err := range s.pages(ctx, s.segment(i, segments)) {
				select {
				case pages <- page{items, err}:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	go func() {
		scans.Wait()
		close(pages)
	}()
	for p := range pages {
		if p.err != nil {
			yield(lease.Lease{}, p.err)
			return
		}
		for _, item := range p.items {
			if !yield(decode(item)) {
				return
			}
		}
	}
	if err := ctx.Err(); err != nil {
		yield(lease.Lease{}, s.failed("list", "", err)) // the scans ended without a word
	}
}

// pages yields the pages of a scan, and ends with the first error.
func (s *Store) pages(ctx context.Context, in *dynamodb.ScanInput) iter.Seq2[[]map[string]types.AttributeValue, error] {
	return func(yield func([]map[string]types.AttributeValue, error) bool) {
		for {
			if err := ctx.Err(); err != nil {
				yield(nil, s.failed("list", "", err))
				return
			}
			out, err := s.db.Scan(ctx, in, awsx.DynamoOnce)
			if err != nil {
				yield(nil, s.failed("list", "", err))
				return
			}
			if !yield(out.Items, nil) || len(out.LastEvaluatedKey) == 0 {
				return
			}
			in.ExclusiveStartKey = out.LastEvaluatedKey
		}
	}
}

// ListOwned asks the index for the leases of one owner, at half a read unit for up to 4 KB of keys. Errors: lease.ErrNoIndex, if the table does not
// have the index, is building it, or may not be asked by it.
func (s *Store) ListOwned(ctx context.Context, owner string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		e := newExpression()
		condition := e.equal(attrOwner, text(owner))
		in := &dynamodb.QueryInput{
			TableName: &s.cfg.Table, IndexName: aws.String(ownerIndex), KeyConditionExpression: &condition,
			ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		}
		for {
			if err := ctx.Err(); err != nil {
				yield("", s.failed("list owned", "", err))
				return
			}
			out, err := s.db.Query(ctx, in, awsx.DynamoOnce)
			if err != nil {
				yield("", s.noIndex("list owned", err))
				return
			}
			for _, item := range out.Items {
				if !yield(ownedOf(item).Key, nil) {
					return
				}
			}
			if len(out.LastEvaluatedKey) == 0 {
				return
			}
			in.ExclusiveStartKey = out.LastEvaluatedKey
		}
	}
}

// ListOwners scans the index, which has nothing but keys, and only of leases that have an owner. Errors: those of ListOwned.
func (s *Store) ListOwners(ctx context.Context) iter.Seq2[lease.Owned, error] {
	return func(yield func(lease.Owned, error) bool) {
		for items, err := range s.pages(ctx, &dynamodb.ScanInput{TableName: &s.cfg.Table, IndexName: aws.String(ownerIndex)}) {
			if err != nil {
				yield(lease.Owned{}, s.noIndex("list owners", err))
				return
			}
			for _, item := range items {
				if !yield(ownedOf(item), nil) {
					return
				}
			}
		}
	}
}

// ownedOf reads an item of the index: both are its keys, so both are there and are text.
func ownedOf(item map[string]types.AttributeValue) lease.Owned {
	r := &reader{item: item}
	return lease.Owned{Key: r.text(attrKey), Owner: r.text(attrOwner)}
}

// noIndex makes lease.ErrNoIndex of the answer that there is none, that it is still being filled, or that a policy allows the table and forgets the index.
func (s *Store) noIndex(op string, err error) error {
	if class := awsx.Classify(err); class == awsx.Invalid || class == awsx.Denied {
		err = fmt.Errorf("index %s: %w", ownerIndex, errors.Join(lease.ErrNoIndex, err))
	}
	return s.failed(op, "", err)
}
