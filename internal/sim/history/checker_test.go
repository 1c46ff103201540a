package history_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/internal/sim/history"
	"github.com/kinesiskit/kinesiskit/shard"
)

func pos(n int) checkpoint.Position {
	p, err := checkpoint.At(strconv.Itoa(n), 0)
	if err != nil {
		panic(err)
	}
	return p
}

var ring = shard.HashRange{End: shard.MaxHashKey}

func cp(id, key, shardID string, n int) history.Copy {
	return history.Copy{ID: id, Key: key, Shard: shardID, Position: pos(n), Hash: shard.HashOf(key)}
}

func row(key string, counter int64, p checkpoint.Position) history.Row {
	return history.Row{Key: key, Owner: "w", Counter: counter, Checkpoint: p}
}

// stream is two records of one key on s, which c continues; a was put and acknowledged, b as well.
func stream() *history.Checker {
	c := history.New()
	c.Shard(shard.Shard{ID: "s", Range: ring})
	c.Shard(shard.Shard{ID: "c", Parents: []string{"s"}, Range: ring})
	for n, id := range []string{"a", "b"} {
		at := cp(id, "k", "s", n+1)
		c.Accepted(id, "k")
		c.Stored(at)
		c.Settled(id, &at)
	}
	return c
}

func handle(c *history.Checker, tenure, shardID string, n int, id string) {
	c.Delivered(tenure, shardID, pos(n), id)
	c.Handled(tenure, shardID, pos(n))
}

// A history in which everything is as it should be, faults included: a tenure that is lost, what it had not stored once more, a child after its parent.
func TestARightHistoryIsAccepted(t *testing.T) {
	c := stream()
	c.Committed(row("s", 1, checkpoint.TrimHorizon))
	c.Began("w1/1", "s", checkpoint.TrimHorizon)
	handle(c, "w1/1", "s", 1, "a")
	c.Committed(row("s", 2, pos(1)))
	c.Acknowledged("s", pos(1))
	handle(c, "w1/1", "s", 2, "b")
	c.Began("w2/3", "s", pos(1))
	handle(c, "w2/3", "s", 2, "b")
	c.Committed(row("c", 1, checkpoint.TrimHorizon))
	c.Committed(row("s", 4, checkpoint.ShardEnd))
	c.Stored(cp("b", "k", "c", 3)) // sent once more
	c.Began("w2/1", "c", checkpoint.TrimHorizon)
	handle(c, "w2/1", "c", 3, "b")
	c.Deleted("s")
	c.Over()
	if wrong := c.Wrong(); len(wrong) > 0 {
		t.Errorf("%q", wrong)
	}
	if stored, handled := c.Counts(); stored != 3 || handled != 3 {
		t.Errorf("%d stored, %d handled", stored, handled)
	}
}

// Every rule refuses a history that breaks it and nothing else.
func TestEveryRuleRefusesWhatBreaksIt(t *testing.T) {
	for name, broken := range map[string]struct {
		rule string
		do   func(c *history.Checker)
	}{
		"a position is stored before its record is handled": {"C1", func(c *history.Checker) {
			c.Delivered("w/1", "s", pos(1), "a")
			c.Committed(row("s", 2, pos(1)))
		}},
		"a shard is finished with its last record undone": {"C1", func(c *history.Checker) {
			handle(c, "w/1", "s", 1, "a")
			c.Committed(row("s", 2, checkpoint.ShardEnd))
		}},
		"a position moves back": {"C2", func(c *history.Checker) {
			handle(c, "w/1", "s", 1, "a")
			handle(c, "w/1", "s", 2, "b")
			c.Committed(row("s", 2, pos(2)))
			c.Committed(row("s", 3, pos(1)))
		}},
		"a finished shard is begun again": {"C2", func(c *history.Checker) {
			handle(c, "w/1", "s", 1, "a")
			handle(c, "w/1", "s", 2, "b")
			c.Committed(row("s", 2, checkpoint.ShardEnd))
			c.Committed(row("s", 3, checkpoint.TrimHorizon))
		}},
		"a child is begun before its parent is finished": {"C3", func(c *history.Checker) {
			handle(c, "w/1", "s", 1, "a")
			handle(c, "w/1", "s", 2, "b")
			c.Stored(cp("d", "k", "c", 3))
			c.Delivered("w/1", "c", pos(3), "d")
		}},
		"a row is deleted before its child has one": {"C3b", func(c *history.Checker) {
			handle(c, "w/1", "s", 1, "a")
			handle(c, "w/1", "s", 2, "b")
			c.Committed(row("s", 2, checkpoint.ShardEnd))
			c.Deleted("s")
		}},
		"a row is deleted that is not finished": {"C3b", func(c *history.Checker) {
			c.Committed(row("c", 1, checkpoint.TrimHorizon))
			c.Committed(row("s", 1, checkpoint.TrimHorizon))
			c.Deleted("s")
		}},
		"a counter moves back": {"C5", func(c *history.Checker) {
			c.Committed(row("s", 2, checkpoint.TrimHorizon))
			c.Committed(row("s", 1, checkpoint.TrimHorizon))
		}},
		"code is called for a tenure whose successor was called for": {"C4", func(c *history.Checker) {
			c.Admitted("w1/5", "s", 5)
			c.Admitted("w2/7", "s", 7)
			c.Admitted("w2/7", "s", 7)
			c.Admitted("w1/5", "s", 5)
		}},
		"a row of a shard that there is not": {"C5", func(c *history.Checker) { c.Committed(row("x", 1, checkpoint.TrimHorizon)) }},
		"a checkpoint is acknowledged and not stored": {"C6", func(c *history.Checker) {
			c.Committed(row("s", 1, checkpoint.TrimHorizon))
			c.Acknowledged("s", pos(1))
		}},
		"a tenure goes back": {"C7", func(c *history.Checker) {
			handle(c, "w/1", "s", 1, "a")
			handle(c, "w/1", "s", 2, "b")
			c.Delivered("w/1", "s", pos(1), "a")
		}},
		"a tenure delivers what was done when it began": {"C7", func(c *history.Checker) {
			c.Began("w/2", "s", pos(1))
			c.Delivered("w/2", "s", pos(1), "a")
		}},
		"a record is handed over under another's position": {"C7", func(c *history.Checker) { c.Delivered("w/1", "s", pos(1), "b") }},
		"a record is skipped":                              {"C7", func(c *history.Checker) { handle(c, "w/1", "s", 2, "b") }},
		"an acknowledged record is not where it is said to be": {"P1", func(c *history.Checker) {
			at := cp("e", "k", "s", 9)
			c.Accepted("e", "k")
			c.Settled("e", &at)
		}},
		"a record is settled twice": {"P2", func(c *history.Checker) {
			at := cp("a", "k", "s", 1)
			c.Settled("a", &at)
		}},
		"a record is settled that nobody put":      {"P2", func(c *history.Checker) { c.Settled("x", nil) }},
		"a record is accepted twice":               {"P2", func(c *history.Checker) { c.Accepted("a", "k") }},
		"the service puts a record before another": {"truth", func(c *history.Checker) { c.Stored(cp("z", "k", "s", 1)) }},
		"a record of a shard that there is not":    {"truth", func(c *history.Checker) { c.Stored(cp("z", "k", "x", 1)) }},
		"a delivery of a shard that there is not":  {"truth", func(c *history.Checker) { c.Delivered("w/1", "x", pos(1), "a") }},
	} {
		t.Run(name, func(t *testing.T) {
			c := stream()
			broken.do(c)
			wrong := c.Wrong()
			if len(wrong) != 1 || !strings.HasPrefix(wrong[0], broken.rule+": ") {
				t.Errorf("%q, want one violation of %s", wrong, broken.rule)
			}
		})
	}
}

func TestAtTheEndEverythingIsSettledAndHandled(t *testing.T) {
	c := stream()
	handle(c, "w/1", "s", 1, "a")
	c.Accepted("open", "k")
	c.Over()
	want := []string{"P2: open was never settled", "C10: b is acknowledged and was never handled", "C10: s: b at 2 was never handled"}
	got := c.Wrong()
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
}

// A copy on a shard whose range does not have it, as a stale aggregate leaves it, is nobody's to handle there.
func TestACopyOutsideItsShardsRangeIsNotItsShards(t *testing.T) {
	c := history.New()
	lower := shard.HashRange{End: shard.HashKey{Lo: 1}}
	c.Shard(shard.Shard{ID: "s", Range: lower})
	c.Stored(cp("a", "k", "s", 1))
	c.Committed(row("s", 1, pos(1)))
	c.Over()
	if wrong := c.Wrong(); len(wrong) > 0 {
		t.Errorf("%q", wrong)
	}
}

// In order, first copies stand as their records were accepted; later copies stand anywhere, and what is not stored has no place.
func TestFirstCopiesOfAnOrderedKeyStandInPutOrder(t *testing.T) {
	for name, c := range map[string]struct {
		stored []string
		wrong  bool
	}{
		"as they were accepted": {[]string{"a", "b", "c"}, false},
		"one not at all":        {[]string{"a", "c"}, false},
		"one again later":       {[]string{"a", "b", "a", "c", "b"}, false},
		"one overtaken":         {[]string{"b", "a", "c"}, true},
		"the first at the end":  {[]string{"b", "c", "a"}, true},
	} {
		h := history.New()
		h.Shard(shard.Shard{ID: "s", Range: ring})
		h.Ordered("k")
		for _, id := range []string{"a", "b", "c"} {
			h.Accepted(id, "k")
			h.Settled(id, nil)
		}
		for n, id := range c.stored {
			h.Stored(cp(id, "k", "s", n+1))
			handle(h, "w/1", "s", n+1, id)
		}
		h.Over()
		wrong := h.Wrong()
		if c.wrong != (len(wrong) > 0) || c.wrong && !strings.HasPrefix(wrong[0], "P3: ") {
			t.Errorf("%s: %q", name, wrong)
		}
	}
}
