package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// Records are delivered more often than once, and counted once.
func TestEachClickIsCountedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := kinesistest.New()
		defer func() { _ = server.Close() }()
		server.CreateStream(stream, 2)
		var out strings.Builder
		if err := tally(t.Context(), server, &out); err != nil {
			t.Fatal(err)
		}
		var written, people, delivered, counted, found int
		const line = "%d clicks of %d visitors were written; %d deliveries, two workers died; counted are %d clicks of %d visitors\n"
		if _, err := fmt.Sscanf(out.String(), line, &written, &people, &delivered, &counted, &found); err != nil {
			t.Fatalf("%q: %v", out.String(), err)
		}
		if counted != written || found != people {
			t.Errorf("counted are %d of %d clicks, of %d of %d visitors", counted, written, found, people)
		}
		if delivered <= written {
			t.Errorf("%d deliveries of %d records: nothing was delivered twice, so this proves nothing", delivered, written)
		}
	})
}
