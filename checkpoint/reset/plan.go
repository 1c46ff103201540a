package reset

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Plan is what a reset would write: made by [Make], written by [Plan.Execute]. Its order is fixed by the stream and the table alone.
type Plan struct {
	Stream string // the stream's name
	// Time is what Time and Now came to, in whole milliseconds; zero for other targets.
	Time time.Time
	// Moves are the rows that change, parents before children. Rows that stand where they should, unowned, are not among them.
	Moves []Move
	// Warns is what to know before it is executed: a time that cannot be reached any more, records that are skipped, owners that may be running,
	// rows that are left alone.
	Warns []string
}

// Move is what happens to one row.
type Move struct {
	Key, Shard string              // the same, for an application that reads one stream
	Owner      string              // who holds the lease; empty: nobody
	From       checkpoint.Position // zero if there is none
	To         checkpoint.Position
	// Create says that the shard has no row and gets one: it has to be read again, or others are to wait for it, or not to wait for it.
	Create bool
	// Arrival is that of the first record that will be delivered; zero if there is none yet, or if it was not looked up, as for what follows its parents.
	Arrival time.Time
	Why     string // a few words

	row      lease.Lease // as it was read; of one that is created, as it will be
	parents  []string    // of the shard, by the listing
	children []string    // of a shard that becomes SHARD_END and whose row does not name them
}

// Make plans a reset of the application whose leases are in s, which must be open, and which reads the stream of this name or ARN. It reads, and writes
// nothing. Of each shard that it resolves it makes two or three calls, two a second at most; on one that has had no record since the time in question some more.
//
// Errors: *TargetError; *lease.StreamError or *lease.IdentityError if a row belongs to another stream, or to an earlier one of that name; *lease.RowError if the row of a shard that it should move cannot be read as a lease,
// or the table is that of an application that reads several streams; ErrIncomplete; else the service's or the store's.
func Make(ctx context.Context, k KinesisAPI, s lease.Store, stream string, to Target) (*Plan, error) {
	asked := newStream(k, stream)
	p := &planner{plan: &Plan{Stream: asked.name}, stream: asked}
	var err error
	// The rows first: what they name, a listing that is made later has.
	if p.rows, p.foreign, err = readRows(ctx, s); err != nil {
		return nil, err
	}
	if p.view, err = asked.look(ctx); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	goals, err := p.goals(ctx, to)
	if err != nil {
		return nil, err
	}
	p.move(goals)
	p.warnOwners()
	return p.plan, nil
}

// planner collects what a plan is made of.
type planner struct {
	plan    *Plan
	stream  *stream
	rows    map[string]lease.Lease
	foreign map[string]*lease.RowError
	view    *view
}

func (p *planner) warn(format string, args ...any) {
	p.plan.Warns = append(p.plan.Warns, fmt.Sprintf(format, args...))
}

// readRows lists the table: its leases, and the rows that are none.
func readRows(ctx context.Context, s lease.Store) (rows map[string]lease.Lease, foreign map[string]*lease.RowError, err error) {
	err = patiently(ctx, "read leases", func(ctx context.Context) (err error) {
		rows, foreign, err = list(ctx, s)
		return err
	})
	return rows, foreign, err
}

// check refuses a table that is not this application's, and warns of what will be left alone.
func (p *planner) check() error {
	for _, key := range sorted(p.foreign) {
		row := p.foreign[key]
		_, ours := p.view.graph.Shard(key)
		switch {
		case ours, row.Attribute == "streamName", row.Attribute == "shardId":
			return fmt.Errorf("reset: %w", row)
		case row.Attribute != "entityType": // another kind of row is nobody's concern
			p.warn("left alone: %v", row)
		}
	}
	for _, key := range sorted(p.rows) {
		row := p.rows[key]
		if !row.OfStream(p.plan.Stream) {
			return fmt.Errorf("reset: %w", &lease.StreamError{Key: key, Stored: row.Stream, Stream: p.plan.Stream})
		}
		listed, ok := p.view.graph.Shard(key)
		if ok && row.First != "" { // a row without is Java's, and what it says may be why it is to be reset
			if err := row.Identify(listed); err != nil {
				return fmt.Errorf("reset: %w", err)
			}
		}
		if !ok && !row.Ended() {
			p.warn("left alone: lease %s at %s: its shard is not in the stream any more", key, row.Checkpoint.Position)
		}
	}
	return nil
}

// goals decides where every shard should stand.
func (p *planner) goals(ctx context.Context, to Target) (map[string]goal, error) {
	switch to.kind {
	case oldest:
		return p.view.decide(ctx, p.stream.oldest)
	case now:
		return p.since(ctx, p.view.now)
	case atTime:
		if to.at.After(p.view.now.Add(time.Second)) { // the service's clock is read in whole seconds
			return nil, &TargetError{Problem: fmt.Sprintf("%s is in the future; it is %s there", to.at.UTC().Format(time.RFC3339), p.view.now.UTC().Format(time.RFC3339))}
		}
		return p.since(ctx, to.at)
	case exactly:
		return p.view.exactly(to.named, p.rows)
	}
	return nil, &TargetError{Problem: "is none"}
}

func (p *planner) since(ctx context.Context, t time.Time) (map[string]goal, error) {
	// The service knows milliseconds. Up, since what arrived before t is not wanted.
	if down := t.Truncate(time.Millisecond); down.Before(t) {
		t = down.Add(time.Millisecond)
	}
	p.plan.Time = t
	p.warnReach(t)
	horizon := p.view.horizon()
	return p.view.decide(ctx, func(ctx context.Context, s shard.Shard) (goal, error) { return p.stream.since(ctx, s, t, horizon) })
}

// warnReach tells of records that have aged out, if there can have been any.
func (p *planner) warnReach(t time.Time) {
	if t.Before(p.view.created) {
		t = p.view.created
	}
	if kept := p.view.kept; t.Before(kept) {
		p.warn("out of reach: what arrived in the %v before %s; the stream does not keep it any longer", kept.Sub(t).Round(time.Second), kept.UTC().Format(time.RFC3339))
	}
}

// move makes the moves, parents before children.
func (p *planner) move(goals map[string]goal) {
	for _, generation := range p.view.ordered {
		for _, s := range generation {
			g := goals[s.ID]
			if g.kind == untouched {
				continue
			}
			m := Move{Key: s.ID, Shard: s.ID, To: g.to, Arrival: g.arrival, Why: g.why, parents: s.Parents}
			row, ok := p.rows[s.ID]
			switch {
			case ok && stands(row, g.to):
				continue
			case ok:
				m.Owner, m.From, m.row = row.Owner, row.Checkpoint.Position, row
				p.warnRow(s, g, row)
				if g.kind == finished && len(row.Children) == 0 {
					m.children = p.children(s)
				}
			case p.needsRow(s, g, goals):
				m.Create, m.row = true, p.newRow(s, g)
			default:
				continue
			}
			p.plan.Moves = append(p.plan.Moves, m)
		}
	}
}

// stands reports whether a row is where it should be, and nobody has it in hand who is ahead of what it says.
func stands(row lease.Lease, to checkpoint.Position) bool {
	if row.Ended() && to == checkpoint.ShardEnd {
		return true // KCL keeps owning what is finished
	}
	return row.Checkpoint.Position == to && row.Checkpoint.Pending == checkpoint.Position{} && row.Owner == "" && row.CheckpointOwner == ""
}

// needsRow decides about a shard without a row.
func (p *planner) needsRow(s shard.Shard, g goal, goals map[string]goal) bool {
	switch g.kind {
	case partly:
		return true
	case finished:
		// Its children wait for their parents. One without a row but in the listing passes for lost, and would be made again, and replayed.
		return g.why == asNamed || slices.ContainsFunc(p.view.graph.Children(s.ID), func(c shard.Shard) bool { return goals[c.ID].kind == whole })
	}
	for d := range p.view.graph.Descendants(s.ID) {
		if _, ok := p.rows[d.ID]; ok {
			return true
		}
	}
	return false
}

// newRow is the row of a shard that has none. Its counter starts at the service's clock, above those of its predecessors, so that fencing tokens never fall.
func (p *planner) newRow(s shard.Shard, g goal) lease.Lease {
	row := lease.Lease{
		Key: s.ID, Counter: p.view.now.UnixMilli(), Checkpoint: checkpoint.Checkpoint{Position: g.to},
		Parents: s.Parents, HashRange: s.Range, Stream: lease.StreamLabel(p.plan.Stream), First: s.First,
	}
	if g.kind == finished {
		row.Children = p.children(s)
	}
	return row
}

func (p *planner) children(s shard.Shard) []string {
	var ids []string
	for _, c := range p.view.graph.Children(s.ID) {
		ids = append(ids, c.ID)
	}
	return ids
}

func (p *planner) warnRow(s shard.Shard, g goal, row lease.Lease) {
	if g.kind == finished && !row.Ended() {
		p.warn("shard %s is not finished: what follows %s is skipped", s.ID, row.Checkpoint.Position)
	}
	if g.kind != whole {
		return
	}
	for _, id := range s.Parents {
		if _, listed := p.view.graph.Shard(id); listed && !slices.Contains(row.Parents, id) {
			p.warn("lease %s does not name its parent %s: it will not wait for it", s.ID, id)
		}
	}
}

func (p *planner) warnOwners() {
	if len(p.rows) == 0 {
		p.warn("the table has no leases")
	}
	owners := make(map[string]bool)
	for _, row := range p.rows {
		if row.Owner != "" {
			owners[row.Owner] = true
		}
	}
	if len(owners) > 0 {
		p.warn("leases are owned by %s: nothing is written while they are alive, unless told to", strings.Join(sorted(owners), ", "))
	}
}
