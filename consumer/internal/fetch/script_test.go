package fetch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go/eventstream"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
)

// script answers one SubscribeToShard after the other with streams that a test has written down, for what a server never says.
type script struct {
	streams   [][]frame
	positions []string
}

// frame is one frame of a stream. The zero frame is silence, until the client gives up.
type frame struct{ kind, name, payload string }

func event(payload string) frame   { return frame{"event", "SubscribeToShardEvent", payload} }
func exception(name string) frame  { return frame{"exception", name, `{"message":"no"}`} }
func (f frame) typeHeader() string { return ":" + f.kind + "-type" }

func (f frame) bytes() []byte {
	var m eventstream.Message
	for _, h := range [][2]string{{":message-type", f.kind}, {f.typeHeader(), f.name}, {":content-type", "application/json"}} {
		m.Headers.Set(h[0], eventstream.StringValue(h[1]))
	}
	m.Payload = []byte(f.payload)
	var out bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&out, m); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func (s *script) Do(req *http.Request) (*http.Response, error) {
	var in struct {
		StartingPosition struct{ Type, SequenceNumber string }
	}
	if err := json.NewDecoder(req.Body).Decode(&in); err != nil {
		return nil, err
	}
	s.positions = append(s.positions, in.StartingPosition.Type+" "+in.StartingPosition.SequenceNumber)
	var body []byte
	silent := false
	for _, f := range append([]frame{{"event", "initial-response", "{}"}}, s.streams[0]...) {
		if silent = f.kind == ""; silent {
			break
		}
		body = append(body, f.bytes()...)
	}
	s.streams = s.streams[1:]
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/vnd.amazon.eventstream"}}}
	resp.Body = &scriptBody{bytes.NewReader(body), silent, make(chan struct{})}
	return resp, nil
}

type scriptBody struct {
	*bytes.Reader
	silent bool
	closed chan struct{}
}

func (b *scriptBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF && b.silent {
		<-b.closed
	}
	return n, err
}

func (b *scriptBody) Close() error {
	close(b.closed)
	return nil
}

// play reads n pages of a script, errors being pages too.
func play(t *testing.T, n int, streams ...[]frame) (got []string, s *script) {
	t.Helper()
	s = &script{streams: streams}
	client := kinesis.New(kinesis.Options{
		Region: "us-east-1", HTTPClient: s, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		BaseEndpoint: aws.String("http://script"),
	})
	sub := fetch.NewSubscriber(client, fetch.SubscriberOptions{
		Consumer: &registered{arn: streamARN + "/consumer/app:1"}, Shard: shardID, Start: fetch.Place{Position: checkpoint.TrimHorizon}, Rand: rand.New(rand.NewPCG(1, 1)),
		Memory: fetch.NewBudget(1 << 30).Open(),
	})
	defer sub.Close()
	for range n {
		page, err := sub.Next(context.Background())
		switch {
		case err != nil && awsx.Classify(err) == awsx.Canceled:
			t.Errorf("nobody cancelled anything: %v", err)
		case err != nil:
			got = append(got, "error")
		case page.Closed:
			got = append(got, data(page)+".")
		default:
			got = append(got, data(page))
		}
	}
	return got, s
}

const (
	eventA = `{"Records":[{"SequenceNumber":"1","PartitionKey":"k","Data":"YQ=="}],"ContinuationSequenceNumber":"1","MillisBehindLatest":0}`
	eventB = `{"Records":[{"SequenceNumber":"2","PartitionKey":"k","Data":"Yg=="}],"ContinuationSequenceNumber":"2","MillisBehindLatest":0}`
)

func TestWhatAStreamMaySayIsUnderstood(t *testing.T) {
	for name, c := range map[string]struct {
		streams   [][]frame
		want      []string
		positions []string
	}{
		"an event that cannot be read is not taken": {
			[][]frame{{event(eventA), event(`{"Records":[{"SequenceNumber":"x","PartitionKey":"k","Data":"Yg=="}],"ContinuationSequenceNumber":"9"}`)}, {event(eventB)}},
			[]string{"a", "error", "b"}, []string{"TRIM_HORIZON ", "AFTER_SEQUENCE_NUMBER 1"},
		},
		"an event of another kind is passed over": {
			[][]frame{{event(eventA), {"event", "Weather", `{"rain":true}`}, event(eventB)}},
			[]string{"a", "b"}, []string{"TRIM_HORIZON "},
		},
		"an empty event moves the place": {
			[][]frame{{event(eventA), event(`{"Records":[],"ContinuationSequenceNumber":"7","MillisBehindLatest":0}`)}, {event(eventB)}},
			[]string{"a", "", "b"}, []string{"TRIM_HORIZON ", "AFTER_SEQUENCE_NUMBER 7"},
		},
		"no continuation and no children: the last record's number": {
			[][]frame{{event(`{"Records":[{"SequenceNumber":"1","PartitionKey":"k","Data":"YQ=="}]}`)}, {event(eventB)}},
			[]string{"a.", "b"}, []string{"TRIM_HORIZON ", "AFTER_SEQUENCE_NUMBER 1"},
		},
		"children beside a continuation are not believed": {
			[][]frame{{event(`{"Records":[],"ContinuationSequenceNumber":"7","ChildShards":[{"ShardId":"x","ParentShards":["y"]}]}`), event(eventB)}},
			[]string{"", "b"}, []string{"TRIM_HORIZON "},
		},
		"exceptions": {
			[][]frame{
				{event(eventA)}, {exception("InternalFailureException")}, {exception("KMSDisabledException")}, {exception("LimitExceededException")},
				{exception("ResourceNotFoundException")}, {exception("OfTheFuture")}, {event(eventB)},
			},
			[]string{"a", "error", "error", "error", "error", "error", "b"},
			append([]string{"TRIM_HORIZON "}, slices.Repeat([]string{"AFTER_SEQUENCE_NUMBER 1"}, 6)...),
		},
		"silence is a dead connection": {
			[][]frame{{event(eventA), {}}, {{}}, {event(eventB)}},
			[]string{"a", "error", "error", "b"}, []string{"TRIM_HORIZON ", "AFTER_SEQUENCE_NUMBER 1", "AFTER_SEQUENCE_NUMBER 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				got, s := play(t, len(c.want), c.streams...)
				if !slices.Equal(got, c.want) || !slices.Equal(s.positions, c.positions) {
					t.Errorf("got %q with subscriptions at %q, want %q at %q", got, s.positions, c.want, c.positions)
				}
				if took := time.Since(begin); took > 90*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
