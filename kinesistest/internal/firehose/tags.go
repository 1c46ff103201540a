package firehose

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// mostTags is AWS's limit of a stream's tags, and of those in one request or page.
const mostTags = 50

type tag struct {
	Key   *string
	Value *string `json:",omitempty"`
}

func (t *tag) value() string {
	if t.Value == nil {
		return ""
	}
	return *t.Value
}

func checkTags(v *violations, tags []*tag) {
	v.length("tags", tags != nil, len(tags), 1, mostTags)
	for i, t := range tags {
		member := fmt.Sprintf("tags.%d.member", i+1)
		if t == nil {
			v.add("null", member, "not be null")
			continue
		}
		v.required(member+".key", t.Key, tagKeyRule)
		if t.Key != nil && strings.HasPrefix(*t.Key, "aws:") {
			v.add("'"+*t.Key+"'", member+".key", "satisfy regular expression pattern: %s", tagKeyRule.shown)
		}
		v.optional(member+".value", t.Value, tagValueRule)
	}
}

// throttleTags counts a call against its operation's rate. The caller holds s.mu.
func (s *Service) throttleTags(op string, now time.Time) *wire.Error {
	b := s.tagging[op]
	if b == nil {
		b = newBucket(tagCallsPerSecond, now)
		s.tagging[op] = b
	}
	if s.unlimited || b.take(1, now) {
		return nil
	}
	return failure("LimitExceededException", "Rate exceeded: %s takes %d calls per second and account.", op, tagCallsPerSecond)
}

// throttled finds a stream if the operation's rate allows it.
func (s *Service) throttled(op string, find finder) finder {
	return func(name string, now time.Time) (*stream, *wire.Error) {
		if err := s.throttleTags(op, now); err != nil {
			return nil, err
		}
		return find(name, now)
	}
}

type tagDeliveryStreamInput struct {
	DeliveryStreamName *string
	Tags               []*tag
}

func (s *Service) tagDeliveryStream(in *tagDeliveryStreamInput) (*nothing, *wire.Error) {
	var v violations
	v.required("deliveryStreamName", in.DeliveryStreamName, nameRule)
	checkTags(&v, in.Tags)
	if err := v.err(); err != nil {
		return nil, err
	}
	return s.locked(s.throttled("TagDeliveryStream", s.findActive), in.DeliveryStreamName, func(st *stream, _ time.Time) *wire.Error {
		tags := maps.Clone(st.tags)
		for _, t := range in.Tags {
			tags[*t.Key] = t.value()
		}
		if len(tags) > mostTags {
			return failure("LimitExceededException", "Firehose %s under account %s can have %d tags.", st.name, s.account, mostTags)
		}
		st.tags = tags
		return nil
	})
}

type untagDeliveryStreamInput struct {
	DeliveryStreamName *string
	TagKeys            []*string
}

func (s *Service) untagDeliveryStream(in *untagDeliveryStreamInput) (*nothing, *wire.Error) {
	var v violations
	v.required("deliveryStreamName", in.DeliveryStreamName, nameRule)
	v.length("tagKeys", in.TagKeys != nil, len(in.TagKeys), 1, mostTags)
	for i, key := range in.TagKeys {
		v.required(fmt.Sprintf("tagKeys.%d.member", i+1), key, tagKeyRule)
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	return s.locked(s.throttled("UntagDeliveryStream", s.findActive), in.DeliveryStreamName, func(st *stream, _ time.Time) *wire.Error {
		for _, key := range in.TagKeys {
			delete(st.tags, *key)
		}
		return nil
	})
}

type listTagsForDeliveryStreamInput struct {
	DeliveryStreamName   *string
	ExclusiveStartTagKey *string
	Limit                *int32
}

type listTagsForDeliveryStreamOutput struct {
	HasMoreTags bool
	Tags        []tag
}

func (s *Service) listTagsForDeliveryStream(in *listTagsForDeliveryStreamInput) (*listTagsForDeliveryStreamOutput, *wire.Error) {
	var v violations
	v.required("deliveryStreamName", in.DeliveryStreamName, nameRule)
	v.optional("exclusiveStartTagKey", in.ExclusiveStartTagKey, tagKeyRule)
	v.limit(in.Limit, mostTags)
	if err := v.err(); err != nil {
		return nil, err
	}
	limit := mostTags
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	st, err := s.throttled("ListTagsForDeliveryStream", s.find)(*in.DeliveryStreamName, now)
	if err != nil {
		return nil, err
	}
	out := &listTagsForDeliveryStreamOutput{Tags: []tag{}}
	for _, key := range slices.Sorted(maps.Keys(st.tags)) {
		if in.ExclusiveStartTagKey != nil && key <= *in.ExclusiveStartTagKey {
			continue
		}
		if len(out.Tags) == limit {
			out.HasMoreTags = true
			break
		}
		value := st.tags[key]
		out.Tags = append(out.Tags, tag{&key, &value})
	}
	return out, nil
}
