package fetch

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Page is what one GetRecords answered, or one event of a subscription.
type Page struct {
	Records []Record
	Bytes   int           // of data and partition keys
	Behind  time.Duration // of the page's end, behind the tip of the shard
	At      time.Time     // the service's clock; zero if the answer did not show it

	// Trimmed is set on the first page that can tell: the shard was to be continued at a record that is not there any more, so whatever stood
	// between that record and this page has aged out of retention, too.
	Trimmed bool

	// Closed says that no iterator, or continuation, follows. That alone is not the end of the shard: Children, or a listing, has to confirm it. If
	// nothing does, the next call of Next asks for a new iterator, or subscription, and goes on.
	Closed   bool
	Children []shard.Shard // as the answer names them, on a closed page
}

// Record is one record as Kinesis has it, an aggregate or not.
type Record struct {
	Position     checkpoint.Position // sub-sequence number 0
	PartitionKey string
	Data         []byte
	Arrival      time.Time
	Encrypted    bool
}

// page reads an answer. It fails if the answer has a sequence number that is none: a position made of it could never be stored.
func page(out *kinesis.GetRecordsOutput) (*Page, error) {
	p, err := newPage(out.Records, out.MillisBehindLatest)
	if err != nil {
		return nil, err
	}
	p.At, _ = awsx.ServerTime(out.ResultMetadata)
	p.closes(text(out.NextShardIterator), out.ChildShards)
	return p, nil
}

// eventPage is page for an event of a subscription.
func eventPage(e *types.SubscribeToShardEvent) (*Page, error) {
	p, err := newPage(e.Records, e.MillisBehindLatest)
	if err != nil {
		return nil, err
	}
	p.closes(text(e.ContinuationSequenceNumber), e.ChildShards)
	return p, nil
}

func newPage(records []types.Record, behind *int64) (*Page, error) {
	p := &Page{Records: make([]Record, len(records))}
	for i := range records {
		r, err := record(&records[i])
		if err != nil {
			return nil, err
		}
		p.Bytes += len(r.Data) + len(r.PartitionKey)
		p.Records[i] = r
	}
	if behind != nil {
		p.Behind = time.Duration(max(0, *behind)) * time.Millisecond
	}
	return p, nil
}

// closes looks at what follows the page. Children are believed only where nothing else does.
func (p *Page) closes(next string, children []types.ChildShard) {
	if next != "" {
		return
	}
	p.Closed = true
	for _, c := range children {
		p.Children = append(p.Children, child(c))
	}
}

func record(r *types.Record) (Record, error) {
	at, err := checkpoint.At(text(r.SequenceNumber), 0)
	if err != nil {
		return Record{}, err
	}
	out := Record{
		Position:     at,
		PartitionKey: text(r.PartitionKey),
		Data:         r.Data,
		Encrypted:    r.EncryptionType == types.EncryptionTypeKms,
	}
	if r.ApproximateArrivalTimestamp != nil {
		out.Arrival = *r.ApproximateArrivalTimestamp
	}
	return out, nil
}

// child is a child shard as GetRecords names it.
func child(c types.ChildShard) shard.Shard {
	return shard.Shard{ID: text(c.ShardId), Parents: c.ParentShards, Range: hashRange(c.HashKeyRange)}
}

// Listed is a shard as ListShards names it.
func Listed(s types.Shard) shard.Shard {
	out := shard.Shard{ID: text(s.ShardId), Range: hashRange(s.HashKeyRange)}
	for _, parent := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
		if text(parent) != "" {
			out.Parents = append(out.Parents, *parent)
		}
	}
	if s.SequenceNumberRange != nil {
		out.First, out.Last = text(s.SequenceNumberRange.StartingSequenceNumber), text(s.SequenceNumberRange.EndingSequenceNumber)
	}
	return out
}

// hashRange is a hash-key range as the service writes it; one that cannot be read is unknown.
func hashRange(r *types.HashKeyRange) shard.HashRange {
	if r == nil {
		return shard.HashRange{}
	}
	known, err := shard.ParseHashRange(text(r.StartingHashKey), text(r.EndingHashKey))
	if err != nil {
		return shard.HashRange{}
	}
	return known
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
