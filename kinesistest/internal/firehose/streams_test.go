package firehose

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAStreamIsDescribedAsItWasCreated(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		answer := ok(t, s, "CreateDeliveryStream", hose)
		want(t, answer["DeliveryStreamARN"], `"arn:aws:firehose:us-east-1:000000000000:deliverystream/hose"`)
		d := describe(t, s, "hose")
		for name, expected := range map[string]string{
			"DeliveryStreamName": `"hose"`, "DeliveryStreamStatus": `"ACTIVE"`, "DeliveryStreamType": `"DirectPut"`, "VersionId": `"1"`,
			"HasMoreDestinations": `false`, "CreateTimestamp": `946684800`, "LastUpdateTimestamp": `null`, "Source": `null`,
			"DeliveryStreamEncryptionConfiguration": `{"Status":"DISABLED"}`,
		} {
			want(t, at(t, d, name), expected)
		}
		want(t, at(t, d, "Destinations", "DestinationId"), `"destinationId-000000000001"`)
		const plain = `"BucketARN":"` + bucket1 + `","BufferingHints":{"IntervalInSeconds":300,"SizeInMBs":5},` +
			`"CloudWatchLoggingOptions":{"Enabled":false},"CompressionFormat":"UNCOMPRESSED",` +
			`"EncryptionConfiguration":{"NoEncryptionConfig":"NoEncryption"},"RoleARN":"` + role + `"`
		want(t, at(t, d, "Destinations", "S3DestinationDescription"), `{`+plain+`}`)
		want(t, at(t, d, "Destinations", "ExtendedS3DestinationDescription"), `{`+plain+`,"S3BackupMode":"Disabled"}`)

		const after = `{"DeliveryStreamName":"hose","ExclusiveStartDestinationId":"destinationId-000000000001"}`
		want(t, at(t, ok(t, s, "DescribeDeliveryStream", after), "DeliveryStreamDescription", "Destinations"), `[]`)
	})
}

func TestAStreamKeepsItsSource(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		const source = `"KinesisStreamSourceConfiguration":{"KinesisStreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/in","RoleARN":"` + role + `"}`
		ok(t, s, "CreateDeliveryStream", `{"DeliveryStreamName":"k","DeliveryStreamType":"KinesisStreamAsSource",`+source+`,"S3DestinationConfiguration":`+s3+`}`)
		d := describe(t, s, "k")
		want(t, at(t, d, "DeliveryStreamType"), `"KinesisStreamAsSource"`)
		want(t, at(t, d, "Source", "KinesisStreamSourceDescription"),
			`{"DeliveryStartTimestamp":946684800,"KinesisStreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/in","RoleARN":"`+role+`"}`)
		const message = "This operation is not permitted on KinesisStreamAsSource delivery stream type."
		refused(t, s, "PutRecord", single("k", nil), "InvalidArgumentException", message)
		refused(t, s, "StartDeliveryStreamEncryption", `{"DeliveryStreamName":"k"}`, "InvalidArgumentException", "DirectPut")

		refused(t, s, "CreateDeliveryStream", `{"DeliveryStreamName":"x",`+source+`,"S3DestinationConfiguration":`+s3+`}`,
			"InvalidArgumentException", "only applicable for KinesisStreamAsSource")
		refused(t, s, "CreateDeliveryStream", `{"DeliveryStreamName":"x","DeliveryStreamType":"KinesisStreamAsSource","S3DestinationConfiguration":`+s3+`}`,
			"InvalidArgumentException", "KinesisStreamSourceConfiguration is required")
	})
}

func TestCreationIsRefusedAsTheModelSays(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", hose)
		for _, c := range []struct{ body, code, message string }{
			{hose, "ResourceInUseException", "Firehose hose under accountId 000000000000 already exists"},
			{`{"DeliveryStreamName":"x"}`, "InvalidArgumentException", "Exactly one destination configuration is supported for a Firehose"},
			{`{"DeliveryStreamName":"x","S3DestinationConfiguration":` + s3 + `,"ExtendedS3DestinationConfiguration":` + s3 + `}`,
				"InvalidArgumentException", "Exactly one"},
			{`{"S3DestinationConfiguration":` + s3 + `}`, "ValidationException",
				"1 validation error detected: Value null at 'deliveryStreamName' failed to satisfy constraint: Member must not be null"},
			{`{"DeliveryStreamName":"a b","S3DestinationConfiguration":` + s3 + `}`, "ValidationException",
				"Value 'a b' at 'deliveryStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"},
			{`{"DeliveryStreamName":"` + strings.Repeat("x", 65) + `","S3DestinationConfiguration":` + s3 + `}`, "ValidationException",
				"Member must have length less than or equal to 64"},
			{`{"DeliveryStreamName":"x","DeliveryStreamType":"Queue","S3DestinationConfiguration":{}}`, "ValidationException",
				"3 validation errors detected: Value 'Queue' at 'deliveryStreamType' failed to satisfy constraint: Member must satisfy enum value set: " +
					"[DirectPut, KinesisStreamAsSource, MSKAsSource, DatabaseAsSource]; Value null at 's3DestinationConfiguration.roleARN'"},
			{`{"DeliveryStreamName":"x","RedshiftDestinationConfiguration":{"RoleARN":"` + role + `","ClusterJDBCURL":"u","CopyCommand":{},"S3Configuration":{"RoleARN":"no"}}}`,
				"ValidationException", "Value null at 'redshiftDestinationConfiguration.s3Configuration.bucketARN'"},
			{`{"DeliveryStreamName":"x","S3DestinationConfiguration":5}`, "SerializationException", ""},
			{`{"DeliveryStreamName":"x","S3DestinationConfiguration":{"RoleARN":5,"BucketARN":"b"}}`, "SerializationException", ""},
			{`{"DeliveryStreamName":5}`, "SerializationException", ""},
			{``, "SerializationException", ""},
		} {
			refused(t, s, "CreateDeliveryStream", c.body, c.code, c.message)
		}
		refused(t, s, "MakeCoffee", `{}`, "UnknownOperationException")
		refused(t, s, "DescribeDeliveryStream", `{"DeliveryStreamName":"x"}`, "ResourceNotFoundException",
			"Firehose x under account 000000000000 not found.")
	})
}

func TestStreamsAreListedByNameAndPage(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		for i := range 12 {
			ok(t, s, "CreateDeliveryStream", strings.Replace(hose, "hose", fmt.Sprintf("hose-%02d", 11-i), 1))
		}
		out := ok(t, s, "ListDeliveryStreams", `{}`)
		if names := out["DeliveryStreamNames"].([]any); len(names) != 10 || names[0] != "hose-00" || out["HasMoreDeliveryStreams"] != true {
			t.Errorf("first page: %v", out)
		}
		out = ok(t, s, "ListDeliveryStreams", `{"ExclusiveStartDeliveryStreamName":"hose-09x","Limit":2}`)
		want(t, out, `{"DeliveryStreamNames":["hose-10","hose-11"],"HasMoreDeliveryStreams":false}`)
		out = ok(t, s, "ListDeliveryStreams", `{"DeliveryStreamType":"MSKAsSource"}`)
		want(t, out, `{"DeliveryStreamNames":[],"HasMoreDeliveryStreams":false}`)
		refused(t, s, "ListDeliveryStreams", `{"Limit":0}`, "ValidationException", "Value '0' at 'limit'", "greater than or equal to 1")
		refused(t, s, "ListDeliveryStreams", `{"Limit":10001}`, "ValidationException", "less than or equal to 10000")
	})
}

func TestStatesFollowTheClock(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		s.SetTransitions(30 * time.Second)
		const name = `{"DeliveryStreamName":"hose"}`
		ok(t, s, "CreateDeliveryStream", hose)
		time.Sleep(30*time.Second - 1)
		want(t, at(t, describe(t, s, "hose"), "DeliveryStreamStatus"), `"CREATING"`)
		refused(t, s, "PutRecord", single("hose", nil), "ResourceNotFoundException", "Firehose hose not found under account 000000000000.")
		refused(t, s, "DeleteDeliveryStream", name, "ResourceInUseException", "CREATING")
		refused(t, s, "UntagDeliveryStream", `{"DeliveryStreamName":"hose","TagKeys":["a"]}`, "ResourceInUseException")
		time.Sleep(1)
		want(t, at(t, describe(t, s, "hose"), "DeliveryStreamStatus"), `"ACTIVE"`)
		ok(t, s, "PutRecord", single("hose", nil))

		ok(t, s, "DeleteDeliveryStream", name)
		time.Sleep(20 * time.Second)
		ok(t, s, "DeleteDeliveryStream", name) // does not prolong it
		want(t, at(t, describe(t, s, "hose"), "DeliveryStreamStatus"), `"DELETING"`)
		refused(t, s, "PutRecord", single("hose", nil), "ResourceNotFoundException")
		refused(t, s, "CreateDeliveryStream", hose, "ResourceInUseException")
		time.Sleep(10 * time.Second)
		refused(t, s, "DescribeDeliveryStream", name, "ResourceNotFoundException")
		want(t, ok(t, s, "ListDeliveryStreams", `{}`)["DeliveryStreamNames"], `[]`)

		s.SetTransitions(0)
		ok(t, s, "CreateDeliveryStream", hose)
		if n := len(s.Delivered("hose")); n != 0 {
			t.Errorf("a new stream of an old name has %d records", n)
		}
		ok(t, s, "DeleteDeliveryStream", name)
		refused(t, s, "DeleteDeliveryStream", name, "ResourceNotFoundException")
	})
}

func TestTheAccountHasAQuotaOfStreams(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		for i := range mostStreams {
			ok(t, s, "CreateDeliveryStream", strings.Replace(hose, "hose", fmt.Sprintf("hose-%04d", i), 1))
		}
		refused(t, s, "CreateDeliveryStream", hose, "LimitExceededException", "5000 hoses", "hose-0000, hose-0001")
		s.SetLimits(false)
		ok(t, s, "CreateDeliveryStream", hose)
	})
}

func TestTagsReplaceAndPage(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", strings.Replace(hose, `{`, `{"Tags":[{"Key":"b","Value":"1"},{"Key":"a"}],`, 1))
		ok(t, s, "TagDeliveryStream", `{"DeliveryStreamName":"hose","Tags":[{"Key":"b","Value":"2"},{"Key":"c","Value":"3"}]}`)
		ok(t, s, "UntagDeliveryStream", `{"DeliveryStreamName":"hose","TagKeys":["c","none"]}`)
		const list = "ListTagsForDeliveryStream"
		want(t, ok(t, s, list, `{"DeliveryStreamName":"hose"}`), `{"HasMoreTags":false,"Tags":[{"Key":"a","Value":""},{"Key":"b","Value":"2"}]}`)
		want(t, ok(t, s, list, `{"DeliveryStreamName":"hose","Limit":1}`), `{"HasMoreTags":true,"Tags":[{"Key":"a","Value":""}]}`)
		want(t, ok(t, s, list, `{"DeliveryStreamName":"hose","ExclusiveStartTagKey":"a"}`), `{"HasMoreTags":false,"Tags":[{"Key":"b","Value":"2"}]}`)

		const tag = "TagDeliveryStream"
		refused(t, s, tag, `{"DeliveryStreamName":"hose","Tags":[{"Key":"aws:x"},null]}`, "ValidationException", "'tags.1.member.key'", "'tags.2.member'")
		refused(t, s, tag, `{"DeliveryStreamName":"hose","Tags":[]}`, "ValidationException", "greater than or equal to 1")
		var full []string
		for i := range 49 {
			full = append(full, fmt.Sprintf(`{"Key":"k%d"}`, i))
		}
		refused(t, s, tag, `{"DeliveryStreamName":"hose","Tags":[`+strings.Join(full, ",")+`]}`, "LimitExceededException", "50 tags")
		ok(t, s, tag, `{"DeliveryStreamName":"hose","Tags":[`+strings.Join(full[:48], ",")+`]}`)
	})
}

func TestTagOperationsAreLimitedToFiveCallsASecond(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", hose)
		const list, name = "ListTagsForDeliveryStream", `{"DeliveryStreamName":"hose"}`
		for range 5 {
			ok(t, s, list, name)
		}
		refused(t, s, list, name, "LimitExceededException")
		ok(t, s, "UntagDeliveryStream", `{"DeliveryStreamName":"hose","TagKeys":["a"]}`) // has its own
		time.Sleep(200 * time.Millisecond)
		ok(t, s, list, name)
		refused(t, s, list, name, "LimitExceededException")
		s.SetLimits(false)
		ok(t, s, list, name)
	})
}

func TestEncryptionIsKeptAndLimited(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		s.SetTransitions(5 * time.Second)
		const start, stop, name = "StartDeliveryStreamEncryption", "StopDeliveryStreamEncryption", `{"DeliveryStreamName":"hose"}`
		const key = "arn:aws:kms:us-east-1:000000000000:key/k"
		const customer = `{"DeliveryStreamName":"hose","DeliveryStreamEncryptionConfigurationInput":{"KeyType":"CUSTOMER_MANAGED_CMK","KeyARN":"` + key + `"}}`
		status := func(expected string) {
			t.Helper()
			want(t, at(t, describe(t, s, "hose"), "DeliveryStreamEncryptionConfiguration"), expected)
		}
		ok(t, s, "CreateDeliveryStream", strings.Replace(hose, `{`, `{"DeliveryStreamEncryptionConfigurationInput":{"KeyType":"AWS_OWNED_CMK"},`, 1))
		status(`{"KeyType":"AWS_OWNED_CMK","Status":"ENABLING"}`)
		time.Sleep(5 * time.Second)
		want(t, ok(t, s, "PutRecord", single("hose", nil))["Encrypted"], `true`)
		ok(t, s, start, customer)
		status(`{"KeyARN":"` + key + `","KeyType":"CUSTOMER_MANAGED_CMK","Status":"ENABLING"}`)
		want(t, ok(t, s, "PutRecord", single("hose", nil))["Encrypted"], `false`)
		refused(t, s, stop, name, "ResourceInUseException", "ENABLING")
		time.Sleep(5 * time.Second)
		ok(t, s, stop, name)
		status(`{"Status":"DISABLING"}`)
		time.Sleep(5 * time.Second)
		status(`{"Status":"DISABLED"}`)

		refused(t, s, start, strings.Replace(customer, `,"KeyARN":"`+key+`"`, "", 1), "InvalidArgumentException", "KeyARN must be specified")
		refused(t, s, start, strings.Replace(customer, "CUSTOMER_MANAGED_CMK", "AWS_OWNED_CMK", 1), "InvalidArgumentException", "must not")
		refused(t, s, start, strings.Replace(customer, key, "k", 1), "ValidationException", "keyARN")
		s.SetTransitions(0)
		for range 23 {
			ok(t, s, start, name)
		}
		refused(t, s, start, name, "LimitExceededException", "25 times")
		time.Sleep(24 * time.Hour)
		ok(t, s, stop, name)
	})
}
