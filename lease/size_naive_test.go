package lease

import (
	"cmp"
	"slices"
	"testing"
	"time"
)

// What the watchers are for: a fleet in which every worker lists the table and takes what has been free for longest, which is how a leaderless fleet is most simply
// built. Everybody wants the same leases in the same order, and whoever came first gets them all.
func TestSizeEveryoneScansOldestFirst(t *testing.T) {
	t.Parallel()
	f := fleet{3800, 500, 0}
	w := newSizeWorld(1, f.leases)
	const each = time.Millisecond // one write of a worker after the other
	got := make([]int, f.workers)
	writes, reads := 0, 0.0
	type attempt struct {
		at   time.Duration
		by   int
		free []*sizeRow
	}
	var fleet []attempt
	for i := range f.workers {
		fleet = append(fleet, attempt{at: w.within(time.Second), by: i})
	}
	slices.SortFunc(fleet, func(a, b attempt) int { return cmp.Compare(a.at, b.at) })
	taken := make(map[*sizeRow]time.Duration, f.leases)
	units := weigh(w.listing(0, 1))
	for _, a := range fleet { // those who came before are ahead in every row
		reads += units
		for _, r := range w.rows {
			if when, ok := taken[r]; !ok || when > a.at {
				a.free = append(a.free, r)
			}
		}
		for i, r := range a.free {
			writes++
			when := a.at + time.Duration(i+1)*each
			if other, ok := taken[r]; !ok || when < other {
				taken[r] = when
				got[a.by]++
			}
		}
	}
	slices.Sort(got)
	t.Logf("%d writes and %.0f read units; the worker with most has %d of %d leases, the others together %d", writes, reads, got[len(got)-1], f.leases, f.leases-got[len(got)-1])
	if writes < 1_500_000 || got[len(got)-1] < f.leases*9/10 {
		t.Errorf("%d writes, most %d: the counter-example is none any more", writes, got[len(got)-1])
	}
}
