package firehose

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRecordsAreDeliveredInTheOrderTheyWereAccepted(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", hose)
		first := ok(t, s, "PutRecord", single("hose", []byte("a")))
		out := ok(t, s, "PutRecordBatch", batch("hose", []byte("b"), nil, []byte("c")))
		want(t, out["FailedPutCount"], `0`)
		want(t, out["Encrypted"], `false`)
		ids := map[any]bool{first["RecordId"]: true}
		for _, r := range out["RequestResponses"].([]any) {
			ids[at(t, r, "RecordId")] = true
		}
		if len(ids) != 4 || ids[nil] || ids[""] {
			t.Errorf("ids %v", ids)
		}
		if got := fmt.Sprintf("%q", s.Delivered("hose")); got != `["a" "b" "" "c"]` {
			t.Errorf("delivered %s", got)
		}
		defer func() {
			if recover() == nil {
				t.Error("Delivered of an unknown stream did not panic")
			}
		}()
		s.Delivered("none")
	})
}

func TestPutsHaveTheServicesLimits(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", hose)
		ok(t, s, "PutRecord", single("hose", make([]byte, 1_024_000)))
		refused(t, s, "PutRecord", single("hose", make([]byte, 1_024_001)), "ValidationException",
			"1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1024001 cap=1024001]' at 'record.data' "+
				"failed to satisfy constraint: Member must have length less than or equal to 1024000")
		refused(t, s, "PutRecordBatch", batch("hose", nil, make([]byte, 1_024_001)), "ValidationException", "'records.2.member.data'")

		time.Sleep(time.Second)
		full := append(many(4, 1_000_000), make([]byte, 4<<20-4_000_000))
		want(t, ok(t, s, "PutRecordBatch", batch("hose", full...))["FailedPutCount"], `0`)
		refused(t, s, "PutRecordBatch", batch("hose", append(full, []byte{0})...), "InvalidArgumentException", "Records size exceeds 4 MB limit")

		time.Sleep(time.Second)
		want(t, ok(t, s, "PutRecordBatch", batch("hose", many(500, 1)...))["FailedPutCount"], `0`)
		refused(t, s, "PutRecordBatch", batch("hose", many(501, 1)...), "ValidationException", "'records'", "less than or equal to 500")
		refused(t, s, "PutRecordBatch", batch("hose"), "ValidationException", "'records'", "greater than or equal to 1")
		if n := len(s.Delivered("hose")); n != 506 {
			t.Errorf("%d records", n)
		}
	})
}

func TestMalformedPutsAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", hose)
		for _, c := range []struct{ op, body, code, message string }{
			{"PutRecord", `{"DeliveryStreamName":"hose"}`, "ValidationException", "Value null at 'record' "},
			{"PutRecord", `{"DeliveryStreamName":"hose","Record":{}}`, "ValidationException", "Value null at 'record.data' "},
			{"PutRecord", `{"Record":{"Data":""}}`, "ValidationException", "Value null at 'deliveryStreamName' "},
			{"PutRecord", `{"DeliveryStreamName":"hose","Record":{"Data":"?"}}`, "SerializationException", ""},
			{"PutRecord", `{"DeliveryStreamName":"hose","Record":{"Data":5}}`, "SerializationException", ""},
			{"PutRecord", `{"DeliveryStreamName":"hose","Record":[]}`, "SerializationException", ""},
			{"PutRecord", ``, "SerializationException", ""},
			{"PutRecordBatch", `{"DeliveryStreamName":"hose"}`, "ValidationException", "Value null at 'records' "},
			{"PutRecordBatch", `{"DeliveryStreamName":"hose","Records":[{"Data":""},null]}`, "ValidationException", "'records.2.member.data'"},
			{"PutRecordBatch", batch("none", nil), "ResourceNotFoundException", "Firehose none not found under account"},
			{"PutRecord", single("none", nil), "ResourceNotFoundException", "Firehose none not found under account"},
		} {
			refused(t, s, c.op, c.body, c.code, c.message)
		}
		if n := len(s.Delivered("hose")); n != 0 {
			t.Errorf("%d records", n)
		}
	})
}

func failed(t *testing.T, out map[string]any) (n int) {
	t.Helper()
	for _, r := range out["RequestResponses"].([]any) {
		r := r.(map[string]any)
		if r["ErrorCode"] == nil {
			continue
		}
		n++
		if r["ErrorCode"] != "ServiceUnavailableException" || r["ErrorMessage"] != "Slow down." || r["RecordId"] != nil {
			t.Errorf("entry %v", r)
		}
	}
	if out["FailedPutCount"] != float64(n) {
		t.Errorf("FailedPutCount %v, %d failed", out["FailedPutCount"], n)
	}
	return n
}

func TestAStreamTakesFiveThousandRecordsASecond(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", hose)
		for range 9 {
			ok(t, s, "PutRecordBatch", batch("hose", many(500, 1)...))
		}
		for range 100 {
			ok(t, s, "PutRecord", single("hose", nil))
		}
		if n := failed(t, ok(t, s, "PutRecordBatch", batch("hose", many(500, 1)...))); n != 100 {
			t.Errorf("%d failed, want 100", n)
		}
		_, fault := s.Call(t.Context(), "PutRecord", []byte(single("hose", nil)))
		if fault == nil || fault.Code != "ServiceUnavailableException" || fault.Message != "Slow down." || fault.Status != 500 {
			t.Errorf("over the rate: %v", fault)
		}
		time.Sleep(20 * time.Millisecond) // 100 records' worth
		if n := failed(t, ok(t, s, "PutRecordBatch", batch("hose", many(101, 1)...))); n != 1 {
			t.Errorf("%d failed, want 1", n)
		}
		if n := len(s.Delivered("hose")); n != 5_100 {
			t.Errorf("%d records", n)
		}
		time.Sleep(time.Hour) // what is not used is lost
		for range 10 {
			ok(t, s, "PutRecordBatch", batch("hose", many(500, 1)...))
		}
		refused(t, s, "PutRecord", single("hose", nil), "ServiceUnavailableException")
		s.SetLimits(false)
		ok(t, s, "PutRecord", single("hose", nil))
	})
}

func TestAStreamTakesFiveMebibytesASecond(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", hose)
		ok(t, s, "PutRecordBatch", batch("hose", many(8, 512<<10)...))
		// One mebibyte is left: what is too large fails, and what comes after it and fits does not.
		out := ok(t, s, "PutRecordBatch", batch("hose", make([]byte, 600<<10), make([]byte, 600<<10), make([]byte, 424<<10)))
		if n := failed(t, out); n != 1 || at(t, out["RequestResponses"].([]any)[1], "ErrorCode") == nil {
			t.Errorf("%v", out)
		}
		refused(t, s, "PutRecord", single("hose", []byte{0}), "ServiceUnavailableException")
		ok(t, s, "PutRecord", single("hose", nil)) // no bytes
		time.Sleep(100 * time.Millisecond)
		ok(t, s, "PutRecord", single("hose", make([]byte, 512<<10)))
		refused(t, s, "PutRecord", single("hose", []byte{0}), "ServiceUnavailableException")
	})
}

func TestAStreamTakesTwoThousandRequestsASecond(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", hose)
		for range 2_000 {
			ok(t, s, "PutRecord", single("hose", nil))
		}
		refused(t, s, "PutRecordBatch", batch("hose", nil), "ServiceUnavailableException", "Slow down.")
		time.Sleep(time.Millisecond)
		ok(t, s, "PutRecordBatch", batch("hose", nil))
	})
}

func TestEntriesFailAsArranged(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", hose)
		call := func(code string, share float64, seed uint64) []byte {
			ctx := WithFailing(t.Context(), &Failing{Code: code, Share: share, Draw: rand.New(rand.NewPCG(seed, 0))})
			out, fault := s.Call(ctx, "PutRecordBatch", []byte(batch("hose", many(100, 1)...)))
			if fault != nil {
				t.Fatal(fault)
			}
			return out
		}
		out := string(call("ServiceUnavailableException", 1, 1))
		if strings.Count(out, `{"ErrorCode":"ServiceUnavailableException","ErrorMessage":"Slow down."}`) != 100 || len(s.Delivered("hose")) != 0 {
			t.Errorf("all: %s", out)
		}
		if out := string(call("InternalFailure", 1, 1)); strings.Count(out, `"ErrorCode":"InternalFailure","ErrorMessage":"Internal service failure."`) != 100 {
			t.Errorf("all: %s", out)
		}
		pattern := func(out []byte) string {
			return fmt.Sprint(bytes.Count(out, []byte("RecordId")), bytes.Index(out, []byte("ErrorCode")))
		}
		some := call("InternalFailure", 0.3, 7)
		taken := bytes.Count(some, []byte("RecordId"))
		if taken < 50 || taken > 90 || len(s.Delivered("hose")) != taken {
			t.Errorf("%d of 100 taken, %d delivered", taken, len(s.Delivered("hose")))
		}
		if again := call("InternalFailure", 0.3, 7); pattern(again) != pattern(some) {
			t.Errorf("the same seed gives %s, then %s", pattern(some), pattern(again))
		}
	})
}

// Under the race detector: the records of a batch stay together whatever else goes on.
func TestCallsFromManyGoroutinesKeepBatchesTogether(t *testing.T) {
	t.Parallel()
	s := New()
	s.SetLimits(false)
	ok(t, s, "CreateDeliveryStream", hose)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			data := []byte{byte('a' + g)}
			for range 50 {
				for _, c := range []struct{ op, body string }{
					{"PutRecordBatch", batch("hose", data, data, data)},
					{"DescribeDeliveryStream", `{"DeliveryStreamName":"hose"}`},
					{"UpdateDestination", update("1", `"S3DestinationUpdate":{"Prefix":"x"}`)},
					{"TagDeliveryStream", `{"DeliveryStreamName":"hose","Tags":[{"Key":"a"}]}`},
					{"ListTagsForDeliveryStream", `{"DeliveryStreamName":"hose"}`},
				} {
					_, fault := s.Call(t.Context(), c.op, []byte(c.body))
					if fault != nil && fault.Code != "ConcurrentModificationException" {
						t.Error(c.op, fault)
					}
				}
				s.Delivered("hose")
				if err := s.Save(new(bytes.Buffer)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := s.Delivered("hose")
	if len(got) != 8*50*3 {
		t.Fatalf("%d records", len(got))
	}
	for i := 0; i < len(got); i += 3 {
		if got[i][0] != got[i+1][0] || got[i][0] != got[i+2][0] {
			t.Fatalf("batch at %d: %q", i, got[i:i+3])
		}
	}
	want(t, at(t, describe(t, s, "hose"), "VersionId"), `"2"`) // one of the updates won
}
