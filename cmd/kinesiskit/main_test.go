package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
)

// start runs "local" and returns the settings that it prints, and what ends it and gives its exit status.
func start(t *testing.T) (env map[string]string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"local", "-addr", "127.0.0.1:0"}, in, io.Discard)
		_ = in.Close()
	}()
	env = map[string]string{}
	lines := bufio.NewScanner(out)
	for len(env) < 5 && lines.Scan() {
		name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		if !ok || !strings.HasPrefix(lines.Text(), "export ") {
			t.Fatalf("not a setting: %q", lines.Text())
		}
		env[name] = value
	}
	return env, func() int {
		cancel()
		select {
		case code := <-status:
			return code
		case <-time.After(10 * time.Second):
			t.Error("it does not end")
			return -1
		}
	}
}

// Not parallel: the settings go where a user's would, into the environment.
func TestThePrintedSettingsLeadAnSDKToTheServer(t *testing.T) {
	env, stop := start(t)
	for name, value := range env {
		t.Setenv(name, value)
	}
	for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		t.Fatal(err)
	}
	k := kinesis.NewFromConfig(cfg, func(o *kinesis.Options) { o.HTTPClient = awsx.HTTPClient() })
	d := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.HTTPClient = awsx.HTTPClient() })
	if _, err := k.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("orders"), ShardCount: aws.Int32(2)}); err != nil {
		t.Error(err)
	}
	if out, err := k.ListStreams(ctx, &kinesis.ListStreamsInput{}); err != nil || len(out.StreamNames) != 1 {
		t.Error(out, err)
	}
	if out, err := d.ListTables(ctx, &dynamodb.ListTablesInput{}); err != nil || len(out.TableNames) != 0 {
		t.Error(out, err)
	}
	if code := stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if resp, err := http.Get(env["AWS_ENDPOINT_URL_KINESIS"]); err == nil {
		_ = resp.Body.Close()
		t.Error("the port is still open")
	}
}

func TestCommandLines(t *testing.T) {
	t.Parallel()
	env, stop := start(t)
	defer stop()
	taken := strings.TrimPrefix(env["AWS_ENDPOINT_URL_KINESIS"], "http://")
	for _, test := range []struct {
		args           string
		code           int
		stdout, stderr string // what they contain; empty: they are empty
	}{
		{"", 2, "", "Usage: kinesiskit <command>"},
		{"help", 0, "Usage: kinesiskit <command>", ""},
		{"--help", 0, "Usage: kinesiskit <command>", ""},
		{"serve", 2, "", `unknown command "serve"`},
		{"local -h", 0, "", "-addr"},
		{"local -port 1", 2, "", "-port"},
		{"local now", 2, "", `"now"`},
		{"local -addr " + taken, 1, "", taken},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(test.args), &stdout, &stderr)
		says := func(b bytes.Buffer, want string) bool {
			return strings.Contains(b.String(), want) && (want == "") == (b.Len() == 0)
		}
		if code != test.code || !says(stdout, test.stdout) || !says(stderr, test.stderr) {
			t.Errorf("%q: exit status %d\nstdout: %s\nstderr: %s", test.args, code, &stdout, &stderr)
		}
	}
}
