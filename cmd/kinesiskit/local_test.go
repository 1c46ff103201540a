package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// buffer is what a command writes, to be looked at meanwhile.
type buffer struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{} // closed by the first Write
	once    sync.Once
}

func newBuffer() *buffer { return &buffer{written: make(chan struct{})} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.once.Do(func() { close(b.written) })
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// running is a "local" that serves.
type running struct {
	t              *testing.T
	env            map[string]string
	stdout, stderr *buffer
	cancel         context.CancelFunc
	ended          chan struct{}
	status         int
}

// startLocal runs "local" on free ports until the test ends, and returns when it has printed its settings.
func startLocal(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, env: map[string]string{}, stdout: newBuffer(), stderr: newBuffer(), cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.status = run(ctx, append([]string{"local", "-addr", "127.0.0.1:0"}, args...), r.stdout, r.stderr)
	}()
	t.Cleanup(func() { r.stop() })
	select {
	case <-r.stdout.written:
	case <-r.ended:
		t.Fatalf("exit status %d\n%s", r.status, r.stderr)
	}
	for line := range strings.Lines(r.stdout.String()) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		name, exported := strings.CutPrefix(name, "export ")
		if !ok || !exported {
			t.Errorf("not a setting: %q", line)
		}
		r.env[name] = value
	}
	return r
}

// stop interrupts it and returns its exit status.
func (r *running) stop() int {
	r.t.Helper()
	r.cancel()
	select {
	case <-r.ended:
		return r.status
	case <-time.After(10 * time.Second):
		r.t.Fatal("it does not end")
		return -1
	}
}

// config is for clients of its own region and of others, without the SDK's retries.
func (r *running) config(region string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: aws.String(r.env["AWS_ENDPOINT_URL_KINESIS"]),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}
}

func (r *running) kinesis() *kinesis.Client { return kinesis.NewFromConfig(r.config("us-east-1")) }

func createStream(t *testing.T, k *kinesis.Client, name string) {
	t.Helper()
	if _, err := k.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
}

func streams(t *testing.T, k *kinesis.Client) string {
	t.Helper()
	out, err := k.ListStreams(t.Context(), &kinesis.ListStreamsInput{})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(out.StreamNames)
}

// Not parallel: the settings go where a user's would, into the environment.
func TestThePrintedSettingsLeadAnSDKToTheServer(t *testing.T) {
	for name, args := range map[string][]string{
		"http":  nil,
		"https": {"-tls-addr", "127.0.0.1:0", "-ca", filepath.Join(t.TempDir(), "ca.pem")},
	} {
		t.Run(name, func(t *testing.T) {
			r := startLocal(t, args...)
			for name, value := range r.env {
				t.Setenv(name, value)
			}
			for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN"} {
				t.Setenv(name, "")
			}
			t.Setenv("AWS_CONFIG_FILE", "/dev/null")
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
			cfg, err := config.LoadDefaultConfig(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			k, d, f := kinesis.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg), firehose.NewFromConfig(cfg)
			createStream(t, k, "orders")
			if got := streams(t, k); got != "[orders]" {
				t.Error(got)
			}
			if out, err := d.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil || len(out.TableNames) != 0 {
				t.Error(out, err)
			}
			if out, err := f.ListDeliveryStreams(t.Context(), &firehose.ListDeliveryStreamsInput{}); err != nil || len(out.DeliveryStreamNames) != 0 {
				t.Error(out, err)
			}
			url := r.env["AWS_ENDPOINT_URL_KINESIS"]
			if !strings.HasPrefix(url, name+"://127.0.0.1:") || !strings.Contains(r.stderr.String(), url) {
				t.Errorf("%s\n%s", url, r.stderr)
			}
			if code := r.stop(); code != exitOK {
				t.Errorf("exit status %d", code)
			}
			if resp, err := http.Get(url); err == nil {
				_ = resp.Body.Close()
				t.Error("the port is still open")
			}
			if !strings.HasSuffix(r.stderr.String(), "has served 4 requests.\n") {
				t.Error(r.stderr)
			}
		})
	}
}

func TestTheCertificateServesHTTP2AndIsGoneAtTheEnd(t *testing.T) {
	t.Parallel()
	r := startLocal(t, "-tls-addr", "127.0.0.1:0") // the default file: its name has the port, which is this test's alone
	file := r.env["AWS_CA_BUNDLE"]
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o644 {
		t.Error(info.Mode(), err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	resp, err := client.Get(r.env["AWS_ENDPOINT_URL_KINESIS"])
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Error(resp.Proto)
	}
	if code := r.stop(); code != exitOK {
		t.Errorf("exit status %d", code)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestEnvPrintsWhatTheServerPrinted(t *testing.T) {
	t.Parallel()
	r := startLocal(t, "-tls-addr", "127.0.0.1:0", "-ca", filepath.Join(t.TempDir(), "it's a ca.pem"))
	_, command, _ := strings.Cut(r.stderr.String(), `eval "$(kinesiskit `)
	command, _, _ = strings.Cut(command, `)"`)
	// A shell splits the command that the server advises.
	words, err := exec.Command("sh", "-c", `printf '%s\n' `+command).Output()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr := newBuffer(), newBuffer()
	if code := run(t.Context(), strings.Split(strings.TrimSpace(string(words)), "\n"), stdout, stderr); code != exitOK || stderr.String() != "" {
		t.Errorf("exit status %d: %s", code, stderr)
	}
	if got := stdout.String(); got != r.stdout.String() {
		t.Errorf("-env:\n%sserver:\n%s", got, r.stdout)
	}
	// And evaluates what is printed.
	path, err := exec.Command("sh", "-c", stdout.String()+`cat "$AWS_CA_BUNDLE"`).Output()
	if err != nil || !bytes.HasPrefix(path, []byte("-----BEGIN CERTIFICATE-----")) {
		t.Errorf("%s, %v", path, err)
	}
}

// Languages differ in what they look at, so that an SDK for Go does not notice a missing line.
func TestTheSettingsAreForEveryLanguage(t *testing.T) {
	t.Parallel()
	stdout, stderr := newBuffer(), newBuffer()
	if code := run(t.Context(), []string{"local", "-env"}, stdout, stderr); code != exitOK || stdout.String() != `export AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:4567
export AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:4567
export AWS_ENDPOINT_URL_FIREHOSE=http://127.0.0.1:4567
export AWS_REGION=us-east-1
export AWS_DEFAULT_REGION=us-east-1
export AWS_CBOR_DISABLE=true
export CBOR_ENABLED=false
export AWS_ACCESS_KEY_ID=local
export AWS_SECRET_ACCESS_KEY=local
` {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
}

func TestAnAddressToListenOnIsNotAlwaysOneToCall(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ addr, url string }{
		{":4567", "http://127.0.0.1:4567"},
		{"0.0.0.0:4567", "http://127.0.0.1:4567"},
		{"[::]:4567", "http://[::1]:4567"},
		{"192.0.2.7:80", "http://192.0.2.7:80"},
		{"localhost:4567", "http://localhost:4567"},
	} {
		if addr, err := parseLocalAddress(test.addr); err != nil || addr.url("http") != test.url {
			t.Errorf("%s: %s, %v", test.addr, addr.url("http"), err)
		}
	}
}

func TestLimitsHoldUnlessTheyAreOff(t *testing.T) {
	t.Parallel()
	for _, limits := range []string{"on", "off"} {
		k := startLocal(t, "-limits="+limits).kinesis()
		var limit *types.LimitExceededException
		var err error
		for i := 0; i < 200 && err == nil; i++ { // an account may list its streams 5 times a second
			_, err = k.ListStreams(t.Context(), &kinesis.ListStreamsInput{})
		}
		if throttled := errors.As(err, &limit); throttled != (limits == "on") || !throttled && err != nil {
			t.Errorf("-limits=%s: %v", limits, err)
		}
	}
}

func TestTransitionsTakeTheirTime(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]types.StreamStatus{"0s": types.StreamStatusActive, "1h": types.StreamStatusCreating} {
		r := startLocal(t, "-transitions", args)
		k := r.kinesis()
		createStream(t, k, "orders")
		out, err := k.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("orders")})
		if err != nil || out.StreamDescriptionSummary.StreamStatus != want {
			t.Errorf("%s: %v, %v", args, out, err)
		}
	}
}

func TestStateOutlivesTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "state.json")
	first := startLocal(t, "-persist", file)
	createStream(t, first.kinesis(), "orders")
	createStream(t, kinesis.NewFromConfig(first.config("eu-west-1")), "orders-eu")
	if _, err := first.kinesis().PutRecord(t.Context(), &kinesis.PutRecordInput{
		StreamName: aws.String("orders"), PartitionKey: aws.String("k"), Data: []byte("two espressi"),
	}); err != nil {
		t.Error(err)
	}
	if _, err := dynamodb.NewFromConfig(first.config("us-east-1")).CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("leases"), BillingMode: dtypes.BillingModePayPerRequest,
		AttributeDefinitions: []dtypes.AttributeDefinition{{AttributeName: aws.String("k"), AttributeType: "S"}},
		KeySchema:            []dtypes.KeySchemaElement{{AttributeName: aws.String("k"), KeyType: "HASH"}},
	}); err != nil {
		t.Error(err)
	}
	if code := first.stop(); code != exitOK || !strings.Contains(first.stderr.String(), "empty, and written to "+file) {
		t.Errorf("exit status %d\n%s", code, first.stderr)
	}

	if err := errors.Join(os.Rename(file, filepath.Join(dir, "real.json")), os.Symlink("real.json", file)); err != nil {
		t.Fatal(err)
	}
	second := startLocal(t, "-persist", file)
	if got := streams(t, second.kinesis()) + streams(t, kinesis.NewFromConfig(second.config("eu-west-1"))); got != "[orders][orders-eu]" {
		t.Error(got)
	}
	it, err := second.kinesis().GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: aws.String("orders"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: "TRIM_HORIZON",
	})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := second.kinesis().GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator}); err != nil ||
		len(out.Records) != 1 || string(out.Records[0].Data) != "two espressi" {
		t.Error(out, err)
	}
	if out, err := dynamodb.NewFromConfig(second.config("us-east-1")).ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil ||
		fmt.Sprint(out.TableNames) != "[leases]" {
		t.Error(out, err)
	}
	createStream(t, second.kinesis(), "later")
	if err := os.Chmod(file, 0o640); err != nil {
		t.Error(err)
	}
	if code := second.stop(); code != exitOK || !strings.Contains(second.stderr.String(), "read from "+file) {
		t.Errorf("exit status %d\n%s", code, second.stderr)
	}
	if got := streams(t, startLocal(t, "-persist", file).kinesis()); got != "[later orders]" {
		t.Error(got)
	}
	info, err := os.Lstat(filepath.Join(dir, "real.json"))
	if err != nil || info.Mode() != 0o640 {
		t.Error(info, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Error(files, err)
	}
}

func TestABadStateIsAnErrorAndStaysAsItIs(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"", "{}", "kinesis"} {
		file := filepath.Join(t.TempDir(), "state.json")
		if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		fails(t, "move it away", "-persist", file)
		if after, err := os.ReadFile(file); err != nil || string(after) != broken {
			t.Errorf("%q: %q, %v", broken, after, err)
		}
	}
	loop := filepath.Join(t.TempDir(), "loop")
	if err := os.Symlink("loop", loop); err != nil {
		t.Fatal(err)
	}
	fails(t, "move it away", "-persist", loop)
	fails(t, "is a directory", "-persist", t.TempDir())
	fails(t, "no such file or directory", "-persist", filepath.Join(t.TempDir(), "missing", "state.json"))
}

// fails checks that "local" ends by itself with status 1 and says why.
func fails(t *testing.T, why string, args ...string) {
	t.Helper()
	stdout, stderr := newBuffer(), newBuffer()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // should it start after all, it ends at once
	code := run(ctx, append([]string{"local", "-addr", "127.0.0.1:0"}, args...), stdout, stderr)
	if code != exitError || stdout.String() != "" || !strings.Contains(stderr.String(), why) {
		t.Errorf("%q: exit status %d\nstdout: %s\nstderr: %s", args, code, stdout, stderr)
	}
}

func TestAStartThatFailsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	taken := strings.TrimPrefix(startLocal(t).env["AWS_ENDPOINT_URL_KINESIS"], "http://")
	dir := t.TempDir()
	fails(t, "in use", "-persist", filepath.Join(dir, "s.json"), "-tls-addr", taken, "-ca", filepath.Join(dir, "ca.pem"))
	fails(t, "missing", "-persist", filepath.Join(dir, "missing", "s.json"), "-tls-addr", "127.0.0.1:0", "-ca", filepath.Join(dir, "ca.pem"))
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Error(files, err)
	}
}

func TestAFileThatCannotBeWrittenWholeStaysAsItWas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "state.json")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	if err := replaceFile(file, 0o600, func(w io.Writer) error {
		_, err := w.Write([]byte("ne"))
		return errors.Join(err, full)
	}); !errors.Is(err, full) {
		t.Error(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "old" {
		t.Errorf("%s, %v", text, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Error(files, err)
	}
}
