package dynamo

import (
	"slices"
	"strings"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// maxTags is the service's quota of a resource.
const maxTags = 50

func checkTags(tags []tag) *wire.Error {
	keys := make(map[string]bool)
	for _, g := range tags {
		if g.Key == "" || len(g.Key) > 128 || len(g.Value) > 256 {
			return invalid("1 validation error detected: Value at 'tags' failed to satisfy constraint: "+
				"a key has 1 to 128 characters, a value at most 256; key: %s", g.Key)
		}
		if keys[g.Key] {
			return invalidValue("Duplicate tag key: %s", g.Key)
		}
		keys[g.Key] = true
	}
	if len(tags) > maxTags {
		return invalidValue("Too many tags: %d; a resource has at most 50", len(tags))
	}
	return nil
}

// taggedTable finds the table of an ARN, in whatever state it is. The caller holds the lock.
func (db *DB) taggedTable(arn string) (*table, *wire.Error) {
	name, ok := strings.CutPrefix(arn, db.arnPrefix())
	if !ok {
		return nil, invalid("Invalid TableArn: Invalid ResourceArn provided as input %s", arn)
	}
	t := db.find(name)
	if t == nil {
		return nil, &wire.Error{
			Code:    "ResourceNotFoundException",
			Message: "Requested resource not found: ResourcArn: " + arn + " not found", // the service's spelling
		}
	}
	return t, nil
}

// done answers an operation that has no output.
type done struct{}

type tagResourceRequest struct {
	ResourceArn string
	Tags        []tag
}

// tagResource replaces the values of tags that are there and appends the others.
func (db *DB) tagResource(req *tagResourceRequest) (any, *wire.Error) {
	if len(req.Tags) == 0 {
		return nil, invalid("Atleast one Tag needs to be provided as Input.") // the service's spelling
	}
	if fault := checkTags(req.Tags); fault != nil {
		return nil, fault
	}
	return db.locked(db.taggedTable, req.ResourceArn, func(t *table) (any, *wire.Error) {
		tags := slices.Clone(t.tags)
		for _, g := range req.Tags {
			at := slices.IndexFunc(tags, func(old tag) bool { return old.Key == g.Key })
			if at < 0 {
				tags = append(tags, g)
			} else {
				tags[at] = g
			}
		}
		if fault := checkTags(tags); fault != nil {
			return nil, fault
		}
		t.tags = tags
		return done{}, nil
	})
}

type untagResourceRequest struct {
	ResourceArn string
	TagKeys     []string
}

// untagResource does not mind keys that no tag has.
func (db *DB) untagResource(req *untagResourceRequest) (any, *wire.Error) {
	if len(req.TagKeys) == 0 {
		return nil, invalid("Atleast one Tag Key needs to be provided as Input.")
	}
	return db.locked(db.taggedTable, req.ResourceArn, func(t *table) (any, *wire.Error) {
		t.tags = slices.DeleteFunc(slices.Clone(t.tags), func(g tag) bool { return slices.Contains(req.TagKeys, g.Key) })
		return done{}, nil
	})
}

type listTagsRequest struct {
	ResourceArn string
}

// listTagsOfResource answers in the order the tags were given, in one page: there are at most 50.
func (db *DB) listTagsOfResource(req *listTagsRequest) (any, *wire.Error) {
	return db.locked(db.taggedTable, req.ResourceArn, func(t *table) (any, *wire.Error) {
		return map[string]any{"Tags": append([]tag{}, t.tags...)}, nil
	})
}
