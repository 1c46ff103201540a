package firehose

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// kind is a kind of destination. Its name is the first part of the members that have one: XDestinationConfiguration on creation,
// XDestinationUpdate in an update, XDestinationDescription in a description.
type kind struct {
	name     string
	required []string // members of its configuration
	fixed    bool     // a stream cannot change its destination to this kind or from it
	oneWay   string   // a backup mode that an update cannot leave
}

// kinds are all of them, in the order in which a request is searched for one. That OpenSearch is fixed is in AWS's documentation; of
// HTTP endpoints the service says so when asked.
var kinds = []kind{
	{name: "S3", required: []string{"RoleARN", "BucketARN"}},
	{name: "ExtendedS3", required: []string{"RoleARN", "BucketARN"}, oneWay: "Enabled"},
	{name: "Redshift", required: []string{"RoleARN", "ClusterJDBCURL", "CopyCommand", "S3Configuration"}, oneWay: "Enabled"},
	{name: "Elasticsearch", required: []string{"RoleARN", "IndexName", "S3Configuration"}, fixed: true},
	{name: "Amazonopensearchservice", required: []string{"RoleARN", "IndexName", "S3Configuration"}, fixed: true},
	{name: "AmazonOpenSearchServerless", required: []string{"RoleARN", "IndexName", "S3Configuration"}, fixed: true},
	{name: "Splunk", required: []string{"HECEndpoint", "HECEndpointType", "S3Configuration"}, oneWay: "AllEvents"},
	{name: "HttpEndpoint", required: []string{"EndpointConfiguration", "S3Configuration"}, fixed: true},
	{name: "Snowflake", required: []string{"AccountUrl", "Database", "Schema", "Table", "RoleARN", "S3Configuration"}, oneWay: "AllData"},
	{name: "Iceberg", required: []string{"RoleARN", "CatalogConfiguration", "S3Configuration"}},
}

func kindOf(name string) (kind, bool) {
	for _, k := range kinds {
		if k.name == name {
			return k, true
		}
	}
	return kind{}, false
}

// Members that have another name in a description. An update has its own for the S3 parts, which mean the same.
var described = map[string]string{
	"S3Configuration":       "S3DestinationDescription",
	"S3Update":              "S3DestinationDescription",
	"S3BackupConfiguration": "S3BackupDescription",
	"S3BackupUpdate":        "S3BackupDescription",
	"VpcConfiguration":      "VpcConfigurationDescription",
}

// Members that no description shows.
var secret = map[string]bool{"Password": true, "PrivateKey": true, "KeyPassphrase": true, "AccessKey": true}

// What AWS's documentation gives as the defaults of an S3 destination.
var s3Defaults = members{
	"BufferingHints":           json.RawMessage(`{"SizeInMBs":5,"IntervalInSeconds":300}`),
	"CompressionFormat":        json.RawMessage(`"UNCOMPRESSED"`),
	"EncryptionConfiguration":  json.RawMessage(`{"NoEncryptionConfig":"NoEncryption"}`),
	"CloudWatchLoggingOptions": json.RawMessage(`{"Enabled":false}`),
}

// s3Members are those that a plain S3 description has of an extended one.
var s3Members = []string{
	"RoleARN", "BucketARN", "Prefix", "ErrorOutputPrefix", "BufferingHints", "CompressionFormat", "EncryptionConfiguration",
	"CloudWatchLoggingOptions",
}

// destination is where a stream delivers to.
type destination struct {
	kind    kind    // never S3: the service describes every S3 destination as an extended one too
	members members // under the names and with the defaults of a description; immutable
}

// request is the part of a request that configures a destination.
type request struct {
	kind    kind
	member  string // such as S3DestinationUpdate
	members members
}

// oneDestination finds the destination in a request; suffix is what the names of the members in question end with.
func oneDestination(body members, suffix string) (request, *wire.Error) {
	var found []request
	for _, k := range kinds {
		name := k.name + suffix
		m, err := body.object(name)
		if err != nil {
			return request{}, err
		}
		if m != nil {
			found = append(found, request{k, name, m})
		}
	}
	if len(found) != 1 {
		return request{}, invalid("Exactly one destination configuration is supported for a Firehose")
	}
	r := found[0]
	if r.kind.name == "S3" {
		r.kind, _ = kindOf("ExtendedS3")
	}
	return r, nil
}

// check looks for what the model refuses. In an update everything may be missing.
func (r request) check(v *violations, update bool) *wire.Error {
	if !update {
		for _, name := range r.kind.required {
			if !r.members.given(name) {
				v.add("null", path(r.member, name), "not be null")
			}
		}
	}
	if err := checkARNs(v, r.members, r.member); err != nil {
		return err
	}
	for _, name := range []string{"S3Configuration", "S3BackupConfiguration", "S3Update", "S3BackupUpdate"} {
		s3, err := r.members.object(name)
		if err != nil {
			return err
		}
		if s3 == nil {
			continue
		}
		for _, needed := range []string{"RoleARN", "BucketARN"} {
			if !update && !s3.given(needed) {
				v.add("null", path(r.member, name, needed), "not be null")
			}
		}
		if err := checkARNs(v, s3, r.member, name); err != nil {
			return err
		}
	}
	return nil
}

func checkARNs(v *violations, m members, within ...string) *wire.Error {
	for _, arn := range []struct {
		name string
		rule rule
	}{{"RoleARN", roleRule}, {"BucketARN", bucketRule}} {
		value, err := m.text(arn.name)
		if err != nil {
			return err
		}
		v.optional(path(append(append([]string{}, within...), arn.name)...), value, arn.rule)
	}
	return nil
}

// complete tells whether a description has all that a destination of its kind needs.
func (d destination) complete() bool {
	for _, name := range d.kind.required {
		if other, ok := described[name]; ok {
			name = other
		}
		if _, ok := d.members[name]; !ok {
			return false
		}
	}
	for _, name := range []string{"S3DestinationDescription", "S3BackupDescription"} {
		s3, err := d.members.object(name)
		if err != nil || s3 != nil && (!s3.given("RoleARN") || !s3.given("BucketARN")) {
			return false
		}
	}
	return true
}

// describe makes a description of what a request says. Nested S3 destinations get their defaults from defaults, if it is true.
func (r request) describe(defaults bool) (members, *wire.Error) {
	out := members{}
	for name, value := range r.members {
		if !r.members.given(name) || secret[name] {
			continue
		}
		shown := name
		if other, ok := described[name]; ok {
			shown = other
		}
		switch shown {
		case "S3DestinationDescription", "S3BackupDescription", "VpcConfigurationDescription", "EndpointConfiguration":
			nested, err := r.members.object(name)
			if err != nil {
				return nil, err
			}
			value = describeNested(shown, nested, defaults).encode()
		}
		out[shown] = value
	}
	if defaults && r.kind.name == "ExtendedS3" {
		out = withDefaults(out, s3Defaults)
		out = withDefaults(out, members{"S3BackupMode": json.RawMessage(`"Disabled"`)})
	}
	return out, nil
}

// describeNested makes a description of a part of a destination.
func describeNested(shown string, given members, defaults bool) members {
	out := members{}
	for name, value := range given {
		if given.given(name) && !secret[name] {
			out[name] = value
		}
	}
	switch {
	case shown == "VpcConfigurationDescription":
		// A description must have the network; here there is none.
		return withDefaults(out, members{"VpcId": json.RawMessage(`"vpc-00000000000000000"`)})
	case defaults && shown != "EndpointConfiguration":
		return withDefaults(out, s3Defaults)
	}
	return out
}

func withDefaults(m, defaults members) members {
	out := maps.Clone(defaults)
	maps.Copy(out, m)
	return out
}

// encode writes members ordered by name: equal members are equal bytes.
func (m members) encode() json.RawMessage {
	raw := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			raw = append(raw, ',')
		}
		raw = append(wire.AppendString(raw, name), ':')
		raw = append(raw, m[name]...)
	}
	return append(raw, '}')
}

// create makes the destination that a request describes in full.
func (r request) create() (destination, *wire.Error) {
	m, err := r.describe(true)
	return destination{r.kind, m}, err
}

// update is the destination after a request. A request for the same kind replaces the members that it gives, and the other ones stay;
// in the S3 parts of a destination it does so one level deeper. A request for another kind replaces the destination.
func (d destination) update(r request) (destination, *wire.Error) {
	if r.kind.name != d.kind.name {
		for _, k := range []kind{r.kind, d.kind} {
			if k.fixed {
				return d, invalid("Changing the destination type to or from %s is not supported at this time.", k.name)
			}
		}
		replacement, err := r.create()
		if err == nil && !replacement.complete() {
			err = invalid("Changing the destination type from %s to %s needs all required parameters of %s.",
				d.kind.name, r.kind.name, r.kind.name)
		}
		return replacement, err
	}
	changes, err := r.describe(false)
	if err != nil {
		return d, err
	}
	if before, after := d.members["S3BackupMode"], changes["S3BackupMode"]; after != nil && d.kind.oneWay != "" &&
		string(before) == `"`+d.kind.oneWay+`"` && string(after) != string(before) {
		return d, invalid("S3BackupMode cannot be changed from %s to %s.", before, after)
	}
	merged := maps.Clone(d.members)
	for name, value := range changes {
		if name != "S3DestinationDescription" && name != "S3BackupDescription" {
			merged[name] = value
			continue
		}
		old, err := d.members.object(name)
		if err != nil {
			return d, err
		}
		inner, err := changes.object(name)
		if err != nil {
			return d, err
		}
		merged[name] = withDefaults(inner, withDefaults(old, s3Defaults)).encode()
	}
	return destination{d.kind, merged}, nil
}

// description is the destination as DescribeDeliveryStream has it.
func (d destination) description() map[string]any {
	out := map[string]any{"DestinationId": destinationID, d.kind.name + "DestinationDescription": d.members}
	if d.kind.name == "ExtendedS3" {
		plain := members{}
		for _, name := range s3Members {
			if value, ok := d.members[name]; ok {
				plain[name] = value
			}
		}
		out["S3DestinationDescription"] = plain
	}
	return out
}
