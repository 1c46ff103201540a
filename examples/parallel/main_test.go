package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func TestSeveralAtATimeAreFasterAndEachKeyIsInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := kinesistest.New()
		defer func() { _ = server.Close() }()
		server.CreateStream(stream, 1)
		var out strings.Builder
		if err := compare(t.Context(), kinesis.NewFromConfig(server.Config("parallel")), &out); err != nil {
			t.Fatal(err)
		}
		want := " 1 at a time: 200 orders in 4000 ms, the orders of each buyer in order: true\n" +
			" 5 at a time: 200 orders in  800 ms, the orders of each buyer in order: true\n" +
			"25 at a time: 200 orders in  160 ms, the orders of each buyer in order: true\n"
		if out.String() != want {
			t.Errorf("it printed\n%s want\n%s", out.String(), want)
		}
	})
}

func TestAnInterruptEndsTheProgram(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := kinesistest.New()
		defer func() { _ = server.Close() }()
		server.CreateStream(stream, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 5*latency)
		defer cancel()
		if err := compare(ctx, kinesis.NewFromConfig(server.Config("parallel")), new(strings.Builder)); err == nil {
			t.Error("it says that it was complete")
		}
	})
}
