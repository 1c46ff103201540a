package kcl

// Row is a lease as the library knows it. Attributes that it does not know are not here: its writes leave them alone.
type Row struct {
	Key        string
	Owner      string // "" if there is none
	Counter    int64
	Switches   int64
	Checkpoint string // a sequence number, or one of the sentinels
	Sub        int64
	Parents    []string
	Children   []string
}

// The sentinels of Row.Checkpoint that matter here.
const (
	TrimHorizon = "TRIM_HORIZON"
	ShardEnd    = "SHARD_END"
)

// Ended reports whether the shard is finished.
func (r Row) Ended() bool { return r.Checkpoint == ShardEnd }

// Kind of a Write.
type Kind int

// The kinds.
const (
	Take     Kind = iota // of a lease that is another's or nobody's, with or without that one's consent
	Renew                // moves the counter
	Store                // moves the counter, stores a position
	Children             // records the children; holds if there is such a row
)

// Write is one UpdateItem.
type Write struct {
	Kind    Kind
	Key     string
	Counter int64  // the row's, which all kinds but Children are conditional on
	Owner   string // of Take
	Adds    int64  // to Switches, of Take
	Stolen  bool   // of Take: the lease was not expired

	Checkpoint string // of Store
	Sub        int64  // of Store
	Children   []string
}

// Holds reports whether the row, which exists, satisfies w's condition.
func (w Write) Holds(r Row) bool { return w.Kind == Children || r.Counter == w.Counter }

// Apply returns the row after w.
func (w Write) Apply(r Row) Row {
	if w.Kind != Children {
		r.Counter = w.Counter + 1
	}
	switch w.Kind {
	case Take:
		r.Owner = w.Owner
		r.Switches += w.Adds
	case Store:
		r.Checkpoint, r.Sub, r.Switches = w.Checkpoint, w.Sub, 0
	}
	if len(w.Children) > 0 {
		r.Children = w.Children
	}
	return r
}
