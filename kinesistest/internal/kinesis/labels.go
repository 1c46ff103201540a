package kinesis

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// AWS's limits of tags.
const (
	mostTags    = 50 // of a stream or consumer
	longestTag  = 128
	longestNote = 256 // a tag's value
	mostPolicy  = 20 << 10
)

// labels is what a stream and a consumer have in common: what their owner says about them.
type labels struct {
	Tags   map[string]string
	Policy string // JSON; empty: none
}

// tag adds tags, or gives them other values.
func (l *labels) tag(tags map[string]string) {
	if l.Tags == nil {
		l.Tags = make(map[string]string)
	}
	maps.Copy(l.Tags, tags)
}

func (l *labels) untag(keys []string) {
	for _, key := range keys {
		delete(l.Tags, key)
	}
}

type tagView struct{ Key, Value string }

// list shows the tags in the order of their keys.
func (l *labels) list() []tagView {
	all := []tagView{}
	for _, key := range slices.Sorted(maps.Keys(l.Tags)) {
		all = append(all, tagView{key, l.Tags[key]})
	}
	return all
}

// room refuses more tags than a resource may have.
func (l *labels) room(tags map[string]string) *wire.Error {
	n := len(l.Tags)
	for key := range tags {
		if _, ok := l.Tags[key]; !ok {
			n++
		}
	}
	if n > mostTags {
		return invalid("A resource may have %d tags; it would have %d.", mostTags, n)
	}
	return nil
}

// The characters that AWS allows in a tag; tags that begin with aws: are its own.
var (
	tagText     = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@%]*$`)
	reservedTag = "aws:"
)

// tags notes tags that the model does not have, or fewer than least.
func (v *violations) tags(tags map[string]string, least int) {
	switch n := len(tags); {
	case tags == nil && least > 0:
		v.add("tags", nil, "must not be null")
	case n < least:
		v.add("tags", tags, "must have length greater than or equal to %d", least)
	case n > 200:
		v.add("tags", tags, "must have length less than or equal to 200")
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if key == "" {
			v.add("tags", tags, "must satisfy constraint: [Map keys must satisfy constraint: [Member must have length greater than or equal to 1]]")
			continue
		}
		v.length("tags.key", key, 1, longestTag)
		v.length("tags."+key+".member", tags[key], 0, longestNote)
	}
}

// checkTags refuses tags that cannot be given to anything.
func checkTags(tags map[string]string) *wire.Error {
	var v violations
	v.tags(tags, 0)
	if err := v.err(); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if strings.HasPrefix(strings.ToLower(key), reservedTag) || !tagText.MatchString(key) || !tagText.MatchString(tags[key]) {
			return invalid("Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - %% @.")
		}
	}
	if len(tags) > mostTags {
		return invalid("A resource may have %d tags; it would have %d.", mostTags, len(tags))
	}
	return nil
}

type streamTagsInput struct {
	target
	Tags                 map[string]string
	TagKeys              []string
	ExclusiveStartTagKey string
	Limit                *int32
}

func (s *Service) addTagsToStream(_ context.Context, in *streamTagsInput) (*nothing, *wire.Error) {
	return nil, s.relabel(in.Tags, func() (*labels, *wire.Error) { return s.streamLabels(in.target) })
}

// relabel adds tags to what find finds under the lock.
func (s *Service) relabel(tags map[string]string, find func() (*labels, *wire.Error)) *wire.Error {
	var v violations
	v.tags(tags, 1)
	if err := v.err(); err != nil {
		return err
	}
	if err := checkTags(tags); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := find()
	if err != nil {
		return err
	}
	if err := l.room(tags); err != nil {
		return err
	}
	l.tag(tags)
	return nil
}

func (v *violations) tagKeys(keys []string) {
	switch n := len(keys); {
	case n == 0:
		v.add("tagKeys", keys, "must have length greater than or equal to 1")
	case n > mostTags:
		v.add("tagKeys", keys, "must have length less than or equal to %d", mostTags)
	}
}

func (s *Service) removeTagsFromStream(_ context.Context, in *streamTagsInput) (*nothing, *wire.Error) {
	var v violations
	v.tagKeys(in.TagKeys)
	if err := v.err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.streamLabels(in.target)
	if err == nil {
		l.untag(in.TagKeys)
	}
	return nil, err
}

type listTagsForStreamOutput struct {
	Tags        []tagView
	HasMoreTags bool
}

func (s *Service) listTagsForStream(_ context.Context, in *streamTagsInput) (*listTagsForStreamOutput, *wire.Error) {
	most := mostTags
	if in.Limit != nil {
		var v violations
		if v.within("limit", in.Limit, 1, mostTags); v.err() != nil {
			return nil, v.err()
		}
		most = int(*in.Limit)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.find(in.target)
	if err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(st.labels.list(), func(t tagView) bool { return t.Key <= in.ExclusiveStartTagKey })
	if len(all) > most {
		return &listTagsForStreamOutput{all[:most], true}, nil
	}
	return &listTagsForStreamOutput{Tags: all}, nil
}

func (s *Service) streamLabels(t target) (*labels, *wire.Error) {
	st, err := s.active(t)
	if err != nil {
		return nil, err
	}
	return &st.labels, nil
}

// resourceInput names a stream or a consumer by its ARN.
type resourceInput struct {
	ResourceARN string
	Tags        map[string]string
	TagKeys     []string
	Policy      string
}

func (in *resourceInput) check() *wire.Error {
	var v violations
	v.length("resourceARN", in.ResourceARN, 1, 2048)
	return v.err()
}

// resource is what an ARN names; find finds a stream, as find or active do. The caller holds s.mu.
func (s *Service) resource(arn string, find func(target) (*stream, *wire.Error)) (*labels, *wire.Error) {
	if strings.Contains(arn, "/consumer/") {
		c, err := s.consumerByARN(arn)
		if err != nil {
			return nil, err
		}
		return &c.labels, nil
	}
	st, err := find(target{StreamARN: arn})
	if err != nil {
		return nil, err
	}
	return &st.labels, nil
}

func (s *Service) tagResource(_ context.Context, in *resourceInput) (*nothing, *wire.Error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return nil, s.relabel(in.Tags, func() (*labels, *wire.Error) { return s.resource(in.ResourceARN, s.active) })
}

func (s *Service) untagResource(_ context.Context, in *resourceInput) (*nothing, *wire.Error) {
	var v violations
	v.length("resourceARN", in.ResourceARN, 1, 2048)
	v.tagKeys(in.TagKeys)
	if err := v.err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.resource(in.ResourceARN, s.active)
	if err == nil {
		l.untag(in.TagKeys)
	}
	return nil, err
}

type listTagsForResourceOutput struct{ Tags []tagView }

func (s *Service) listTagsForResource(_ context.Context, in *resourceInput) (*listTagsForResourceOutput, *wire.Error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.resource(in.ResourceARN, s.find)
	if err != nil {
		return nil, err
	}
	return &listTagsForResourceOutput{l.list()}, nil
}

func (s *Service) putResourcePolicy(_ context.Context, in *resourceInput) (*nothing, *wire.Error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	statement := map[string]any{}
	switch err := json.Unmarshal([]byte(in.Policy), &statement); {
	case in.Policy == "":
		return nil, violation("policy", nil, "must not be null")
	case err != nil || len(in.Policy) > mostPolicy:
		return nil, invalid("Policy must be a JSON document of at most %d bytes.", mostPolicy)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.resource(in.ResourceARN, s.active)
	if err == nil {
		l.Policy = in.Policy
	}
	return nil, err
}

type getResourcePolicyOutput struct{ Policy string }

func (s *Service) getResourcePolicy(_ context.Context, in *resourceInput) (*getResourcePolicyOutput, *wire.Error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.resource(in.ResourceARN, s.find)
	switch {
	case err != nil:
		return nil, err
	case l.Policy == "":
		return nil, notFound("No policy found for resource %s.", in.ResourceARN)
	}
	return &getResourcePolicyOutput{l.Policy}, nil
}

func (s *Service) deleteResourcePolicy(_ context.Context, in *resourceInput) (*nothing, *wire.Error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.resource(in.ResourceARN, s.active)
	switch {
	case err != nil:
		return nil, err
	case l.Policy == "":
		return nil, notFound("No policy found for resource %s.", in.ResourceARN)
	}
	l.Policy = ""
	return nil, nil
}
