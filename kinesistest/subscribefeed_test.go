package kinesistest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func TestAFeedGetsTwoMebibytesASecond(t *testing.T) {
	t.Parallel()
	for _, limits := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var opts []kinesistest.Option
			if !limits {
				opts = append(opts, kinesistest.WithoutLimits())
			}
			s := kinesistest.New(opts...)
			s.CreateStream("orders", 1)
			c := newClient(t, s.Config("app"))
			const megabytes = 20
			for range megabytes {
				c.put("k", strings.Repeat("x", 1<<19-1), strings.Repeat("y", 1<<19-1))
				time.Sleep(time.Second)
			}
			sub, begin, left := c.follow(c.register("app"), 0, horizon), time.Now(), 2*megabytes
			for left > 0 {
				e := sub.next()
				left -= len(e.Records)
				if behind := *e.MillisBehindLatest; (behind == 0) != (left == 0) {
					t.Errorf("%d ms behind with %d records left", behind, left)
				}
			}
			took, least := time.Since(begin), time.Duration(0)
			if limits {
				least = (megabytes - 3) * time.Second / 2 // a second's worth at once, and the last event on credit
			}
			if took < least || took > least+time.Second/2 {
				t.Errorf("limits %v: %v", limits, took)
			}
			// What is written at a shard's own rate is never held back.
			for range 10 {
				time.Sleep(time.Second)
				written := time.Now()
				c.put("k", strings.Repeat("x", 1<<19-1), strings.Repeat("y", 1<<19-1))
				for n := 0; n < 2; {
					n += len(sub.next().Records)
				}
				if latency := time.Since(written); latency != 0 {
					t.Errorf("limits %v: pushed after %v", limits, latency)
				}
			}
		})
	}
}

func TestARecordLargerThanASecondsWorthHasAnEventOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New()
		c := newClient(t, s.Config("app"))
		ok(c.CreateStream(context.Background(), &kinesis.CreateStreamInput{
			StreamName: aws.String("orders"), ShardCount: aws.Int32(1), MaxRecordSizeInKiB: aws.Int32(10240),
		}))(t)
		c.put("k", "small")
		time.Sleep(time.Minute)
		c.put("k", strings.Repeat("x", 10<<20-1))
		time.Sleep(time.Minute)
		c.put("k", "small")
		sub, begin := c.follow(c.register("app"), 0, horizon), time.Now()
		var sizes []int
		for range 3 {
			sizes = append(sizes, len(sub.records()[0]))
		}
		equal(t, "sizes", sizes, []int{5, 10<<20 - 1, 5})
		if took := time.Since(begin).Truncate(time.Millisecond); took != 4*time.Second {
			t.Errorf("10 MiB cost %v", took) // 5 s, less the second's worth that may come at once
		}
	})
}

// A reader that stops costs the server nothing: no event is made before it is asked for.
func TestAReaderThatStopsIsSentNoMoreUntilItGoesOn(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		sub := c.follow(c.register("app"), 0, latest)
		sub.next()
		var put []string
		for i := range 100 {
			put = append(put, fmt.Sprint(i))
			c.put("k", put[i])
			time.Sleep(time.Second)
		}
		var got []string
		events := 0
		for ; len(got) < len(put); events++ {
			got = append(got, texts(sub.next().Records)...)
		}
		equal(t, "records", got, put)
		// The SDK has read ahead what its own goroutines hold, and no more.
		if events > 4 {
			t.Errorf("%d events were waiting for the reader", events)
		}
		if life, err := sub.rest(); err != nil || len(life) == 0 {
			t.Error(err)
		}
	})
}

// A reader that lags until its records are gone goes on with the oldest there is.
func TestRecordsThatExpireUnderASubscriptionAreSkipped(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		sub := c.follow(c.register("app"), 0, latest)
		for i := range 100 {
			c.put("k", fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		s.Trim("orders", time.Now().Add(-10*time.Second))
		var got []string
		for len(got) == 0 || got[len(got)-1] != "99" {
			got = append(got, sub.records()...)
		}
		if n := len(got); n > 13 || got[n-10] != "90" {
			t.Errorf("%v", got)
		}
	})
}
