package firehose

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

const (
	role    = "arn:aws:iam::000000000000:role/firehose"
	bucket1 = "arn:aws:s3:::one"
	bucket2 = "arn:aws:s3:::two"
	s3      = `{"RoleARN":"` + role + `","BucketARN":"` + bucket1 + `"}`
	hose    = `{"DeliveryStreamName":"hose","ExtendedS3DestinationConfiguration":` + s3 + `}`
)

// bubble runs fn on a virtual clock, in parallel with other tests.
func bubble(t *testing.T, fn func(t *testing.T, s *Service)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { fn(t, New()) })
}

// ok performs a call that must succeed.
func ok(t *testing.T, s *Service, op, body string) map[string]any {
	t.Helper()
	out, fault := s.Call(t.Context(), op, []byte(body))
	if fault != nil {
		t.Fatalf("%s %s: %v", op, short(body), fault)
	}
	answer := map[string]any{}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%s answers %q: %v", op, out, err)
	}
	return answer
}

// refused performs a call that must fail with a code and a message that has all of some parts.
func refused(t *testing.T, s *Service, op, body, code string, parts ...string) {
	t.Helper()
	out, fault := s.Call(t.Context(), op, []byte(body))
	if fault == nil {
		t.Errorf("%s %s succeeded: %s", op, short(body), out)
		return
	}
	if fault.Code != code {
		t.Errorf("%s %s: %v, want %s", op, short(body), fault, code)
	}
	for _, part := range parts {
		if !strings.Contains(fault.Message, part) {
			t.Errorf("%s %s: %q lacks %q", op, short(body), fault.Message, part)
		}
	}
}

func short(s string) string { return s[:min(len(s), 300)] }

// at walks into an answer by the names of members.
func at(t *testing.T, v any, names ...string) any {
	t.Helper()
	for _, name := range names {
		if list, isList := v.([]any); isList {
			if len(list) == 0 {
				t.Fatalf("nothing before %s", name)
			}
			v = list[0]
		}
		v = v.(map[string]any)[name]
	}
	return v
}

func describe(t *testing.T, s *Service, name string) any {
	t.Helper()
	return ok(t, s, "DescribeDeliveryStream", `{"DeliveryStreamName":"`+name+`"}`)["DeliveryStreamDescription"]
}

// want compares a part of an answer with its JSON.
func want(t *testing.T, got any, expected string) {
	t.Helper()
	raw, err := json.Marshal(got)
	if err != nil || string(raw) != expected {
		t.Errorf("%s, want %s, %v", raw, expected, err)
	}
}

func record(data []byte) string {
	return `{"Data":"` + base64.StdEncoding.EncodeToString(data) + `"}`
}

func batch(stream string, records ...[]byte) string {
	list := make([]string, len(records))
	for i, data := range records {
		list[i] = record(data)
	}
	return fmt.Sprintf(`{"DeliveryStreamName":%q,"Records":[%s]}`, stream, strings.Join(list, ","))
}

func single(stream string, data []byte) string {
	return fmt.Sprintf(`{"DeliveryStreamName":%q,"Record":%s}`, stream, record(data))
}

// many is n records of a size.
func many(n, size int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = make([]byte, size)
	}
	return out
}
