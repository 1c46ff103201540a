package kinesis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// subscribed makes a stream with one shard and a subscription to it from its start.
func subscribed(t *testing.T) (*Service, *Subscription) {
	t.Helper()
	s := New(Config{Account: Account, Region: Region, Limits: true})
	if err := s.Create(Spec{Name: "s", Shards: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Call(t.Context(), "RegisterStreamConsumer", fmt.Appendf(nil, `{"StreamARN":%q,"ConsumerName":"c"}`, s.arnOf("s"))); err != nil {
		t.Fatal(err)
	}
	sub, err := s.Subscribe(fmt.Appendf(nil, `{"ConsumerARN":%q,"ShardId":"shardId-000000000000","StartingPosition":{"Type":"TRIM_HORIZON"}}`,
		s.streams["s"].consumers[0].arn))
	if err != nil {
		t.Fatal(err)
	}
	return s, sub
}

// A shard that nobody writes to must not gather those who have waited for it.
func TestAWaitLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, sub := subscribed(t)
		frames := 0
		for {
			_, err := sub.Next(t.Context(), nil)
			if errors.Is(err, io.EOF) {
				break
			}
			if frames++; err != nil || len(sub.shard.waiting) != 0 || sub.wake != nil {
				t.Fatalf("frame %d: %v; %d wait", frames, err, len(sub.shard.waiting))
			}
		}
		if frames < 60 || sub.feed.current != nil {
			t.Errorf("%d frames; the feed still has %p", frames, sub.feed.current)
		}
		if _, err := sub.Next(t.Context(), nil); !errors.Is(err, io.EOF) {
			t.Errorf("behind the end: %v", err)
		}
		if s.streams["s"].byID["shardId-000000000000"] != sub.shard {
			t.Error("the subscription is to another shard")
		}
	})
}

func TestANextThatIsGivenUpLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, sub := subscribed(t)
		for range 2 { // the initial response, and an event without records
			if _, err := sub.Next(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := sub.Next(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		closing := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(closing) })
		if _, err := sub.Next(t.Context(), closing); !errors.Is(err, ErrClosing) || len(sub.shard.waiting) != 0 {
			t.Error(err)
		}
		if _, err := s.Call(t.Context(), "PutRecord", []byte(`{"StreamName":"s","PartitionKey":"k","Data":"eA=="}`)); err != nil {
			t.Fatal(err)
		}
		if _, err := sub.Next(t.Context(), nil); err != nil || sub.next != 1 {
			t.Errorf("%v; %d records sent", err, sub.next)
		}
	})
}

func TestMalformedPositionsAreRefusedInWords(t *testing.T) {
	t.Parallel()
	s, sub := subscribed(t)
	sub.feed.last = time.Time{} // so that nothing else is against it
	for position, code := range map[string]string{
		`null`:                             "ValidationException",
		`[]`:                               "SerializationException",
		`{}`:                               "ValidationException",
		`{"Type":5}`:                       "SerializationException",
		`{"Type":"latest"}`:                "ValidationException",
		`{"Type":"AT_SEQUENCE_NUMBER"}`:    "InvalidArgumentException",
		`{"Type":"AT_TIMESTAMP"}`:          "InvalidArgumentException",
		`{"Type":"LATEST","Timestamp":[]}`: "SerializationException",
		`{"Type":"AT_TIMESTAMP","Timestamp":1e300}`:                  "InvalidArgumentException",
		`{"Type":"AT_TIMESTAMP","Timestamp":1e400}`:                  "SerializationException",
		`{"Type":"AT_SEQUENCE_NUMBER","SequenceNumber":"1"}`:         "InvalidArgumentException",
		`{"Type":"AFTER_SEQUENCE_NUMBER","SequenceNumber":"LATEST"}`: "InvalidArgumentException",
	} {
		sub.feed.calls = bucket{}
		_, err := s.Subscribe(fmt.Appendf(nil, `{"ConsumerARN":%q,"ShardId":"shardId-000000000000","StartingPosition":%s}`,
			s.streams["s"].consumers[0].arn, position))
		if err == nil || err.Code != code {
			t.Errorf("%s: %v, want %s", position, err, code)
		}
	}
}

// A number between two records stands for the place between them, whichever of the two types it is given back with.
func TestAContinuationNumberIsAPlaceBetweenRecords(t *testing.T) {
	t.Parallel()
	s := newSequence(7)
	const n = 10
	last := ""
	for next := range uint64(n + 1) {
		for _, step := range []uint64{1, 2, stride - 1} {
			number := s.between(next, step)
			at, after, ok := s.place(number, n)
			if !ok || at != next || after != next || s.stepOf(number) != step || number <= last {
				t.Errorf("%d+%d: at %d, after %d, step %d, %v", next, step, at, after, s.stepOf(number), ok)
			}
			last = number
		}
		if next > 0 && s.between(next, 0) != string(s.appendNumber(nil, next-1)) {
			t.Errorf("with no step behind record %d it is not its number", next-1)
		}
	}
}
