package kinesistest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// overEach runs fn once for every way to reach a server over TCP, with a server of its own.
func overEach(t *testing.T, fn func(t *testing.T, s *kinesistest.Server, c *client)) {
	t.Helper()
	t.Parallel()
	for name, connect := range map[string]func(t *testing.T, s *kinesistest.Server) (url string, hc aws.HTTPClient){
		"HTTP/1.1": func(t *testing.T, s *kinesistest.Server) (string, aws.HTTPClient) {
			return ok(s.Listen("127.0.0.1:0"))(t), awsx.HTTPClient()
		},
		"h2c": func(t *testing.T, s *kinesistest.Server) (string, aws.HTTPClient) {
			return ok(s.Listen("127.0.0.1:0"))(t), h2c(t)
		},
		"HTTP/2 with TLS": func(t *testing.T, s *kinesistest.Server) (string, aws.HTTPClient) {
			url, pem, err := s.ListenTLS("127.0.0.1:0")
			roots := x509.NewCertPool()
			if err != nil || !roots.AppendCertsFromPEM(pem) {
				t.Fatal(err)
			}
			protocols := new(http.Protocols)
			protocols.SetHTTP2(true)
			transport := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
			t.Cleanup(transport.CloseIdleConnections)
			return url, &http.Client{Transport: transport}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := kinesistest.New(kinesistest.WithoutLimits())
			t.Cleanup(func() { _ = s.Close() })
			s.CreateStream("orders", 1)
			url, hc := connect(t, s)
			fn(t, s, newClient(t, overTCP(s, url, "app", hc)))
		})
	}
}

func TestSubscriptionsWorkOverEveryTransport(t *testing.T) {
	overEach(t, func(t *testing.T, s *kinesistest.Server, c *client) {
		sub := c.follow(c.register("app"), 0, horizon)
		var put, got []string
		for i := range 50 {
			text := fmt.Sprint(i)
			put = append(put, text)
			c.put("k", text)
			for len(got) < len(put) { // each is pushed, or this waits for ever
				got = append(got, texts(sub.next().Records)...)
			}
		}
		equal(t, "pushed", got, put)
		ok(c.PutRecords(context.Background(), batch("orders", 500, 4096)))(t)
		s.Split("orders", shardID(0))
		events, err := sub.rest()
		if n := len(all(events)); err != nil || n != 500 {
			t.Fatalf("%d records at the end, %v", n, err)
		}
		if last := events[len(events)-1]; len(last.ChildShards) != 2 || last.ContinuationSequenceNumber != nil {
			t.Errorf("the last event: %+v", last)
		}
	})
}

func TestExceptionsAndCutsArriveOverEveryTransport(t *testing.T) {
	overEach(t, func(t *testing.T, s *kinesistest.Server, c *client) {
		gone := c.register("gone")
		sub := c.follow(gone, 0, latest)
		sub.next()
		c.deregister(gone)
		_, err := sub.rest()
		if e := new(types.ResourceNotFoundException); !errors.As(err, &e) {
			t.Error("deregistered:", err)
		}
		_, err = c.subscribe(gone, 0, latest)
		want(t, err, "ResourceNotFoundException")
		for i, bytes := range []int{0, 1, 50, 150, 1 << 30} {
			s.On("SubscribeToShard", kinesistest.CutStream(1, bytes)).Times(1)
			sub := c.follow(c.register(fmt.Sprint("cut-", i)), 0, latest)
			sub.next()
			c.put("k", "the event that is cut")
			if events, err := sub.rest(); len(events) != 0 || err != nil {
				t.Errorf("cut after %d bytes: %d events, %v", bytes, len(events), err)
			}
		}
		s.On("SubscribeToShard", kinesistest.LoseReply()).Times(1)
		lost := c.register("lost")
		if _, err = c.subscribe(lost, 0, latest); err == nil {
			t.Error("a lost reply has arrived")
		}
		_, err = c.subscribe(lost, 0, latest)
		want(t, err, "ResourceInUseException")
	})
}

// The end of the test is the check: Close waits for all that is being served.
func TestClosingEndsSubscriptionsOverEveryTransport(t *testing.T) {
	overEach(t, func(t *testing.T, s *kinesistest.Server, c *client) {
		closed := c.follow(c.register("closed"), 0, latest)
		closed.next()
		_ = closed.Close()
		ctx, cancel := context.WithCancel(t.Context())
		canceled := ok(c.subscribeCtx(ctx, c.register("canceled"), 0, latest))(t)
		canceled.next()
		cancel()
		if _, err := canceled.rest(); !errors.Is(err, context.Canceled) {
			t.Error("canceled:", err)
		}
		unread, left := c.follow(c.register("unread"), 0, horizon), c.follow(c.register("left"), 0, latest)
		left.next()
		for range 8 { // 16 MB: beyond what sockets take for a client that does not read
			ok(newClient(t, s.Config("")).PutRecords(context.Background(), batch("orders", 500, 4096)))(t)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for range left.Events() {
		}
		for range unread.Events() {
		}
	})
}

func TestManyStreamsAndWritersOverEveryTransport(t *testing.T) {
	overEach(t, func(t *testing.T, _ *kinesistest.Server, c *client) {
		const writers, each = 4, 100
		var subs []*subscription
		for i := range 4 {
			subs = append(subs, c.follow(c.register(fmt.Sprint("app-", i)), 0, horizon))
		}
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					_, err := c.PutRecord(context.Background(), &kinesis.PutRecordInput{
						StreamName: aws.String("orders"), PartitionKey: aws.String("k"), Data: fmt.Appendf(nil, "%d %d", w, i),
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		for _, sub := range subs {
			wg.Go(func() {
				var next [writers]int
				for n := 0; n < writers*each; {
					event, more := <-sub.Events()
					if !more {
						t.Errorf("ended after %d records: %v", n, sub.Err())
						return
					}
					for _, r := range event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value.Records {
						var w, i int
						_, _ = fmt.Sscanf(string(r.Data), "%d %d", &w, &i)
						if i != next[w] {
							t.Errorf("writer %d: record %d where %d was due", w, i, next[w])
						}
						next[w]++
						n++
					}
				}
			})
		}
		wg.Wait()
	})
}
