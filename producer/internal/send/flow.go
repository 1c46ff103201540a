package send

import (
	"math"
	"math/rand/v2"
	"time"
)

// How fast a lane may be sent to, when nobody says how many other producers write to its shard.
//
// All there is to see of the others are throttles, and a saturated shard with 50 KiB aggregates takes 20 Kinesis records a second from all producers
// together, so each throttle is dear. That decides the rules:
//
//   - What is not known is begun small. Producers that start together would otherwise flood the shard before the first answer is back.
//   - A lane sends little at a time: what its rate allows in a tenth of a second. The answer to a small record teaches as much as that to a large one.
//   - A throttle lowers the rate, once in a while (all that is under way then will be throttled too), and until something has been stored again
//     one record at a time asks whether there is room.
//   - After that the rate grows with what is stored, slowly at first and then faster and faster: a throttle is more likely when there was one just now,
//     and when there has been none for long somebody has gone, and the room has to be taken.
//
// Rates and amounts are shares of what a shard takes: a rate of 1 is 1 MiB or 1,000 records a second, an amount of 1 is what it takes in a second.
const (
	shardRecords = 1000
	shardBytes   = 1 << 20

	// firstRate and firstAmount are for a lane of which nothing is known: fifty producers that start together begin with what the shard takes.
	firstRate   = 0.02
	firstAmount = 0.02

	// Until the first throttle the rate doubles in doubling of full use, and beyond knee it grows by slope a second. So a lone producer has a tenth of
	// the shard after two seconds and all of it after six to eight. Both hold for answers that take usual; what is sent before the first throttle comes
	// back is all wasted, so growth goes with the square root of how often answers come, in bounds.
	doubling = 0.65
	knee     = 0.15
	slope    = 0.13
	usual    = 100 * time.Millisecond
	leastHur = 0.9
	mostHur  = 2.5

	// pace is how much of its rate a lane sends at once, in seconds, but not less than smallest: 10 KiB. KPL's Linger has the same effect where a shard
	// is not saturated.
	// In order a lane waits for each answer, also for one that is late, so there should be fewer of them.
	pace        = 0.1
	paceOrdered = 0.2
	smallest    = 10 << 10

	// slack is how much of a debt does not matter: a few small records that follow each other do not wait.
	slack = 0.002

	// tick is what moments at which lanes may go on are rounded up to, so that lanes share requests (KPL looks as often).
	tick = 25 * time.Millisecond

	// What a throttle leaves of the rate: when it is the first of all, since the rate was doubling; when it comes soon, within so many steps of pace,
	// after the one before; and else.
	cutFirst = 0.35
	cutSoon  = 0.5
	cut      = 0.6
	soon     = 8

	// A rate is lowered once in calm. Throttles that come sooner have the same cause.
	calm = 300 * time.Millisecond

	// doubt is how long the one record that asks whether there is room is waited for: some answers are late, and that says nothing.
	doubt = 500 * time.Millisecond

	// Growth for each step of pace that is stored, relative to the rate: gain, and more with each step since the latest throttle, at a high rate more
	// than at a low one, since fewer producers share the shard then and there is more to lose. With these, every thirtieth to fiftieth record of a
	// saturated shard is throttled. plus is an absolute growth for each second of use; it is the same for all, and so makes rates equal in time.
	gain      = 0.003
	gainMore  = 0.0003
	gainSteep = 3
	plus      = 0.0005

	// leastRate is what one of a hundred producers that share a shard has.
	leastRate = 0.01

	// A throttle is news for so long. After that the rate grows as if there had been none.
	news = time.Minute
)

// flow is the rate of one lane and its two budgets, of records and of bytes, which are filled at that rate. A nil flow does not limit.
type flow struct {
	most  float64 // Config.RateLimit
	pace  float64 // seconds of the rate that are sent at once
	whole bool    // one Kinesis record at a time, so it waits until there is room for all of it
	phase time.Duration

	rate           float64
	starting       bool // no throttle, lately
	bytes, records float64
	at             time.Time // when the budgets were filled
	steps          float64   // stored since the latest throttle, in steps of pace
	answer         float64   // seconds that an answer usually takes

	throttled time.Time
	lowered   time.Time // when the rate was
	asking    bool      // nothing was stored since the latest throttle
	asked     time.Time // when the record that asks for room was sent; zero: not yet
}

func newFlow(l Limits, rng *rand.Rand) *flow {
	if l.RatePercent <= 0 {
		return nil
	}
	most := float64(l.RatePercent) / 100
	f := &flow{
		most: most, pace: pace, whole: l.Ordered, phase: time.Duration(rng.Int64N(int64(tick))), rate: min(firstRate, most), starting: true, bytes: firstAmount, records: firstAmount,
		answer: usual.Seconds(),
	}
	if l.Ordered {
		f.pace = paceOrdered
	}
	return f
}

// inherit gives a lane that takes over hash keys of other lanes the lowest of their rates. What was known of a split shard holds for its children: each of
// them takes as much as it did, and is shared by the same producers.
func (f *flow) inherit(from *flow) {
	if f == nil || from == nil {
		return
	}
	if f.throttled.IsZero() && f.at.IsZero() || from.rate < f.rate {
		f.rate, f.starting = from.rate, from.starting
		f.throttled, f.lowered, f.steps, f.answer = from.throttled, from.lowered, from.steps, from.answer
	}
	f.at = from.at
}

// fill brings the budgets up to now. What is not used is kept for one second.
func (f *flow) fill(now time.Time) {
	elapsed := now.Sub(f.at).Seconds()
	if f.at.IsZero() {
		elapsed = 0
	}
	f.at = now
	keep := max(f.rate, firstAmount)
	f.bytes = min(f.bytes+elapsed*f.rate, keep)
	f.records = min(f.records+elapsed*f.rate, keep)
	if !f.starting && now.Sub(f.throttled) >= news {
		f.starting = true
		f.rate = max(f.rate, min(firstRate, f.most))
	}
}

// open is when the lane may send next: now, or later.
func (f *flow) open(now time.Time) time.Time {
	if f == nil {
		return now
	}
	f.fill(now)
	if until := f.asked.Add(doubt); f.asking && !f.asked.IsZero() && now.Before(until) {
		return until
	}
	debt := -min(f.bytes, f.records)
	if f.whole {
		debt = max(float64(f.size())/shardBytes-f.bytes, -f.records)
	}
	if debt <= slack {
		return now
	}
	at := now.Add(time.Duration((debt-slack*0.99)/f.rate*float64(time.Second)) + f.phase)
	return at.Truncate(tick).Add(tick - f.phase)
}

// size is how many bytes a Kinesis record of the lane should have at most.
func (f *flow) size() int {
	if f == nil {
		return math.MaxInt
	}
	return max(int(f.rate*f.pace*shardBytes), smallest)
}

// grant is what a lane may add to a request.
type grant struct{ bytes, records float64 }

// grant is for a lane that is open.
func (f *flow) grant() grant {
	switch {
	case f == nil:
		return grant{math.Inf(1), math.Inf(1)}
	case f.asking:
		return grant{}
	default:
		return grant{max(f.bytes, 0) + float64(f.size())/shardBytes, max(f.records, 0) + f.rate*f.pace}
	}
}

// take spends the cost of a Kinesis record if g has room for it, or if it is the first one: one that is larger than any grant is sent too, and
// paid afterwards.
func (f *flow) take(g *grant, size int, first bool, now time.Time) bool {
	bytes, records := float64(size)/shardBytes, 1.0/shardRecords
	if !first && (g.bytes < bytes || g.records < records) {
		return false
	}
	g.bytes -= bytes
	g.records -= records
	if f != nil {
		f.bytes -= bytes
		f.records -= records
		if f.asking {
			f.asked = now
		}
	}
	return true
}

// stored notes at now that the shard took a Kinesis record of a request begun at start. What was sent before the latest throttle says nothing about
// the rate since.
func (f *flow) stored(size int, start, now time.Time) {
	if f == nil {
		return
	}
	f.answer += (min(now.Sub(start).Seconds(), 2*f.answer) - f.answer) / 8
	if start.Before(f.throttled) {
		return
	}
	f.asking = false
	amount := max(float64(size)/shardBytes, 1.0/shardRecords)
	used := amount / f.rate // in seconds
	hurry := min(max(math.Sqrt(usual.Seconds()/f.answer), leastHur), mostHur)
	if f.whole {
		hurry = mostHur // with one record under way little is wasted
	}
	switch {
	case !f.starting:
		steps := amount / max(f.rate*pace, float64(smallest)/shardBytes)
		f.steps += steps
		f.rate += f.rate*steps*(gain+gainMore*(1+gainSteep*f.rate)*f.steps) + plus*used
		f.rate = min(f.rate, 1) // a shard takes no more, but for a burst
	case f.rate < knee:
		f.rate *= math.Exp2(used / doubling * max(hurry, 1))
	default:
		f.rate += slope * hurry * used
	}
	f.rate = min(f.rate, f.most)
}

// failed gives back what a Kinesis record cost that failed for another reason than a throttle: trying it again costs the shard nothing more.
func (f *flow) failed(size int) {
	if f != nil {
		f.asked = time.Time{}
		f.bytes += float64(size) / shardBytes
		f.records += 1.0 / shardRecords
	}
}

// throttle notes at now that records of a request begun at start were throttled, the largest of which has size bytes. What was sent before the latest
// throttle says nothing new. Of what the shard has not taken, a step stays spent: enough to keep many producers from trying again at once. A large
// record needs all its room at one moment, so that it was refused says less about the rate.
func (f *flow) throttle(start, now time.Time, size int) {
	if f == nil || start.Before(f.throttled) {
		return
	}
	f.fill(now)
	f.throttled = now
	f.asking, f.asked = true, time.Time{}
	step := float64(f.size()) / shardBytes
	f.bytes, f.records = min(max(f.bytes, -step), 0), min(max(f.records, -step), 0)
	if now.Sub(f.lowered) < calm {
		return
	}
	left := cut
	switch {
	case f.starting:
		left = cutFirst
	case f.steps < soon:
		left = cutSoon
	}
	left += (1 - left) * min(float64(size)/shardBytes, 1)
	f.lowered, f.steps, f.starting = now, 0, false
	f.rate = min(max(left*f.rate, leastRate), f.most)
}
