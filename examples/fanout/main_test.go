package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func TestRecordsArePushedBeforeTheyArePolled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := kinesistest.New()
		defer func() { _ = server.Close() }()
		server.CreateStream(stream, shards)
		api := kinesis.NewFromConfig(server.Config("fanout"))
		var out strings.Builder
		if err := compare(context.Background(), api, &out); err != nil {
			t.Fatal(err)
		}
		polled, pushed, _ := strings.Cut(out.String(), "\n")
		if want := "by fan-out  100 records, half of them within    0 ms, the last after    0 ms\n"; pushed != want {
			t.Errorf("%q, want %q", pushed, want)
		}
		if !strings.HasPrefix(polled, "by polling  100 records, half of them within  ") || strings.Contains(polled, "within    0 ms") {
			t.Errorf("%q", polled)
		}
		if n := server.Calls("DeregisterStreamConsumer"); n != 1 {
			t.Errorf("deregistered %d times", n)
		}
	})
}

func TestAnInterruptEndsTheProgram(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := kinesistest.New()
		defer func() { _ = server.Close() }()
		server.CreateStream(stream, shards)
		ctx, cancel := context.WithTimeout(t.Context(), 5*every)
		defer cancel()
		if err := compare(ctx, kinesis.NewFromConfig(server.Config("fanout")), new(strings.Builder)); err == nil {
			t.Error("it says that it was complete")
		}
	})
}
