package firehose

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestASnapshotBringsBackTheWholeState(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", strings.Replace(hose, `{`, `{"Tags":[{"Key":"a","Value":"1"}],`, 1))
		ok(t, s, "StartDeliveryStreamEncryption", `{"DeliveryStreamName":"hose"}`)
		ok(t, s, "UpdateDestination", update("1", `"S3DestinationUpdate":{"Prefix":"q/<&>"}`))
		first := ok(t, s, "PutRecordBatch", batch("hose", []byte("a"), nil, []byte{0xff}))
		s.SetTransitions(time.Minute)
		ok(t, s, "CreateDeliveryStream", strings.Replace(hose, "hose", "new", 1))
		time.Sleep(20 * time.Second)
		var saved, again bytes.Buffer
		if err := s.Save(&saved); err != nil {
			t.Fatal(err)
		}

		time.Sleep(time.Hour) // the copy goes on where the snapshot was taken
		copied := New()
		if err := copied.Load(bytes.NewReader(saved.Bytes())); err != nil {
			t.Fatal(err)
		}
		if err := copied.Save(&again); err != nil || again.String() != saved.String() {
			t.Errorf("saved again, %v:\n%s\n%s", err, saved.String(), again.String())
		}
		if a, b := fmt.Sprint(describe(t, s, "hose")), fmt.Sprint(describe(t, copied, "hose")); a != b {
			t.Errorf("described\n%s, then\n%s", a, b)
		}
		if got := fmt.Sprintf("%q", copied.Delivered("hose")); got != `["a" "" "\xff"]` {
			t.Errorf("delivered %s", got)
		}
		want(t, ok(t, copied, "ListTagsForDeliveryStream", `{"DeliveryStreamName":"hose"}`)["Tags"], `[{"Key":"a","Value":"1"}]`)
		next := ok(t, copied, "PutRecord", single("hose", nil))
		if strings.Contains(fmt.Sprint(first), next["RecordId"].(string)) {
			t.Errorf("the id %v is given twice", next["RecordId"])
		}
		time.Sleep(40*time.Second - 1)
		want(t, at(t, describe(t, copied, "new"), "DeliveryStreamStatus"), `"CREATING"`)
		time.Sleep(1)
		want(t, at(t, describe(t, copied, "new"), "DeliveryStreamStatus"), `"ACTIVE"`)
	})
}

func TestADeletionGoesOnAfterLoad(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", hose)
		s.SetTransitions(time.Minute)
		ok(t, s, "DeleteDeliveryStream", `{"DeliveryStreamName":"hose"}`)
		time.Sleep(time.Second)
		var saved bytes.Buffer
		if err := s.Save(&saved); err != nil {
			t.Fatal(err)
		}
		copied := New()
		if err := copied.Load(&saved); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59*time.Second - 1)
		want(t, at(t, describe(t, copied, "hose"), "DeliveryStreamStatus"), `"DELETING"`)
		time.Sleep(1)
		refused(t, copied, "DescribeDeliveryStream", `{"DeliveryStreamName":"hose"}`, "ResourceNotFoundException")
	})
}

type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestSaveReportsTheWritersError(t *testing.T) {
	t.Parallel()
	if err := New().Save(full{}); !errors.Is(err, errFull) {
		t.Error(err)
	}
}

func TestABadSnapshotChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", hose)
		var saved bytes.Buffer
		if err := s.Save(&saved); err != nil {
			t.Fatal(err)
		}
		good := saved.String()
		for _, bad := range []string{
			"", "{", "{}", good + good, strings.Replace(good, `"Version":1`, `"Version":2`, 1), strings.Replace(good, `"Name":"hose"`, `"Name":"a b"`, 1),
			strings.Replace(good, `"Kind":"ExtendedS3"`, `"Kind":"S3"`, 1), strings.Replace(good, `"Type":"DirectPut"`, `"Type":""`, 1),
			strings.Replace(good, `"Made":1`, `"Made":0`, 1), strings.Replace(good, `"VersionID":1`, `"VersionID":0`, 1),
			`{"Version":1,"Made":1,"Streams":[{"Name":"x","Type":"DirectPut","Kind":"Splunk","VersionID":1}]}`,
		} {
			if err := s.Load(strings.NewReader(bad)); err == nil || !strings.HasPrefix(err.Error(), "firehose: load: ") {
				t.Errorf("%s: %v", short(bad), err)
			}
		}
		describe(t, s, "hose")
	})
}
