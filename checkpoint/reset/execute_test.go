package reset_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/checkpoint/reset"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
)

// hooked is a store with something in the way of its writes.
type hooked struct {
	lease.Store
	before func(key string) error // before a Write or Create, whose answer is its error
	after  func(key string)
}

func (h hooked) Write(ctx context.Context, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
	if err := h.before(key); err != nil {
		return lease.Lease{}, err
	}
	l, err := h.Store.Write(ctx, key, when, set)
	if err == nil && h.after != nil {
		h.after(key)
	}
	return l, err
}

func (h hooked) Create(ctx context.Context, l lease.Lease) error {
	if err := h.before(l.Key); err != nil {
		return err
	}
	err := h.Store.Create(ctx, l)
	if err == nil && h.after != nil {
		h.after(l.Key)
	}
	return err
}

// grown is a world of 15 shards in four generations, each split in two, with a record in each. All is read, and the table is at rest.
func (w *world) grown() (begin time.Time) {
	w.t.Helper()
	begin = time.Now()
	for range 3 {
		w.putEverywhere()
		var next []string
		for _, id := range w.open {
			left, right := w.s.Split(streamName, id)
			next = append(next, left, right)
		}
		w.open = next
	}
	w.putEverywhere()
	w.run("before", 1)
	return begin
}

// putEverywhere stores a record of a key of its own in each open shard.
func (w *world) putEverywhere() {
	w.t.Helper()
	out, err := w.api.ListShards(w.t.Context(), &kinesis.ListShardsInput{StreamName: ptr(streamName)})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range out.Shards {
		if slices.Contains(w.open, *s.ShardId) {
			key := *s.ShardId + "/1"
			in := &kinesis.PutRecordInput{StreamName: ptr(streamName), PartitionKey: &key, Data: []byte(key), ExplicitHashKey: s.HashKeyRange.StartingHashKey}
			if _, err := w.api.PutRecord(w.t.Context(), in); err != nil {
				w.t.Fatal(err)
			}
			w.sent = append(w.sent, record{key, key, time.Now()})
			time.Sleep(time.Second)
		}
	}
}

func (w *world) plan(to reset.Target) *reset.Plan {
	w.t.Helper()
	plan, err := reset.Make(w.t.Context(), w.api, w.store, streamName, to)
	if err != nil {
		w.t.Fatal(err)
	}
	return plan
}

// failures lists the rows that were not written.
func failures(err error) map[string]error {
	found := make(map[string]error)
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return found
	}
	for _, err := range joined.Unwrap() {
		var failed *reset.FailedError
		if errors.As(err, &failed) {
			found[failed.Key] = failed.Err
		}
	}
	return found
}

func TestMakeWritesNothing(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 1, func(t *testing.T, w *world) {
		begin := w.grown()
		before := w.s.Items(tableName)
		writes := func() int { return w.s.Calls("UpdateItem") + w.s.Calls("PutItem") + w.s.Calls("DeleteItem") }
		calls := writes()
		for _, to := range []reset.Target{reset.Oldest(), reset.Now(), reset.Time(begin), reset.Exactly(nil)} {
			w.plan(to)
		}
		if writes() != calls || !reflect.DeepEqual(w.s.Items(tableName), before) {
			t.Error("it wrote")
		}
	})
}

// Wherever a reset is cut off, no shard has been told to start over while an ancestor stands where it stood.
func TestAResetThatIsCutOffLeavesNoShardAheadOfItsAncestors(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 1, func(t *testing.T, w *world) {
		begin := w.grown()
		for cut := range 15 {
			plan := w.plan(reset.Time(begin))
			if len(plan.Moves) != 15 {
				t.Fatalf("%d moves, want one for each of 15 shards", len(plan.Moves))
			}
			ctx, cancel := context.WithCancel(t.Context())
			written := map[string]bool{}
			s := hooked{w.store, func(string) error {
				if len(written) == cut {
					cancel()
					return context.Canceled
				}
				return nil
			}, func(key string) { written[key] = true }}
			report, err := plan.Execute(ctx, s, reset.ExecuteOptions{})
			if !errors.Is(err, context.Canceled) || report.Written != cut {
				t.Errorf("%+v, %v", report, err)
			}
			w.ancestorsFirst(plan, written)
			// The next attempt does the rest.
			report, err = plan.Execute(t.Context(), w.store, reset.ExecuteOptions{})
			if err != nil || report != (reset.Report{Written: 15 - cut, Unchanged: cut}) {
				t.Errorf("repeated: %+v, %v", report, err)
			}
			w.want("after", w.run("after", 1), w.since(begin))
		}
	})
}

func (w *world) ancestorsFirst(plan *reset.Plan, written map[string]bool) {
	w.t.Helper()
	rows := w.rows()
	for _, m := range plan.Moves {
		for _, parent := range rows[m.Key].Parents {
			if written[m.Key] && !written[parent] {
				w.t.Errorf("%s was written before its parent %s", m.Key, parent)
			}
		}
	}
}

func TestDescendantsOfARowThatCouldNotBeWrittenAreNotWritten(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 1, func(t *testing.T, w *world) {
		begin := w.grown()
		plan := w.plan(reset.Time(begin))
		broken := plan.Moves[1].Key // one of two children of the first shard
		fault := errors.New("out of order")
		written := map[string]bool{}
		s := hooked{w.store, func(key string) error {
			if key == broken {
				return fault
			}
			return nil
		}, func(key string) { written[key] = true }}
		report, err := plan.Execute(t.Context(), s, reset.ExecuteOptions{})
		failed := failures(err)
		if report != (reset.Report{Written: 8, Failed: 7}) || len(failed) != 7 {
			t.Errorf("%+v, %v", report, err)
		}
		for key, err := range failed {
			if key == broken != errors.Is(err, fault) || key == broken == errors.Is(err, reset.ErrAncestor) {
				t.Errorf("%s: %v", key, err)
			}
		}
		w.ancestorsFirst(plan, written)
	})
}

// Somebody writes the row between the look at it and its write.
func TestARowThatIsWrittenInBetweenIsNotOverwritten(t *testing.T) {
	t.Parallel()
	for _, live := range []bool{false, true} {
		bubble(t, 1, 1, func(t *testing.T, w *world) {
			begin := w.grown()
			plan := w.plan(reset.Time(begin))
			last := plan.Moves[len(plan.Moves)-1].Key
			worker, hits := "w9", 0
			touched := at(t, w.rows()[last].Checkpoint.Position.Sequence(), 500)
			s := hooked{w.store, func(key string) error {
				if key != last || hits > 0 {
					return nil
				}
				hits++
				row := w.rows()[key]
				_, err := w.store.Write(t.Context(), key, lease.Condition{Counter: &row.Counter}, lease.Change{
					AddCounter: 1, Owner: &worker, Checkpoint: &checkpoint.Checkpoint{Position: touched},
				})
				return err
			}, nil}
			report, err := plan.Execute(t.Context(), s, reset.ExecuteOptions{Live: live})
			row := w.rows()[last]
			if live {
				if err != nil || report.Written != 15 || row.Owner != "" || row.Checkpoint.Position != checkpoint.TrimHorizon {
					t.Errorf("live: %+v, %v, row %+v", report, err, row)
				}
				return
			}
			if failed := failures(err); len(failed) != 1 || !errors.Is(failed[last], reset.ErrChanged) || report != (reset.Report{Written: 14, Failed: 1}) {
				t.Errorf("%+v, %v", report, err)
			}
			if row.Owner != worker || row.Checkpoint.Position != touched {
				t.Errorf("the row was overwritten: %+v", row)
			}
		})
	}
}

func TestARowThatIsNotAsPlannedIsNotWritten(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 1, func(t *testing.T, w *world) {
		begin := w.grown()
		plan := w.plan(reset.Time(begin))
		moves := plan.Moves
		finished, deleted, taken := moves[len(moves)-1].Key, moves[len(moves)-2].Key, moves[len(moves)-3].Key
		change := func(key string, set lease.Change) {
			row := w.rows()[key]
			if _, err := w.store.Write(t.Context(), key, lease.Condition{Counter: &row.Counter}, set); err != nil {
				t.Fatal(err)
			}
		}
		change(finished, lease.Change{AddCounter: 1, Checkpoint: &checkpoint.Checkpoint{Position: checkpoint.ShardEnd}})
		change(taken, lease.Change{AddCounter: 1})
		counter := w.rows()[deleted].Counter
		if err := w.store.Delete(t.Context(), deleted, lease.Condition{Counter: &counter}); err != nil {
			t.Fatal(err)
		}
		report, err := plan.Execute(t.Context(), w.store, reset.ExecuteOptions{})
		failed := failures(err)
		if report != (reset.Report{Written: 12, Failed: 3}) {
			t.Errorf("%+v", report)
		}
		for _, key := range []string{finished, deleted, taken} {
			if !errors.Is(failed[key], reset.ErrChanged) {
				t.Errorf("%s: %v", key, failed[key])
			}
		}
		// Live does not mind a counter; that the shard was finished, it does.
		report, err = plan.Execute(t.Context(), w.store, reset.ExecuteOptions{Live: true})
		if failed := failures(err); report != (reset.Report{Written: 1, Unchanged: 12, Failed: 2}) || failed[taken] != nil {
			t.Errorf("live: %+v, %v", report, err)
		}
		if _, ok := w.rows()[deleted]; ok {
			t.Error("a deleted row came back")
		}
	})
}

// An answer that is lost is looked up, and a request that is applied late is refused.
func TestLostAnswersAreLookedUp(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]kinesistest.Fault{
		"reply lost": kinesistest.LoseReply(), "request lost": kinesistest.LoseRequest(), "throttled": kinesistest.Throttle(),
		"applied late": kinesistest.ApplyLate(10 * time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, 1, 1, func(t *testing.T, w *world) {
				begin := w.grown()
				plan := w.plan(reset.Time(begin))
				w.s.On("UpdateItem", fault).From("tool").Times(6).After(2)
				report, err := plan.Execute(t.Context(), w.store, reset.ExecuteOptions{})
				if err != nil || report.Written != 15 {
					t.Errorf("%+v, %v", report, err)
				}
				time.Sleep(time.Minute)
				w.want(name, w.run("after", 1), w.since(begin))
			})
		})
	}
}

func TestExecuteRefusesWhileOwnersAreAlive(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 2, func(t *testing.T, w *world) {
		begin := time.Now()
		w.put()
		f := w.start("alive", 1)
		time.Sleep(30 * time.Second)
		plan := w.plan(reset.Time(begin))
		owner := w.rows()[w.open[0]].Owner
		if !slices.ContainsFunc(plan.Warns, func(s string) bool { return strings.Contains(s, owner) }) {
			t.Errorf("no warning names %s: %q", owner, plan.Warns)
		}
		before := w.s.Calls("UpdateItem")
		var active *reset.ActiveError
		report, err := plan.Execute(t.Context(), w.store, reset.ExecuteOptions{})
		if !errors.As(err, &active) || !slices.Equal(active.Owners, []string{owner}) || report != (reset.Report{}) {
			t.Errorf("%+v, %v, want an *ActiveError of %s", report, err, owner)
		}
		if w.rows()[w.open[0]].Owner != owner {
			t.Errorf("it wrote, %d times", w.s.Calls("UpdateItem")-before)
		}
		// It dies, and leaves its name in the rows.
		cut := w.s.On("*", kinesistest.LoseRequest()).From("alive0")
		start := time.Now()
		plan = w.plan(reset.Time(begin))
		report, err = plan.Execute(t.Context(), w.store, reset.ExecuteOptions{})
		if err != nil || report.Written != 2 || time.Since(start) < 12*time.Second {
			t.Errorf("dead: %+v, %v, after %v", report, err, time.Since(start))
		}
		for key, row := range w.rows() {
			if row.Owner != "" {
				t.Errorf("%s still has owner %s", key, row.Owner)
			}
		}
		f.stop()
		cut.Remove()
		w.want("after", w.run("after", 1), w.since(begin))
	})
}

// The window is as long as the longest failover time that a row names.
func TestAnOwnerIsWatchedForAsLongAsItMayBeSilent(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 1, func(t *testing.T, w *world) {
		w.put()
		w.run("before", 1)
		row := w.rows()[w.open[0]]
		owner := "slow"
		set := lease.Change{AddCounter: 1, Owner: &owner, FailoverTime: 10 * time.Minute}
		if _, err := w.store.Write(t.Context(), row.Key, lease.Condition{Counter: &row.Counter}, set); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, report := w.reset(reset.Oldest(), reset.ExecuteOptions{}); report.Written != 1 || time.Since(start) < 12*time.Minute {
			t.Errorf("%+v after %v", report, time.Since(start))
		}
	})
}

// items reads the table with what a reset does not put back taken out.
func (w *world) items() map[string]map[string]types.AttributeValue {
	items := make(map[string]map[string]types.AttributeValue)
	for _, item := range w.s.Items(tableName) {
		key := item["leaseKey"].(*types.AttributeValueMemberS).Value
		for _, attribute := range []string{"leaseOwner", "leaseCounter", "checkpointOwner"} {
			delete(item, attribute)
		}
		items[key] = item
	}
	return items
}

func TestUndoPutsEveryAttributeBack(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 1, func(t *testing.T, w *world) {
		begin := w.grown()
		w.clean()
		// What a KCL application may have left: a prepared checkpoint with bytes, owner switches, an owner who is dead, attributes of somebody's own.
		db := dynamodb.NewFromConfig(w.s.Config("tool"))
		key := w.open[0]
		_, err := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: ptr(tableName), Key: map[string]types.AttributeValue{"leaseKey": &types.AttributeValueMemberS{Value: key}},
			UpdateExpression: ptr("SET pendingCheckpoint = :p, pendingCheckpointSubSequenceNumber = :s, pendingCheckpointState = :b, " +
				"ownerSwitchesSinceCheckpoint = :s, leaseOwner = :o, checkpointOwner = :o, mine = :o"),
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":p": &types.AttributeValueMemberS{Value: w.rows()[key].Checkpoint.Position.Sequence()}, ":s": &types.AttributeValueMemberN{Value: "7"},
				":b": &types.AttributeValueMemberB{Value: []byte{0, 255}}, ":o": &types.AttributeValueMemberS{Value: "java"},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		before := w.items()
		var backup bytes.Buffer
		plan, report := w.reset(reset.Time(begin), reset.ExecuteOptions{Backup: &backup})
		row := w.rows()[key]
		if row.Checkpoint.Position != checkpoint.TrimHorizon || row.Checkpoint.Pending != (checkpoint.Position{}) || row.CheckpointOwner != "" || row.OwnerSwitches != 0 {
			t.Errorf("row %+v", row)
		}
		if report.Written != len(plan.Moves) || strings.Count(backup.String(), "\n") != report.Written || reflect.DeepEqual(w.items(), before) {
			t.Fatalf("%+v, backup %s", report, backup.String())
		}
		text := backup.String()
		undone, err := reset.Undo(t.Context(), w.store, strings.NewReader(text))
		if err != nil || undone != report {
			t.Errorf("%+v, %v, want %+v", undone, err, report)
		}
		if after := w.items(); !reflect.DeepEqual(after, before) {
			for _, key := range slices.Sorted(maps.Keys(before)) {
				if !reflect.DeepEqual(after[key], before[key]) {
					t.Errorf("%s: %+v, want %+v", key, after[key], before[key])
				}
			}
			t.Errorf("%d rows, want %d", len(after), len(before))
		}
		undone, err = reset.Undo(t.Context(), w.store, strings.NewReader(text))
		if err != nil || undone != (reset.Report{Unchanged: report.Written}) {
			t.Errorf("repeated: %+v, %v", undone, err)
		}
		for _, m := range plan.Moves {
			if l := w.rows()[m.Key]; l.Owner != "" {
				t.Errorf("%s has owner %s", m.Key, l.Owner)
			}
		}
	})
}

func TestUndoLeavesARowAloneThatAWorkerHasTakenSince(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 2, func(t *testing.T, w *world) {
		begin := time.Now()
		for range 20 {
			w.put()
		}
		w.run("before", 1)
		before := w.rows()
		var backup bytes.Buffer
		w.reset(reset.Time(begin), reset.ExecuteOptions{Backup: &backup})
		taken, worker := w.rows()[w.open[0]], "w9"
		if _, err := w.store.Write(t.Context(), taken.Key, lease.Condition{Counter: &taken.Counter}, lease.Change{AddCounter: 1, Owner: &worker}); err != nil {
			t.Fatal(err)
		}
		report, err := reset.Undo(t.Context(), w.store, &backup)
		if failed := failures(err); report != (reset.Report{Written: 1, Failed: 1}) || !errors.Is(failed[taken.Key], reset.ErrChanged) {
			t.Errorf("%+v, %v", report, err)
		}
		rows := w.rows()
		if rows[taken.Key].Owner != worker || rows[taken.Key].Checkpoint.Position != taken.Checkpoint.Position {
			t.Errorf("the row was overwritten: %+v", rows[taken.Key])
		}
		if other := w.open[1]; rows[other].Checkpoint.Position != before[other].Checkpoint.Position {
			t.Errorf("row %+v, want %+v", rows[other], before[other])
		}
	})
}

func TestUndoReadsTheWholeBackupBeforeItWrites(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 2, func(t *testing.T, w *world) {
		w.put()
		w.run("before", 1)
		var backup bytes.Buffer
		w.reset(reset.Oldest(), reset.ExecuteOptions{Backup: &backup})
		good := backup.String()
		calls := w.s.Calls("*")
		for _, bad := range []string{"{\n", "7\n", `{"key":"a"}` + "\n", `{"key":"a","to":"x"}` + "\n", `{"to":"TRIM_HORIZON"}` + "\n", `{"kye":"a"}` + "\n"} {
			report, err := reset.Undo(t.Context(), w.store, strings.NewReader(good+bad))
			if !errors.Is(err, reset.ErrBackup) || !strings.Contains(err.Error(), fmt.Sprint("line ", 1+strings.Count(good, "\n"))) || report != (reset.Report{}) {
				t.Errorf("%q: %+v, %v", bad, report, err)
			}
		}
		if w.s.Calls("*") != calls {
			t.Error("it asked the table")
		}
		// A line that was cut off belongs to a write that was never made.
		report, err := reset.Undo(t.Context(), w.store, strings.NewReader(good+"\n"+good[:20]))
		if err != nil || report.Written != strings.Count(good, "\n") {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// full is a disk.
type full struct{ room int }

var errFull = errors.New("no space left")

func (f *full) Write(p []byte) (int, error) {
	if f.room--; f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestNoRowIsWrittenWithoutItsBackup(t *testing.T) {
	t.Parallel()
	bubble(t, 1, 1, func(t *testing.T, w *world) {
		begin := w.grown()
		plan := w.plan(reset.Time(begin))
		before := w.rows()
		report, err := plan.Execute(t.Context(), w.store, reset.ExecuteOptions{Backup: &full{room: 3}})
		if !errors.Is(err, errFull) || report != (reset.Report{Written: 3}) {
			t.Errorf("%+v, %v", report, err)
		}
		changed := 0
		for key, row := range w.rows() {
			if row.Counter != before[key].Counter {
				changed++
			}
		}
		if changed != 3 {
			t.Errorf("%d rows were written", changed)
		}
	})
}
