package send

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/producer/internal/route"
)

// Reply is the answer to a request, or that there was none.
type Reply struct {
	Failure          // of the request as a whole
	Results []Result // one for each entry, if it did not fail as a whole
}

// Failure is what is known of an error. The zero value is a success.
type Failure struct {
	Err       error
	Class     awsx.Class
	Ambiguous bool // it may have been applied all the same
	Code      string
	Message   string
}

// Result is the answer to one entry.
type Result struct {
	Shard, Sequence string
	Failure
}

// codeWrongShard is the code of an attempt that stored an aggregate on a shard that cannot hold all of it, as KPL calls it.
const codeWrongShard = "WrongShard"

var errResults = errors.New("the answer has not one result for each record")

// Answer takes the answer to r at now.
func (c *Core) Answer(r *Request, reply Reply, now time.Time, step *Step) {
	at := slices.Index(c.flying, r)
	if at < 0 {
		return // abandoned: its items have had their outcome
	}
	c.flying = slices.Delete(c.flying, at, at+1)
	if reply.Err == nil && len(reply.Results) != len(r.Entries) {
		reply.Failure = Failure{Err: errResults, Class: awsx.Transient, Ambiguous: true, Message: errResults.Error()}
	}
	for _, e := range r.Entries {
		c.hold(e, -1)
	}
	c.width.answered(r.Bytes, now.Sub(r.Start), reply.Err != nil && !permanent(reply.Class))
	if reply.Err != nil {
		c.answerFailed(r, reply.Failure, now, step)
		c.breakOff(step)
		return
	}
	c.gate.succeed()
	c.missing, c.trouble = time.Time{}, nil
	var lanes []*lane
	for i, e := range r.Entries {
		result := reply.Results[i]
		c.note(e, r, result.Shard, result.Failure, now)
		l := c.lanes[c.shards.Predict(e.low)]
		if !l.answered {
			l.answered = true
			lanes = append(lanes, l)
		}
		switch {
		case result.Err == nil:
			l.stored = true
			l.flow.stored(e.Bytes, r.Start, now)
			l.cycled(e, now)
			e.shard, e.sequence = result.Shard, result.Sequence
			c.judge(e, step)
		case permanent(result.Class):
			c.fail(e, result.Err, step)
		default:
			c.heed(e, l, result.Class)
			c.retry(e, step)
		}
	}
	for _, l := range lanes {
		c.learn(l, r.Start, now)
	}
	c.breakOff(step)
}

// heed notes in the entry's lane that it failed. A fault of the service that is no throttle is usually over at once, so the first time does not hold
// up the lane.
func (c *Core) heed(e *Entry, l *lane, class awsx.Class) {
	if class != awsx.Throttle {
		l.flow.failed(e.Bytes)
		l.failed = l.failed || e.tries > 1
		return
	}
	l.failed = true
	if e.lane == l.shard.ID { // and not that of a parent, whose room it did not find
		l.throttled = max(l.throttled, e.Bytes)
	}
}

// learn draws the conclusions from an answer to a request that was begun at start.
func (c *Core) learn(l *lane, start, now time.Time) {
	if l.throttled > 0 {
		l.flow.throttle(start, now, l.throttled)
	}
	if l.failed {
		l.delay.fail(c.rng, start, now)
	} else if l.stored {
		l.delay.succeed()
	}
	l.answered, l.stored, l.failed, l.throttled = false, false, false, 0
}

// permanent are the classes of errors that the same record meets again and again.
func permanent(class awsx.Class) bool { return class == awsx.Denied || class == awsx.Invalid }

// note adds an attempt to the entry's history.
func (c *Core) note(e *Entry, r *Request, shardID string, f Failure, now time.Time) {
	e.attempts = abridge(append(e.attempts, Attempt{Start: r.Start, End: now, Shard: shardID, Code: f.Code, Message: f.Message}))
	e.tries++
	e.mayExist = e.mayExist || f.Ambiguous
}

// retry sends a failed entry again, before everything newer of its lane.
func (c *Core) retry(e *Entry, step *Step) {
	if c.stopping {
		c.fail(e, c.errs.Stopped, step)
		return
	}
	c.requeue(e)
}

// answerFailed deals with a request of which no entry has a result.
func (c *Core) answerFailed(r *Request, f Failure, now time.Time, step *Step) {
	for _, e := range r.Entries {
		c.note(e, r, "", f, now)
	}
	switch {
	case f.Class == awsx.Invalid && !c.stopping:
		c.isolate(r, f, step)
		return
	case f.Class == awsx.Gone:
		step.Refresh = true
		if c.missing.IsZero() {
			c.missing = r.Start
		}
	}
	c.trouble = f.Err
	final := permanent(f.Class) || f.Class == awsx.Gone && now.Sub(c.missing) >= grace
	if !final {
		c.gate.fail(c.rng, r.Start, now)
	}
	for _, e := range r.Entries {
		if final {
			c.fail(e, f.Err, step)
		} else {
			c.retry(e, step)
		}
	}
}

// judge decides what it means that the entry was stored on e.shard.
func (c *Core) judge(e *Entry, step *Step) {
	if c.spread != route.SpreadAuto && c.shards.Surprised(e.low, e.shard) {
		step.Refresh = true
		step.Unexpected++
	}
	switch c.shards.Decide(e.sent(), e.shard) {
	case route.Settled:
		step.Outcomes = append(step.Outcomes, Outcome{
			Items: e.Items, Aggregated: e.aggregated(), Shard: e.shard, Sequence: e.sequence,
			Attempts: e.attempts, Tries: e.tries, MayExist: e.mayExist,
		})
	case route.Resend:
		c.resend(e, step)
	case route.NeedMap:
		if c.stopping {
			e.mayExist = true
			c.fail(e, c.errs.Stopped, step)
			return
		}
		c.undecided = append(c.undecided, e)
		c.hold(e, 1)
	}
}

// resend sends all records of an aggregate again, each to the shard that it belongs to by the present map. One that holds only some of them would not
// do: readers drop the first aggregate as a whole.
func (c *Core) resend(e *Entry, step *Step) {
	latest := &e.attempts[len(e.attempts)-1]
	latest.Code = codeWrongShard
	latest.Message = fmt.Sprintf("the aggregate was made for %s", e.lane)
	e.mayExist = true
	if c.stopping {
		c.fail(e, c.errs.Stopped, step)
		return
	}
	step.Resent = append(step.Resent, Resent{Expected: e.lane, Actual: e.shard, Records: len(e.Items)})
	c.dissolve(e)
	for _, it := range e.Items {
		it.past.resends++
	}
	c.putBack(e.Items)
}
