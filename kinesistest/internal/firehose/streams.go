package firehose

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// streamInput is a request that names its stream and says no more.
type streamInput struct{ DeliveryStreamName *string }

func (in *streamInput) check() *wire.Error {
	var v violations
	v.required("deliveryStreamName", in.DeliveryStreamName, nameRule)
	return v.err()
}

type finder func(name string, now time.Time) (*stream, *wire.Error)

// locked finds the stream that a request names and changes it, under one lock. The name has been checked.
func (s *Service) locked(find finder, name *string, change func(st *stream, now time.Time) *wire.Error) (*nothing, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	st, err := find(*name, now)
	if err != nil {
		return nil, err
	}
	if err := change(st, now); err != nil {
		return nil, err
	}
	return &nothing{}, nil
}

type describeDeliveryStreamInput struct {
	DeliveryStreamName          *string
	ExclusiveStartDestinationId *string
	Limit                       *int32
}

type describeDeliveryStreamOutput struct{ DeliveryStreamDescription description }

type description struct {
	DeliveryStreamName                    string
	DeliveryStreamARN                     string
	DeliveryStreamStatus                  string
	DeliveryStreamType                    string
	DeliveryStreamEncryptionConfiguration sseDescription
	VersionId                             string
	CreateTimestamp                       stamp
	LastUpdateTimestamp                   *stamp  `json:",omitempty"`
	Source                                members `json:",omitempty"`
	Destinations                          []map[string]any
	HasMoreDestinations                   bool
}

func (s *Service) describeDeliveryStream(in *describeDeliveryStreamInput) (*describeDeliveryStreamOutput, *wire.Error) {
	var v violations
	v.required("deliveryStreamName", in.DeliveryStreamName, nameRule)
	v.optional("exclusiveStartDestinationId", in.ExclusiveStartDestinationId, destinationRule)
	v.limit(in.Limit, 10_000)
	if err := v.err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	st, err := s.find(*in.DeliveryStreamName, now)
	if err != nil {
		return nil, err
	}
	out := &describeDeliveryStreamOutput{description{
		DeliveryStreamName:                    st.name,
		DeliveryStreamARN:                     s.arnOf(st.name),
		DeliveryStreamStatus:                  st.status(now),
		DeliveryStreamType:                    st.kind,
		DeliveryStreamEncryptionConfiguration: st.sse.description(now),
		VersionId:                             strconv.FormatUint(st.version, 10),
		CreateTimestamp:                       stamp(st.created),
		Source:                                st.source,
		Destinations:                          []map[string]any{},
	}}
	if !st.updated.IsZero() {
		updated := stamp(st.updated)
		out.DeliveryStreamDescription.LastUpdateTimestamp = &updated
	}
	if after := in.ExclusiveStartDestinationId; after == nil || *after < destinationID {
		out.DeliveryStreamDescription.Destinations = append(out.DeliveryStreamDescription.Destinations, st.to.description())
	}
	return out, nil
}

type listDeliveryStreamsInput struct {
	DeliveryStreamType               *string
	ExclusiveStartDeliveryStreamName *string
	Limit                            *int32
}

type listDeliveryStreamsOutput struct {
	DeliveryStreamNames    []string
	HasMoreDeliveryStreams bool
}

func (s *Service) listDeliveryStreams(in *listDeliveryStreamsInput) (*listDeliveryStreamsOutput, *wire.Error) {
	var v violations
	v.optional("deliveryStreamType", in.DeliveryStreamType, typeRule)
	v.optional("exclusiveStartDeliveryStreamName", in.ExclusiveStartDeliveryStreamName, nameRule)
	v.limit(in.Limit, 10_000)
	if err := v.err(); err != nil {
		return nil, err
	}
	limit := 10 // the API's default
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	out := &listDeliveryStreamsOutput{DeliveryStreamNames: []string{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, name := range slices.Sorted(maps.Keys(s.streams)) {
		st := s.lookup(name, now)
		if st == nil || in.DeliveryStreamType != nil && st.kind != *in.DeliveryStreamType ||
			in.ExclusiveStartDeliveryStreamName != nil && name <= *in.ExclusiveStartDeliveryStreamName {
			continue
		}
		if len(out.DeliveryStreamNames) == limit {
			out.HasMoreDeliveryStreams = true
			break
		}
		out.DeliveryStreamNames = append(out.DeliveryStreamNames, name)
	}
	return out, nil
}

// deleteDeliveryStream reads no AllowForceDelete: it is about grants of KMS, which none of these has.
func (s *Service) deleteDeliveryStream(in *streamInput) (*nothing, *wire.Error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return s.locked(s.find, in.DeliveryStreamName, func(st *stream, now time.Time) *wire.Error {
		switch status := st.status(now); status {
		case creating:
			return s.inUse(st, status)
		case active:
			st.gone = now.Add(s.transitions)
			s.lookup(st.name, now) // without a transition it is gone at once
		}
		return nil
	})
}

// updateDestinationInput is the request; body has the members that are kept as they are.
type updateDestinationInput struct {
	DeliveryStreamName             *string
	CurrentDeliveryStreamVersionId *string
	DestinationId                  *string

	body members
}

func (in *updateDestinationInput) UnmarshalJSON(raw []byte) error {
	type plain updateDestinationInput // without this method
	if err := json.Unmarshal(raw, (*plain)(in)); err != nil {
		return err
	}
	return json.Unmarshal(raw, &in.body)
}

func (s *Service) updateDestination(in *updateDestinationInput) (*nothing, *wire.Error) {
	var v violations
	v.required("deliveryStreamName", in.DeliveryStreamName, nameRule)
	v.required("currentDeliveryStreamVersionId", in.CurrentDeliveryStreamVersionId, versionRule)
	v.required("destinationId", in.DestinationId, destinationRule)
	to, destinationErr := oneDestination(in.body, "DestinationUpdate")
	if destinationErr == nil {
		if err := to.check(&v, true); err != nil {
			return nil, err
		}
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	if destinationErr != nil {
		return nil, destinationErr
	}
	return s.locked(s.findActive, in.DeliveryStreamName, func(st *stream, now time.Time) *wire.Error {
		if current := strconv.FormatUint(st.version, 10); current != *in.CurrentDeliveryStreamVersionId {
			return failure("ConcurrentModificationException",
				"Cannot update firehose: %s since the current version id: %s and specified version id: %s do not match",
				st.name, current, *in.CurrentDeliveryStreamVersionId)
		}
		if *in.DestinationId != destinationID {
			return invalid("Destination Id %s not found", *in.DestinationId)
		}
		updated, err := st.to.update(to)
		if err != nil {
			return err
		}
		st.to, st.updated = updated, now
		st.version++
		return nil
	})
}
