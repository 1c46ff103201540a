package dynamo

import "github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"

// maxSegments is the service's limit of TotalSegments.
const maxSegments = 1_000_000

type scanRequest struct {
	readOptions
	ScanFilter    map[string]legacyCondition
	Segment       *int
	TotalSegments *int
}

func (db *DB) scan(req *scanRequest) (any, *wire.Error) {
	if fault := req.checkSegments(); fault != nil {
		return nil, fault
	}
	if fault := req.checkMixed([]legacyMember{{"ScanFilter", req.ScanFilter != nil}}); fault != nil {
		return nil, fault
	}
	r, _, fault := req.prepare(legacyFilter{"ScanFilter", req.ScanFilter})
	if fault != nil {
		return nil, fault
	}
	return db.read(r, func() *wire.Error { return req.place(r) })
}

// place sets the span of a scan.
func (r *scanRequest) place(to *reading) *wire.Error {
	if r.TotalSegments != nil {
		to.span.low, to.span.high = segment(*r.Segment, *r.TotalSegments)
	}
	if fault := to.setStart(); fault != nil {
		return fault
	}
	if after := to.span.after; after != "" && (after < to.span.low || to.span.high != "" && after >= to.span.high) {
		return invalid("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct "+
			"Segment. TotalSegments: %d Segment: %d", *r.TotalSegments, *r.Segment)
	}
	return nil
}

func (r *scanRequest) checkSegments() *wire.Error {
	switch {
	case r.Segment == nil && r.TotalSegments == nil:
		return nil
	case r.TotalSegments == nil:
		return invalid("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case r.Segment == nil:
		return invalid("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case *r.TotalSegments < 1 || *r.TotalSegments > maxSegments:
		return invalid("1 validation error detected: Value '%d' at 'totalSegments' failed to satisfy constraint: "+
			"Member must have value between 1 and 1000000", *r.TotalSegments)
	case *r.Segment < 0 || *r.Segment >= *r.TotalSegments:
		return invalid("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: %d is not less "+
			"than TotalSegments: %d", *r.Segment, *r.TotalSegments)
	}
	return nil
}
