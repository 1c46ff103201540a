package awsx

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

func TestPutOnceSendsWhatTheSDKWouldSend(t *testing.T) {
	t.Parallel()
	entry := func(key, hash *string, data []byte) types.PutRecordsRequestEntry {
		return types.PutRecordsRequestEntry{PartitionKey: key, ExplicitHashKey: hash, Data: data}
	}
	s := aws.String
	for name, in := range map[string]*kinesis.PutRecordsInput{
		"by name":       {StreamName: s("orders"), Records: []types.PutRecordsRequestEntry{entry(s("a"), s("0"), []byte("data")), entry(s("k"), s("17"), []byte{0, 255, 254})}},
		"by ARN":        {StreamARN: s("arn:aws:kinesis:eu-west-1:1:stream/x"), Records: []types.PutRecordsRequestEntry{entry(s("a"), s("0"), []byte{})}},
		"with the rest": {StreamName: s("orders"), StreamId: s("i"), DryRun: aws.Bool(true), Records: []types.PutRecordsRequestEntry{entry(s("k"), nil, []byte("x"))}},
		"no hash key":   {StreamName: s("o"), Records: []types.PutRecordsRequestEntry{entry(s("k"), nil, make([]byte, 1000))}},
		"odd keys": {StreamName: s(`"\<>&`), Records: []types.PutRecordsRequestEntry{
			entry(s("\x00\x1f\"\\/<>&'\x7f"), nil, []byte("1")), entry(s("ключ 日本 🌍 \u2028\u2029"), nil, []byte("22")), entry(s("~ plain ~"), s("5"), []byte("333")), entry(s("\x00\x1f\"\\"), nil, []byte("4")),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var bodies []map[string]any
			var headers []http.Header
			for _, option := range []func(*kinesis.Options){KinesisOnce, PutOnce} {
				client := &service{answer: func(r *http.Request) (*http.Response, error) {
					body, err := io.ReadAll(r.Body)
					if err != nil {
						return nil, err
					}
					if int64(len(body)) != r.ContentLength {
						t.Errorf("content length %d of %d bytes", r.ContentLength, len(body))
					}
					var object map[string]any
					if err := json.Unmarshal(body, &object); err != nil {
						t.Errorf("%v: %s", err, body)
					}
					h := r.Header.Clone()
					for _, varies := range []string{"Amz-Sdk-Invocation-Id", "Authorization", "X-Amz-Date", "Content-Length", "Amz-Sdk-Request"} {
						h.Del(varies)
					}
					bodies, headers = append(bodies, object), append(headers, h)
					return respond(200, `{"Records":[]}`)(r)
				}}
				k := kinesis.New(kinesis.Options{Region: "eu-west-1", Credentials: aws.CredentialsProviderFunc(keys), HTTPClient: client})
				if _, err := k.PutRecords(context.Background(), in, option); err != nil {
					t.Fatal(err)
				}
			}
			if !reflect.DeepEqual(bodies[0], bodies[1]) {
				t.Errorf("the SDK sends\n%v\nand PutOnce\n%v", bodies[0], bodies[1])
			}
			if !reflect.DeepEqual(headers[0], headers[1]) {
				t.Errorf("the SDK sends\n%v\nand PutOnce\n%v", headers[0], headers[1])
			}
		})
	}
}
