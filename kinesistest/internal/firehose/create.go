package firehose

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// mostStreams is AWS's default quota per region.
const mostStreams = 5_000

// sources are the types of stream, with the member that configures each one's source and the one that describes it.
var sources = []struct{ kind, configuration, description string }{
	{directPut, "DirectPutSourceConfiguration", "DirectPutSourceDescription"},
	{kinesisSource, "KinesisStreamSourceConfiguration", "KinesisStreamSourceDescription"},
	{"MSKAsSource", "MSKSourceConfiguration", "MSKSourceDescription"},
	{"DatabaseAsSource", "DatabaseSourceConfiguration", "DatabaseSourceDescription"},
}

// createDeliveryStreamInput is the request; body has the members that are kept as they are.
type createDeliveryStreamInput struct {
	DeliveryStreamName                         *string
	DeliveryStreamType                         *string
	DeliveryStreamEncryptionConfigurationInput *keyInput
	Tags                                       []*tag

	body members
}

func (in *createDeliveryStreamInput) UnmarshalJSON(raw []byte) error {
	type plain createDeliveryStreamInput // without this method
	if err := json.Unmarshal(raw, (*plain)(in)); err != nil {
		return err
	}
	return json.Unmarshal(raw, &in.body)
}

type createDeliveryStreamOutput struct{ DeliveryStreamARN string }

func (s *Service) createDeliveryStream(in *createDeliveryStreamInput) (*createDeliveryStreamOutput, *wire.Error) {
	now := time.Now()
	st, err := in.stream(now)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lookup(st.name, now) != nil {
		return nil, failure("ResourceInUseException", "Firehose %s under accountId %s already exists", st.name, s.account)
	}
	if err := s.quota(now); err != nil {
		return nil, err
	}
	s.made++
	st.number = s.made
	st.ready = now.Add(s.transitions)
	st.rates = newRates(now)
	if in.DeliveryStreamEncryptionConfigurationInput != nil {
		st.sse = in.DeliveryStreamEncryptionConfigurationInput.enable(st.ready)
	}
	s.streams[st.name] = st
	return &createDeliveryStreamOutput{s.arnOf(st.name)}, nil
}

// quota refuses one stream more than the account's. The caller holds s.mu.
func (s *Service) quota(now time.Time) *wire.Error {
	if s.unlimited || len(s.streams) < mostStreams {
		return nil
	}
	names := slices.Sorted(maps.Keys(s.streams))
	names = slices.DeleteFunc(names, func(name string) bool { return s.lookup(name, now) == nil })
	if len(names) < mostStreams {
		return nil
	}
	return failure("LimitExceededException", "You have already consumed your firehose quota of %d hoses. Firehose names: [%s]",
		mostStreams, strings.Join(names, ", "))
}

// stream makes what the request describes, as far as it can be told without the others.
func (in *createDeliveryStreamInput) stream(now time.Time) (*stream, *wire.Error) {
	var v violations
	v.required("deliveryStreamName", in.DeliveryStreamName, nameRule)
	v.optional("deliveryStreamType", in.DeliveryStreamType, typeRule)
	checkKey(&v, in.DeliveryStreamEncryptionConfigurationInput)
	if in.Tags != nil {
		checkTags(&v, in.Tags)
	}
	to, destinationErr := oneDestination(in.body, "DestinationConfiguration")
	if destinationErr == nil {
		if err := to.check(&v, false); err != nil {
			return nil, err
		}
	}
	if err := checkSource(&v, in.body); err != nil {
		return nil, err
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	if destinationErr != nil {
		return nil, destinationErr
	}
	st := &stream{name: *in.DeliveryStreamName, kind: directPut, created: now, version: 1, tags: make(map[string]string)}
	if in.DeliveryStreamType != nil {
		st.kind = *in.DeliveryStreamType
	}
	for _, t := range in.Tags {
		st.tags[*t.Key] = t.value()
	}
	if key := in.DeliveryStreamEncryptionConfigurationInput; key != nil {
		if err := key.check(st); err != nil {
			return nil, err
		}
	}
	var err *wire.Error
	if st.source, err = in.source(st.kind, now); err != nil {
		return nil, err
	}
	st.to, err = to.create()
	return st, err
}

// checkSource looks for what the model refuses in a Kinesis stream as a source.
func checkSource(v *violations, body members) *wire.Error {
	const member = "KinesisStreamSourceConfiguration"
	m, err := body.object(member)
	if err != nil || m == nil {
		return err
	}
	for _, arn := range []struct {
		name string
		rule rule
	}{{"KinesisStreamARN", streamARNRule}, {"RoleARN", roleRule}} {
		value, err := m.text(arn.name)
		if err != nil {
			return err
		}
		v.required(path(member, arn.name), value, arn.rule)
	}
	return nil
}

// source is a stream's source as a description has it. A type other than DirectPut must have one, and no type that of another.
func (in *createDeliveryStreamInput) source(kind string, now time.Time) (members, *wire.Error) {
	var out members
	for _, source := range sources {
		m, err := in.body.object(source.configuration)
		switch {
		case err != nil:
			return nil, err
		case m != nil && source.kind != kind:
			return nil, invalid("%s is only applicable for %s stream type", source.configuration, source.kind)
		case m == nil && source.kind == kind && kind != directPut:
			return nil, invalid("%s is required for %s stream type", source.configuration, kind)
		case m != nil:
			if kind == kinesisSource {
				m["DeliveryStartTimestamp"] = wire.AppendMillis(nil, now.UnixMilli())
			}
			out = members{source.description: m.encode()}
		}
	}
	return out, nil
}
