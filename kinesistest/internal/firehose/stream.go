package firehose

import (
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// The types of delivery stream that are treated apart.
const (
	directPut     = "DirectPut"
	kinesisSource = "KinesisStreamAsSource"
)

// The states of a delivery stream. Nothing fails here, so the others do not occur.
const (
	creating = "CREATING"
	active   = "ACTIVE"
	deleting = "DELETING"
)

// destinationID is that of every stream's one destination.
const destinationID = "destinationId-000000000001"

// stream is one delivery stream. States follow from times, so that no timer has to fire for them.
type stream struct {
	name     string
	number   uint64 // tells streams of one name apart
	kind     string // its type, such as DirectPut
	created  time.Time
	ready    time.Time // ACTIVE from then on
	updated  time.Time // zero before the first update
	gone     time.Time // DELETING until then; zero while nobody has deleted it
	version  uint64
	to       destination
	source   members // as DescribeDeliveryStream has it; nil: none
	sse      encryption
	tags     map[string]string
	records  [][]byte
	accepted uint64 // records ever; numbers the next one
	rates    rates
}

func (s *Service) arnOf(name string) string {
	return "arn:aws:firehose:" + s.region + ":" + s.account + ":deliverystream/" + name
}

func (st *stream) status(now time.Time) string {
	switch {
	case !st.gone.IsZero():
		return deleting
	case now.Before(st.ready):
		return creating
	}
	return active
}

// lookup finds a stream, and forgets one whose deletion is complete. The caller holds s.mu.
func (s *Service) lookup(name string, now time.Time) *stream {
	st := s.streams[name]
	if st != nil && !st.gone.IsZero() && !now.Before(st.gone) {
		delete(s.streams, name)
		return nil
	}
	return st
}

// find is lookup for an operation. The caller holds s.mu.
func (s *Service) find(name string, now time.Time) (*stream, *wire.Error) {
	if st := s.lookup(name, now); st != nil {
		return st, nil
	}
	return nil, failure("ResourceNotFoundException", "Firehose %s under account %s not found.", name, s.account)
}

// findActive is find for an operation that changes a stream. The caller holds s.mu.
func (s *Service) findActive(name string, now time.Time) (*stream, *wire.Error) {
	st, err := s.find(name, now)
	if err != nil {
		return nil, err
	}
	if status := st.status(now); status != active {
		return nil, s.inUse(st, status)
	}
	return st, nil
}

func (s *Service) inUse(st *stream, status string) *wire.Error {
	return failure("ResourceInUseException", "Firehose %s under account %s is in state %s.", st.name, s.account, status)
}
