package consumer_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

// Eight shards on one client, over real connections: subscriptions must not wait for each other, nor keep a connection when Run is over.
func TestFanOutWorksOverRealConnections(t *testing.T) {
	for name, client := range map[string]func(t *testing.T) aws.HTTPClient{
		"HTTP/1.1": func(*testing.T) aws.HTTPClient { return awsx.HTTPClient() },
		"h2c": func(t *testing.T) aws.HTTPClient {
			protocols := new(http.Protocols)
			protocols.SetUnencryptedHTTP2(true)
			transport := &http.Transport{Protocols: protocols}
			t.Cleanup(transport.CloseIdleConnections)
			return &http.Client{Transport: transport}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := kinesistest.New(kinesistest.WithoutLimits())
			s.CreateStream(streamName, 8)
			url, err := s.Listen("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			cfg := s.Config("w1")
			cfg.BaseEndpoint, cfg.HTTPClient = &url, client(t)
			readOverTCP(t, s, kinesis.NewFromConfig(cfg))
			if err := s.Close(); err != nil { // it waits for all that is being served
				t.Error(err)
			}
		})
	}
}

func readOverTCP(t *testing.T, s *kinesistest.Server, api *kinesis.Client) {
	t.Helper()
	const keys, each = 32, 40
	var mu sync.Mutex
	last := map[string]int{}
	all := make(chan struct{})
	left := keys * each
	c, err := consumer.New(pushed("w1", func(o *consumer.FanOut) { o.Deregister = true }), api, memstore.New(), consumer.Each(
		func(_ context.Context, r *consumer.Record) error {
			mu.Lock()
			defer mu.Unlock()
			if want := fmt.Sprint(last[r.PartitionKey]); string(r.Data) != want {
				t.Errorf("%s: %s where %s was due", r.PartitionKey, r.Data, want)
			}
			last[r.PartitionKey]++
			if left--; left == 0 {
				close(all)
			}
			return nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(context.Background()) }()
	for i := range each {
		if i == each/2 {
			s.Split(streamName, shard0)
			s.Merge(streamName, shard2, shard3)
		}
		for k := range keys {
			_, err := api.PutRecord(t.Context(), &kinesis.PutRecordInput{
				StreamName: ptr(streamName), PartitionKey: ptr(fmt.Sprint("key", k)), Data: fmt.Append(nil, i),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	select {
	case <-all:
	case err := <-ended:
		t.Fatalf("run returned %v", err)
	case <-time.After(time.Minute):
		t.Fatalf("%d records are missing; %+v", left, c.Health())
	}
	if err := c.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := s.Calls("GetRecords"); n != 0 {
		t.Errorf("%d polls", n)
	}
}
