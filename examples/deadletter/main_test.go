package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// letters is what stands in the dead-letter stream.
func letters(t *testing.T, s *kinesistest.Server) (all []letter) {
	t.Helper()
	for _, r := range s.Records(dead) {
		bodies := [][]byte{r.Data}
		if users, err := aggregation.Decode(nil, r.Data); err == nil {
			bodies = nil
			for i := range users {
				bodies = append(bodies, users[i].Data)
			}
		}
		for _, body := range bodies {
			var l letter
			if err := json.Unmarshal(body, &l); err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
	}
	return all
}

func TestWhatCannotBeEnteredIsSetAsideAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(s *kinesistest.Server){
		"all is well": func(*kinesistest.Server) {},
		"the other stream is out of reach for ten minutes": func(s *kinesistest.Server) {
			s.On("PutRecords", kinesistest.Status(500)).Stream(dead).For(10 * time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := kinesistest.New()
				defer func() { _ = server.Close() }()
				server.CreateStream(stream, 1)
				server.CreateStream(dead, 1)
				fault(server)
				l := newLedger(7)
				if err := work(t.Context(), kinesis.NewFromConfig(server.Config("deadletter")), l); err != nil {
					t.Fatal(err)
				}
				var out strings.Builder
				if err := l.report(&out); err != nil {
					t.Fatal(err)
				}
				if want := "entered [10 20 40 50 70]\nset aside [\"thirty\" \"6O\"]\n"; out.String() != want {
					t.Errorf("%q, want %q", out.String(), want)
				}
				var data []string
				for _, l := range letters(t, server) {
					data = append(data, string(l.Data))
					if !strings.Contains(l.Reason, "invalid syntax") || l.Shard == "" || l.Position == "" {
						t.Errorf("letter %+v", l)
					}
				}
				slices.Sort(data)
				if data = slices.Compact(data); !slices.Equal(data, []string{"6O", "thirty"}) { // twice is possible, never is not
					t.Errorf("in the dead-letter stream %q", data)
				}
			})
		})
	}
}
