package reset_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/checkpoint/reset"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
)

// bytes puts data under a key and returns the sequence number.
func (w *world) bytes(key string, data []byte) string {
	w.t.Helper()
	out, err := w.api.PutRecord(w.t.Context(), &kinesis.PutRecordInput{StreamName: ptr(streamName), PartitionKey: &key, Data: data})
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.SequenceNumber
}

// only is the move of a plan that has one.
func only(t *testing.T, plan *reset.Plan) reset.Move {
	t.Helper()
	if len(plan.Moves) != 1 {
		t.Fatalf("moves %+v, want one", plan.Moves)
	}
	return plan.Moves[0]
}

func TestATimeIsFoundToTheMillisecond(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 1, func(t *testing.T, w *world) {
		var numbers []string
		var times []time.Time
		for range 5 {
			numbers, times = append(numbers, w.bytes("k", []byte("x"))), append(times, time.Now())
			time.Sleep(time.Millisecond)
		}
		for i, number := range numbers {
			for _, to := range []time.Time{times[i], times[i].Add(-time.Nanosecond), times[i].Add(-time.Millisecond + time.Nanosecond)} {
				m := only(t, w.plan(reset.Time(to)))
				if m.To != at(t, number, -1) || !m.Arrival.Equal(times[i]) || !m.Create {
					t.Errorf("%v: %+v, want record %d", to, m, i)
				}
			}
		}
	})
}

func TestBehindTheLastRecordIsBehindTheWholeOfIt(t *testing.T) {
	t.Parallel()
	var b aggregation.Builder
	for i := range 5 {
		b.Add(aggregation.Record{PartitionKey: fmt.Sprint(i), Data: []byte("x")})
	}
	for name, c := range map[string]struct {
		data []byte
		last int64
	}{"plain": {[]byte("x"), 0}, "aggregate": {b.AppendTo(nil), 4}} {
		bubble(t, 1, 1, func(t *testing.T, w *world) {
			first := w.bytes("k", []byte("x"))
			number := w.bytes("k", c.data)
			for _, quiet := range []time.Duration{time.Second, 30 * time.Second, 20 * time.Minute, 20 * time.Hour} {
				time.Sleep(quiet)
				m := only(t, w.plan(reset.Time(time.Now())))
				if m.To != at(t, number, c.last) || !m.Arrival.IsZero() {
					t.Errorf("%s: after %v: %+v, want behind %s, not %s", name, quiet, m, number, first)
				}
			}
		})
	}
}

func TestAShardWithoutARecordIsReadFromItsBeginning(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 1, func(t *testing.T, w *world) {
		if m := only(t, w.plan(reset.Now())); m.To != checkpoint.TrimHorizon {
			t.Errorf("%+v", m)
		}
		time.Sleep(time.Minute)
		left, right := w.s.Split(streamName, w.open[0])
		time.Sleep(time.Minute)
		// A child is not set to TRIM_HORIZON: that would make workers look for its parent, and read it.
		plan := w.plan(reset.Now())
		if len(plan.Moves) != 2 || plan.Moves[0].Shard != left || plan.Moves[1].Shard != right {
			t.Fatalf("%+v", plan.Moves)
		}
		for _, m := range plan.Moves {
			if m.To != at(t, w.first(m.Shard), -1) {
				t.Errorf("%+v, want its starting sequence number", m)
			}
		}
	})
}

// first is a shard's starting sequence number.
func (w *world) first(id string) string {
	w.t.Helper()
	out, err := w.api.ListShards(w.t.Context(), &kinesis.ListShardsInput{StreamName: ptr(streamName)})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range out.Shards {
		if *s.ShardId == id {
			return *s.SequenceNumberRange.StartingSequenceNumber
		}
	}
	w.t.Fatalf("no shard %s", id)
	return ""
}

// A child alone, whose parent is finished and whose parent's row was cleaned up.
func TestAChildAloneIsReadAgainWithoutItsParent(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 1, func(t *testing.T, w *world) {
		w.putEverywhere()
		left, right := w.s.Split(streamName, w.open[0])
		w.open = []string{left, right}
		w.putEverywhere()
		w.run("before", 1)
		parent := w.rows()["shardId-000000000000"]
		if err := w.store.Delete(t.Context(), parent.Key, lease.Condition{Counter: &parent.Counter}); err != nil {
			t.Fatal(err)
		}
		plan, _ := w.reset(reset.Exactly(map[string]checkpoint.Position{right: checkpoint.TrimHorizon}), reset.ExecuteOptions{})
		if m := only(t, plan); m.To != at(t, w.first(right), -1) {
			t.Errorf("%+v", m)
		}
		w.want("after", w.run("after", 1), []string{right + "/1"})
	})
}

// The child of a merge starts over since something is left of one parent. Nothing is left of the other, whose row was cleaned up: without a row that says so
// the child's owner would take it for lost, make it again, and replay it.
func TestAFinishedParentOfAShardThatStartsOverIsNotReplayed(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 2, func(t *testing.T, w *world) {
		s0, s1 := w.open[0], w.open[1]
		w.putEverywhere() // the second shard's record is the later one
		to := w.sent[1].at
		w.open = []string{w.s.Merge(streamName, s0, s1)}
		w.putEverywhere()
		w.run("before", 1)
		for _, id := range []string{s0, s1} {
			counter := w.rows()[id].Counter
			if err := w.store.Delete(t.Context(), id, lease.Condition{Counter: &counter}); err != nil {
				t.Fatal(err)
			}
		}
		w.reset(reset.Time(to), reset.ExecuteOptions{})
		if row := w.rows()[s0]; !row.Ended() || !slices.Equal(row.Children, w.open) {
			t.Errorf("row %+v", row)
		}
		w.want("after", w.run("after", 1), w.since(to))
	})
}

func TestATimeOutOfReachIsTheOldestRecordAndAWarning(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 1, func(t *testing.T, w *world) {
		begin := time.Now()
		w.bytes("k", []byte("old"))
		reach := func(s string) bool { return strings.Contains(s, "out of reach") }
		if plan := w.plan(reset.Time(begin.Add(-time.Hour))); slices.ContainsFunc(plan.Warns, reach) {
			t.Errorf("before the stream: warnings %q", plan.Warns)
		}
		time.Sleep(23 * time.Hour)
		kept := w.bytes("k", []byte("kept"))
		time.Sleep(2 * time.Hour)
		plan := w.plan(reset.Time(begin))
		if m := only(t, plan); m.To != at(t, kept, -1) {
			t.Errorf("%+v, want before %s", m, kept)
		}
		if !reach(plan.Warns[0]) || !strings.Contains(plan.Warns[0], "the 1h0m0s before") {
			t.Errorf("warnings %q", plan.Warns)
		}
		if plan := w.plan(reset.Time(time.Now().Add(-2 * time.Hour))); slices.ContainsFunc(plan.Warns, reach) {
			t.Errorf("warnings %q", plan.Warns)
		}
	})
}

func TestTargetsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 2, func(t *testing.T, w *world) {
		s0, s1 := w.open[0], w.open[1]
		w.putEverywhere()
		left, right := w.s.Split(streamName, s0)
		w.open = []string{left, right, s1}
		w.putEverywhere()
		w.run("before", 1)
		rows := w.rows()
		place := func(id string) checkpoint.Position { return rows[id].Checkpoint.Position }
		type positions = map[string]checkpoint.Position
		for name, c := range map[string]struct {
			to    reset.Target
			shard string
		}{
			"none":                        {reset.Target{}, ""},
			"future":                      {reset.Time(time.Now().Add(time.Minute)), ""},
			"no such shard":               {reset.Exactly(positions{"shardId-000000000099": checkpoint.TrimHorizon}), "shardId-000000000099"},
			"the tip":                     {reset.Exactly(positions{s1: checkpoint.Latest}), s1},
			"a time that nobody knows":    {reset.Exactly(positions{s1: checkpoint.AtTimestamp}), s1},
			"no position":                 {reset.Exactly(positions{s1: {}}), s1},
			"the end of an open shard":    {reset.Exactly(positions{s1: checkpoint.ShardEnd}), s1},
			"an earlier number":           {reset.Exactly(positions{left: place(s1)}), left},
			"a number behind the end":     {reset.Exactly(positions{s0: place(left)}), s0},
			"before its parent":           {reset.Exactly(positions{s0: checkpoint.TrimHorizon, left: place(left)}), left},
			"finished before its parent":  {reset.Exactly(positions{s0: at(t, w.first(s0), -1), right: place(right)}), right},
			"inclusive before its parent": {reset.Exactly(positions{s0: at(t, w.first(s0), -1), left: at(t, w.first(left), -1)}), left},
		} {
			_, err := reset.Make(t.Context(), w.api, w.store, streamName, c.to)
			var refused *reset.TargetError
			if !errors.As(err, &refused) || refused.Shard != c.shard {
				t.Errorf("%s: %v, want a *TargetError about %q", name, err, c.shard)
			}
		}
	})
}

func TestExactlyMovesWhatIsNamedAndItsDescendants(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 2, func(t *testing.T, w *world) {
		s0, s1 := w.open[0], w.open[1]
		w.putEverywhere()
		left, right := w.s.Split(streamName, s0)
		child := w.s.Merge(streamName, right, s1)
		w.open = []string{left, child}
		w.putEverywhere()
		w.run("before", 1)
		before := w.rows()
		number := before[left].Checkpoint.Position
		plan, _ := w.reset(reset.Exactly(map[string]checkpoint.Position{s1: at(t, w.first(s1), -1), left: at(t, number.Sequence(), -1)}), reset.ExecuteOptions{})
		got := make(map[string]checkpoint.Position)
		for _, m := range plan.Moves {
			got[m.Shard] = m.To
		}
		want := map[string]checkpoint.Position{
			s1: at(t, w.first(s1), -1), left: at(t, number.Sequence(), -1), child: checkpoint.TrimHorizon,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("moves %v, want %v", got, want)
		}
		w.want("after", w.run("after", 1), []string{s1 + "/1", left + "/1", child + "/1"})
		// What a table says can be put into an empty one.
		saved := make(map[string]checkpoint.Position)
		for id, row := range before {
			saved[id] = row.Checkpoint.Position
		}
		for _, row := range w.rows() {
			if err := w.store.Delete(t.Context(), row.Key, lease.Condition{Counter: &row.Counter}); err != nil {
				t.Fatal(err)
			}
		}
		w.reset(reset.Exactly(saved), reset.ExecuteOptions{})
		for id, row := range w.rows() {
			if b := before[id]; row.Checkpoint.Position != b.Checkpoint.Position || !slices.Equal(row.Children, b.Children) || !slices.Equal(row.Parents, b.Parents) ||
				row.HashRange != b.HashRange || row.Stream != b.Stream || row.Counter < b.Counter {
				t.Errorf("row %+v, want %+v", row, b)
			}
		}
		if n := len(w.rows()); n != len(before) {
			t.Errorf("%d rows, want %d", n, len(before))
		}
		w.want("restored", w.run("restored", 1), nil)
	})
}

func TestAnAncestorThatIsSkippedIsWarnedOfAndKnowsItsChildren(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 1, func(t *testing.T, w *world) {
		s0 := w.open[0]
		w.putEverywhere()
		w.reset(reset.Oldest(), reset.ExecuteOptions{}) // its row, and nobody has read it
		left, right := w.s.Split(streamName, s0)
		w.open = []string{left, right}
		time.Sleep(time.Minute)
		to := time.Now()
		w.putEverywhere()
		plan, _ := w.reset(reset.Time(to), reset.ExecuteOptions{})
		if !slices.ContainsFunc(plan.Warns, func(s string) bool { return strings.Contains(s, s0) && strings.Contains(s, "skipped") }) {
			t.Errorf("warnings %q", plan.Warns)
		}
		if row := w.rows()[s0]; !row.Ended() || !slices.Equal(row.Children, w.open) {
			t.Errorf("row %+v", row)
		}
		w.want("after", w.run("after", 1), w.since(to))
	})
}

// raw changes a row past the rules.
func (w *world) raw(key, set string, values map[string]types.AttributeValue) {
	w.t.Helper()
	_, err := dynamodb.NewFromConfig(w.s.Config("tool")).UpdateItem(w.t.Context(), &dynamodb.UpdateItemInput{
		TableName: ptr(tableName), Key: map[string]types.AttributeValue{"leaseKey": &types.AttributeValueMemberS{Value: key}},
		UpdateExpression: &set, ExpressionAttributeValues: values,
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func TestRowsThatAreNoLeasesAreNeverTouched(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 1, func(t *testing.T, w *world) {
		w.put()
		w.run("before", 1)
		values := map[string]types.AttributeValue{":x": text("WORKER_METRIC_STATS")}
		w.raw("worker-1", "SET entityType = :x", values)
		w.raw("half a row", "SET leaseOwner = :x", values)
		plan, report := w.reset(reset.Oldest(), reset.ExecuteOptions{})
		if only(t, plan).Key != w.open[0] || report.Written != 1 {
			t.Errorf("%+v, %+v", plan, report)
		}
		if len(plan.Warns) != 1 || !strings.Contains(plan.Warns[0], "half a row") {
			t.Errorf("warnings %q", plan.Warns)
		}
		for _, item := range w.s.Items(tableName) {
			if key := item["leaseKey"].(*types.AttributeValueMemberS).Value; key != w.open[0] && len(item) != 2 {
				t.Errorf("row %q: %v", key, item)
			}
		}
	})
}

func TestATableOfAnotherApplicationIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key, set string
		want     func(error) bool
	}{
		"a broken row in the way": {"shardId-000000000000", "REMOVE leaseCounter", func(err error) bool {
			var row *lease.RowError
			return errors.As(err, &row) && row.Key == "shardId-000000000000"
		}},
		"several streams": {"1:orders:1:shardId-000000000000", "SET leaseCounter = leaseCounter, streamName = :x, shardId = :x", func(err error) bool {
			var row *lease.RowError
			return errors.As(err, &row) && row.Attribute == "streamName"
		}},
		"another stream": {"shardId-000000000000", "SET kkStream = :x", func(err error) bool {
			var stream *lease.StreamError
			return errors.As(err, &stream) && stream.Stored == "7" && stream.Stream == streamName
		}},
		"an earlier stream of that name": {"shardId-000000000000", "SET kkFirst = :x", func(err error) bool {
			var identity *lease.IdentityError
			return errors.As(err, &identity) && identity.Key == "shardId-000000000000"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, 1, 1, func(t *testing.T, w *world) {
				w.reset(reset.Oldest(), reset.ExecuteOptions{})
				values := map[string]types.AttributeValue{":x": text("7")}
				if strings.HasPrefix(c.set, "REMOVE") {
					values = nil
				}
				if strings.HasPrefix(c.key, "1:") {
					w.raw(c.key, "SET leaseCounter = :n", map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: "1"}})
				}
				w.raw(c.key, c.set, values)
				if _, err := reset.Make(t.Context(), w.api, w.store, streamName, reset.Oldest()); !c.want(err) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestAPlanDependsOnStreamAndTableAlone(t *testing.T) {
	t.Parallel()
	bubble(t, 7, 3, func(t *testing.T, w *world) {
		begin := time.Now()
		w.history()
		to := begin.Add(time.Since(begin) / 2)
		first := w.plan(reset.Time(to))
		for range 5 {
			if again := w.plan(reset.Time(to)); !reflect.DeepEqual(again.Moves, first.Moves) || !slices.Equal(again.Warns, first.Warns) {
				t.Fatalf("%+v, then %+v", first, again)
			}
		}
		arn := "arn:aws:kinesis:us-east-1:000000000000:stream/" + streamName
		again, err := reset.Make(t.Context(), w.api, w.store, arn, reset.Time(to))
		if err != nil || again.Stream != streamName || !reflect.DeepEqual(again.Moves, first.Moves) {
			t.Errorf("by ARN: %+v, %v", again, err)
		}
	})
}

func TestMakeWaitsThrottlesOutAndReportsWhatLasts(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 2, func(t *testing.T, w *world) {
		w.put()
		want := w.plan(reset.Oldest())
		var rules []*kinesistest.Rule
		for _, op := range []string{"Scan", "ListShards", "DescribeStreamSummary", "GetShardIterator", "GetRecords"} {
			rules = append(rules, w.s.On(op, kinesistest.Throttle()).From("tool").Times(4), w.s.On(op, kinesistest.LoseReply()).From("tool").After(4).Times(1))
		}
		if got := w.plan(reset.Oldest()); !reflect.DeepEqual(got.Warns, want.Warns) || len(got.Moves) != len(want.Moves) {
			t.Errorf("%+v, want %+v", got, want)
		}
		for _, rule := range rules {
			rule.Remove()
		}
		denied := w.s.On("GetRecords", kinesistest.Exception("AccessDeniedException", "no")).From("tool")
		if _, err := reset.Make(t.Context(), w.api, w.store, streamName, reset.Oldest()); err == nil || !strings.Contains(err.Error(), "AccessDenied") || denied.Hits() > 2 {
			t.Errorf("%v, after %d calls", err, denied.Hits())
		}
	})
}

// holeIn takes a shard out of a listing.
func holeIn(id string) func(context.Context, *kinesistest.Request, func() kinesistest.Reply) kinesistest.Reply {
	return func(_ context.Context, _ *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
		r := next()
		var body struct{ Shards []map[string]any }
		_ = json.Unmarshal(r.Body, &body)
		body.Shards = slices.DeleteFunc(body.Shards, func(s map[string]any) bool { return s["ShardId"] == id })
		r.Body, _ = json.Marshal(body)
		return r
	}
}

func TestAListingWithAHoleDecidesNothing(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 2, func(t *testing.T, w *world) {
		hole := kinesistest.Do(holeIn("shardId-000000000001"))
		rule := w.s.On("ListShards", hole).From("tool").Times(2)
		w.plan(reset.Oldest())
		if rule.Hits() != 2 {
			t.Errorf("%d listings had a hole", rule.Hits())
		}
		w.s.On("ListShards", hole).From("tool")
		if _, err := reset.Make(t.Context(), w.api, w.store, streamName, reset.Oldest()); !errors.Is(err, reset.ErrIncomplete) {
			t.Errorf("%v", err)
		}
	})
}
