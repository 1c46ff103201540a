package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
)

var updateCheckpoint = flag.Bool("update-checkpoint", false, "write the golden files of the checkpoint command")

// application is a stream of two shards, the first of which was split, and the table of a Java application that has read some of it: over TCP, as a user
// has it.
type application struct {
	t     *testing.T
	s     *kinesistest.Server
	store *dynamostore.Store
	url   string
}

// Not parallel, as whoever calls it: credentials go where a user's would, into the environment.
func newApplication(t *testing.T) *application {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "tool", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	t.Chdir(t.TempDir())
	s := kinesistest.New()
	t.Cleanup(func() { _ = s.Close() })
	url, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &application{t: t, s: s, url: url, store: dynamostore.New(dynamodb.NewFromConfig(s.Config("test")), dynamostore.Config{Table: "orders-app"})}
	if err := a.store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.CreateStream("orders", 2)
	a.put()
	left, right := s.Split("orders", "shardId-000000000000")
	a.put()
	last := make(map[string]checkpoint.Position)
	for _, r := range s.Records("orders") {
		if last[r.Shard], err = checkpoint.At(r.Sequence, 0); err != nil {
			t.Fatal(err)
		}
	}
	a.row(lease.Lease{Key: "shardId-000000000000", Counter: 7, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.ShardEnd}, Children: []string{left, right}})
	a.row(lease.Lease{Key: "shardId-000000000001", Counter: 9, Owner: "java-7c9e6679-7425-40de-944b-e07fc1f90ae7", Checkpoint: checkpoint.Checkpoint{Position: last["shardId-000000000001"]}})
	a.row(lease.Lease{Key: left, Counter: 3, Parents: []string{"shardId-000000000000"}, Checkpoint: checkpoint.Checkpoint{Position: last[left]}})
	a.row(lease.Lease{Key: right, Counter: 4, Parents: []string{"shardId-000000000000"}, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}})
	return a
}

// put stores a record in each part of the ring.
func (a *application) put() {
	a.t.Helper()
	k := kinesis.NewFromConfig(a.s.Config("test"))
	for _, hashKey := range []string{"0", "127605887595351923798765477786913079296", "255211775190703847597530955573826158592"} {
		in := &kinesis.PutRecordInput{StreamName: aws.String("orders"), PartitionKey: aws.String("k"), Data: []byte("x"), ExplicitHashKey: &hashKey}
		if _, err := k.PutRecord(a.t.Context(), in); err != nil {
			a.t.Fatal(err)
		}
	}
}

func (a *application) row(l lease.Lease) {
	a.t.Helper()
	if err := a.store.Create(a.t.Context(), l); err != nil {
		a.t.Fatal(err)
	}
}

func (a *application) rows() map[string]lease.Lease {
	a.t.Helper()
	rows := make(map[string]lease.Lease)
	for l, err := range a.store.List(context.Background()) {
		if err != nil {
			a.t.Fatal(err)
		}
		rows[l.Key] = l
	}
	return rows
}

// call runs "kinesiskit checkpoint …" against the server.
func (a *application) call(line string) (status int, stdout, stderr string) {
	a.t.Helper()
	args := strings.Fields(line)
	if len(args) > 1 {
		args = append([]string{args[0], "-endpoint", a.url}, args[1:]...)
	}
	var out, errs bytes.Buffer
	status = run(a.t.Context(), append([]string{"checkpoint"}, args...), &out, &errs)
	return status, out.String(), errs.String()
}

func (a *application) must(line string) string {
	a.t.Helper()
	status, out, errs := a.call(line)
	if status != exitOK {
		a.t.Fatalf("checkpoint %s: exit status %d\n%s%s", line, status, out, errs)
	}
	return out
}

// What differs from run to run, replaced by something as long.
var (
	anyNumber = regexp.MustCompile(`\d{40,60}`)
	anyShort  = regexp.MustCompile(`…\d{8}`)
	anyTime   = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	anyStamp  = regexp.MustCompile(`\d{8}T\d{6}Z`)
	anyBehind = regexp.MustCompile(`("behindMillis": )\d+|\b\d+ms\b`)
)

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = anyNumber.ReplaceAllString(got, "<number>")
	got = anyShort.ReplaceAllString(got, "…########")
	got = anyTime.ReplaceAllString(got, "<time-------------->")
	got = anyStamp.ReplaceAllString(got, "<stamp>")
	got = anyBehind.ReplaceAllString(got, "${1}<ms>")
	file := filepath.Join(goldenDir, name)
	if *updateCheckpoint {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%s (%v):\n%s\nwant:\n%s\nIf that is meant: go test ./cmd/kinesiskit -update-checkpoint", name, err, got, want)
	}
}

// goldenDir is absolute, since tests work in a directory of their own.
var goldenDir = func() string {
	dir, err := filepath.Abs("testdata/checkpoint")
	if err != nil {
		panic(err)
	}
	return dir
}()

func narrow(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 100 && !strings.HasPrefix(line, "Warning:") && !strings.HasPrefix(line, "To put it back:") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestCheckpointPrintsWhatItHasAlwaysPrinted(t *testing.T) {
	a := newApplication(t)
	before := a.rows()
	for name, line := range map[string]string{
		"get.txt":         "get -table orders-app",
		"get.json":        "get -table orders-app -json",
		"get-stream.txt":  "get -table orders-app -stream orders",
		"get-stream.json": "get -table orders-app -stream orders -json",
		"plan.txt":        "reset -table orders-app -stream orders -to oldest",
		"plan.json":       "reset -table orders-app -stream orders -to oldest -json",
		"plan-ago.txt":    "reset -table orders-app -stream orders -to 1h",
		"plan-ago.json":   "reset -table orders-app -stream orders -to 1h -json",
	} {
		out := a.must(line)
		golden(t, name, out)
		if strings.HasSuffix(name, ".txt") {
			narrow(t, out)
		} else if !json.Valid([]byte(out)) {
			t.Errorf("%s: not JSON", name)
		}
	}
	if after := a.rows(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("a dry run wrote")
	}
	if files, _ := os.ReadDir("."); len(files) > 0 {
		t.Errorf("a dry run made files: %v", files)
	}
}

func TestCheckpointResetExecutesAndUndoPutsBack(t *testing.T) {
	a := newApplication(t)
	before := a.rows()
	golden(t, "executed.txt", a.must("reset -table orders-app -stream orders -to oldest -execute -watch 40ms -backup before.jsonl"))
	for key, row := range a.rows() {
		if row.Checkpoint.Position != checkpoint.TrimHorizon || row.Owner != "" {
			t.Errorf("%s: %+v", key, row)
		}
	}
	golden(t, "nothing.txt", a.must("reset -table orders-app -stream orders -to oldest -execute"))
	golden(t, "undo.txt", a.must("undo -table orders-app before.jsonl"))
	if row := a.rows()["shardId-000000000001"]; row.Checkpoint.Position != checkpoint.TrimHorizon {
		t.Errorf("a dry run wrote: %+v", row)
	}
	golden(t, "undone.json", a.must("undo -table orders-app -execute -json before.jsonl"))
	for key, row := range a.rows() {
		if b := before[key]; row.Checkpoint.Position != b.Checkpoint.Position || row.Counter <= b.Counter && b.Checkpoint.Position != checkpoint.TrimHorizon {
			t.Errorf("%s: %+v, want %+v", key, row, b)
		}
	}
	// A backup is not written over.
	status, _, errs := a.call("reset -table orders-app -stream orders -to oldest -execute -backup before.jsonl")
	if status != exitError || !strings.Contains(errs, "exists") || a.rows()["shardId-000000000000"].Checkpoint.Position != checkpoint.ShardEnd {
		t.Errorf("exit status %d, %s", status, errs)
	}
}

func TestCheckpointResetGoesToThePositionsOfAFile(t *testing.T) {
	a := newApplication(t)
	before := a.rows()
	if err := os.WriteFile("saved.json", []byte(a.must("get -table orders-app -json")), 0o600); err != nil {
		t.Fatal(err)
	}
	golden(t, "executed.json", a.must("reset -table orders-app -stream orders -to 1h -execute -json -watch 40ms"))
	a.must("reset -table orders-app -stream orders -to saved.json -execute -backup second.jsonl")
	for key, row := range a.rows() {
		b := before[key].Checkpoint.Position
		// The child that was not started is read from its beginning, whatever becomes of its parent's row.
		if row.Checkpoint.Position != b && (b != checkpoint.TrimHorizon || row.Checkpoint.Position.Sub() != -1) {
			t.Errorf("%s: %+v, want %s", key, row, b)
		}
	}
	a.must("reset -table orders-app -stream orders -to now -execute -backup third.jsonl")
}

// A bundle of certificates is for TLS, and must not keep a plain endpoint from being used.
func TestCheckpointWorksWithACertificateBundle(t *testing.T) {
	a := newApplication(t)
	tls := httptest.NewTLSServer(nil)
	defer tls.Close()
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw})
	if err := os.WriteFile("bundle.pem", bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", "bundle.pem")
	a.must("get -table orders-app -stream orders")
	own := &http.Client{}
	if transport(aws.String("https://example.com"), aws.HTTPClient(own)) != aws.HTTPClient(own) || transport(nil, aws.HTTPClient(own)) != aws.HTTPClient(own) {
		t.Error("the client that has the bundle is not used for TLS")
	}
}

func TestCheckpointResetRefusesARunningApplicationUnlessToldTo(t *testing.T) {
	a := newApplication(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // renews as Java does
		defer close(done)
		for ticker := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-ticker.C {
			owner := "java-7c9e6679-7425-40de-944b-e07fc1f90ae7"
			_, _ = a.store.Write(context.Background(), "shardId-000000000001", lease.Condition{Owner: &owner}, lease.Change{AddCounter: 1})
		}
	}()
	defer func() {
		stop()
		<-done
	}()
	status, out, errs := a.call("reset -table orders-app -stream orders -to oldest -execute -watch 1s")
	if status != exitError || !strings.Contains(errs, "java-7c9e6679-7425-40de-944b-e07fc1f90ae7") || strings.Contains(out, "undo") {
		t.Errorf("exit status %d\n%s%s", status, out, errs)
	}
	if row := a.rows()["shardId-000000000000"]; !row.Ended() {
		t.Errorf("it wrote: %+v", row)
	}
	a.must("reset -table orders-app -stream orders -to oldest -execute -live")
	if row := a.rows()["shardId-000000000001"]; row.Owner != "" || row.Checkpoint.Position != checkpoint.TrimHorizon {
		t.Errorf("%+v", row)
	}
}

func TestCheckpointExitStatuses(t *testing.T) {
	a := newApplication(t)
	if err := os.WriteFile("other.txt", []byte("not a backup\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		line   string
		status int
		says   string
	}{
		{"", exitUsage, "Usage"},
		{"help", exitOK, ""},
		{"put -x", exitUsage, "unknown command"},
		{"get -h", exitOK, "-table"},
		{"reset -h", exitOK, "-execute"},
		{"undo -h", exitOK, "-execute"},
		{"get -x", exitUsage, "-x"},
		{"get -json", exitUsage, "-table is required"},
		{"get -table orders-app extra", exitUsage, "extra"},
		{"get -table nothing-here", exitError, "nothing-here"},
		{"reset -table orders-app -to oldest", exitUsage, "-stream is required"},
		{"reset -table orders-app -stream orders", exitUsage, "-to is required"},
		{"reset -table orders-app -stream orders -to yesterday", exitUsage, "yesterday"},
		{"reset -table orders-app -stream orders -to other.txt", exitUsage, "other.txt"},
		{"reset -table orders-app -stream orders -to 2999-01-01T00:00:00Z", exitError, "future"},
		{"reset -table orders-app -stream nowhere -to oldest", exitError, "nowhere"},
		{"undo -table orders-app", exitUsage, "missing"},
		{"undo -table orders-app none.jsonl", exitError, "none.jsonl"},
		{"undo -table orders-app other.txt", exitError, "not a backup"},
		{"undo -table orders-app -execute other.txt", exitError, "not a backup"},
	} {
		if status, out, errs := a.call(test.line); status != test.status || !strings.Contains(errs, test.says) || out != "" != (test.line == "help") {
			t.Errorf("%q: exit status %d\nstdout: %s\nstderr: %s", test.line, status, out, errs)
		}
	}
}
