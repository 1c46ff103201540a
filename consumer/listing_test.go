package consumer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func listingBubble(t *testing.T, shards int, test func(s *kinesistest.Server, l *listing)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New()
		defer s.Close()
		s.CreateStream("orders", shards)
		test(s, &listing{api: kinesis.NewFromConfig(s.Config("")), stream: fetch.Stream{Name: "orders"}})
	})
}

func TestAListingHasAllPages(t *testing.T) {
	listingBubble(t, 1200, func(s *kinesistest.Server, l *listing) {
		g, at, err := l.refresh(context.Background())
		if err != nil || len(g.Open()) != 1200 || s.Calls("ListShards") != 2 {
			t.Errorf("%d calls: %v", s.Calls("ListShards"), err)
		}
		if now := time.Now(); at.Sub(now).Abs() > time.Second {
			t.Errorf("service's clock %v, want %v", at, now)
		}
	})
}

func TestCallersShareAListingButNotOneThatBeganBefore(t *testing.T) {
	listingBubble(t, 2, func(s *kinesistest.Server, l *listing) {
		s.On("ListShards", kinesistest.Delay(time.Second))
		var all sync.WaitGroup
		refresh := func() {
			if _, _, err := l.refresh(context.Background()); err != nil {
				t.Error(err)
			}
		}
		begin := time.Now()
		all.Go(refresh)
		time.Sleep(500 * time.Millisecond)
		for range 100 {
			all.Go(refresh)
		}
		all.Wait()
		if n := s.Calls("ListShards"); n != 2 || time.Since(begin) != 2*time.Second {
			t.Errorf("%d calls in %v, want one and then one for the hundred", n, time.Since(begin))
		}
	})
}

func TestAListingSurvivesTheCallerThatMakesIt(t *testing.T) {
	listingBubble(t, 2, func(s *kinesistest.Server, l *listing) {
		s.On("ListShards", kinesistest.Delay(time.Second))
		var all sync.WaitGroup
		all.Go(func() { // an attempt that began before the others ask
			if _, _, err := l.refresh(context.Background()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		// Of those who wait for the next one all but one leave in the middle of it, so one that leaves makes it.
		ctx, cancel := context.WithTimeoutCause(context.Background(), 1500*time.Millisecond, errLeaving)
		defer cancel()
		for range 50 {
			all.Go(func() {
				if _, _, err := l.refresh(ctx); !errors.Is(err, errLeaving) {
					t.Errorf("a caller that left: %v", err)
				}
			})
		}
		synctest.Wait()
		all.Go(func() {
			if g, _, err := l.refresh(context.Background()); err != nil || len(g.Open()) != 2 {
				t.Errorf("the caller that stayed: %v", err)
			}
		})
		all.Wait()
		if err := l.lastErr(); err != nil {
			t.Errorf("the outcome of an attempt that was given up is shown: %v", err)
		}
	})
}

func TestAListingsErrorIsShownWhileItMatters(t *testing.T) {
	listingBubble(t, 2, func(s *kinesistest.Server, l *listing) {
		s.On("ListShards", kinesistest.Status(500)).Times(1)
		_, _, err := l.refresh(context.Background())
		if err == nil || !errors.Is(l.lastErr(), err) {
			t.Errorf("refresh: %v, shown: %v", err, l.lastErr())
		}
		time.Sleep(errorLife + time.Second)
		if err := l.lastErr(); err != nil {
			t.Errorf("shown for ever: %v", err)
		}
	})
}
