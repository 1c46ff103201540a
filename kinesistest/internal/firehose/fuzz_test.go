package firehose

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// No request makes Call or Key panic; what Call answers is JSON, and what it refuses has a code.
func FuzzCall(f *testing.F) {
	for op := range operations {
		for _, body := range []string{
			``, `null`, `[]`, `{}`, `{"DeliveryStreamName":null}`, `{"DeliveryStreamName":"hose"}`, `{"DeliveryStreamName":"hose","Limit":1}`, hose,
			strings.Replace(hose, "hose", "other", 1), single("hose", []byte("a")), batch("hose", []byte("a"), nil),
			`{"DeliveryStreamName":"hose","Records":[null,{},{"Data":null},{"Data":"AA"}]}`,
			`{"DeliveryStreamName":"hose","Tags":[null,{"Key":null},{"Key":"a","Value":"b"}],"TagKeys":[null,"a"]}`,
			`{"DeliveryStreamName":"hose","DeliveryStreamEncryptionConfigurationInput":{}}`,
			`{"DeliveryStreamName":"hose","DeliveryStreamEncryptionConfigurationInput":{"KeyType":"CUSTOMER_MANAGED_CMK"}}`,
			update("1", `"S3DestinationUpdate":{"Prefix":null}`), update("1", `"RedshiftDestinationUpdate":{"S3Update":null}`),
			update("1", `"RedshiftDestinationUpdate":{"S3Update":{"RoleARN":1}}`), update("1", `"ExtendedS3DestinationUpdate":{"S3BackupUpdate":[]}`),
			`{"DeliveryStreamName":"k","DeliveryStreamType":"KinesisStreamAsSource","KinesisStreamSourceConfiguration":{},"S3DestinationConfiguration":` + s3 + `}`,
			`{"DeliveryStreamName":"v","ElasticsearchDestinationConfiguration":{"RoleARN":"` + role + `","IndexName":1,"S3Configuration":` + s3 + `,"VpcConfiguration":{"":null}}}`,
		} {
			f.Add(op, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, op string, body []byte) {
		s := New()
		ok(t, s, "CreateDeliveryStream", hose)
		s.Key(op, body)
		for range 2 { // the second time meets what the first has made
			out, fault := s.Call(context.Background(), op, body)
			if fault == nil && !json.Valid(out) {
				t.Fatalf("%s %q answers %q", op, body, out)
			}
			if fault != nil && (fault.Code == "" || out != nil) {
				t.Fatalf("%s %q: %v with %q", op, body, fault, out)
			}
		}
		for _, name := range []string{"hose", s.Key(op, body)} {
			ask, _ := json.Marshal(map[string]string{"DeliveryStreamName": name})
			if out, fault := s.Call(context.Background(), "DescribeDeliveryStream", ask); fault == nil && !json.Valid(out) {
				t.Fatalf("described as %q", out)
			}
		}
	})
}

func TestKeyIsTheStreamOfARequest(t *testing.T) {
	t.Parallel()
	s := New()
	for body, name := range map[string]string{
		hose: "hose", batch("b", nil): "b", `{"Record":{"DeliveryStreamName":"no"}}`: "", `{}`: "", `{"DeliveryStreamName":5}`: "", `{"DeliveryStreamName":"x"`: "",
	} {
		if got := s.Key("PutRecord", []byte(body)); got != name {
			t.Errorf("%s: %q, want %q", body, got, name)
		}
	}
}
