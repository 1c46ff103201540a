package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
)

// oraclesSwitch is the environment variable that lets the independent servers take part. It promises Node, npm and, once, npm's registry.
const oraclesSwitch = "KINESISKIT_ORACLES"

// An oracle is an independent server: an npm package and how it is started.
type oracle struct {
	version string
	// start is the script in the package with its arguments, and its environment, for two free ports.
	start func(port, spare string) (args, env []string)
}

var oracles = map[string]oracle{
	kinesalite: {version: "3.3.3", start: func(port, _ string) (args, env []string) {
		return []string{"cli.js", "--port", port, "--shardLimit", "1000", "--createStreamMs", "20", "--updateStreamMs", "20", "--deleteStreamMs", "20"}, nil
	}},
	kinesisLocal: {version: "0.6.2", start: func(port, spare string) (args, env []string) {
		env = []string{
			"KINESIS_MOCK_PLAIN_PORT=" + port, "KINESIS_MOCK_TLS_PORT=" + spare, "SHARD_LIMIT=1000", "ON_DEMAND_STREAM_COUNT_LIMIT=100", "LOG_LEVEL=ERROR",
		}
		for _, change := range []string{
			"CREATE_STREAM", "DELETE_STREAM", "REGISTER_STREAM_CONSUMER", "DEREGISTER_STREAM_CONSUMER", "START_STREAM_ENCRYPTION", "STOP_STREAM_ENCRYPTION",
			"MERGE_SHARDS", "SPLIT_SHARD", "UPDATE_SHARD_COUNT", "UPDATE_STREAM_MODE",
		} {
			env = append(env, change+"_DURATION=20ms")
		}
		return []string{"main.js"}, env
	}},
	dynalite: {version: "4.0.0", start: func(port, _ string) (args, env []string) {
		return []string{"cli.js", "--host", "127.0.0.1", "--port", port, "--createTableMs", "20", "--updateTableMs", "20", "--deleteTableMs", "20"}, nil
	}},
}

// startOracle runs a server until the end of the test and returns its URL.
func startOracle(t *testing.T, modules, name string) string {
	t.Helper()
	// Node's servers outlive a test binary that is killed, unless they see their standard input end.
	watch := filepath.Join(t.TempDir(), "watch.js")
	if err := os.WriteFile(watch, []byte("process.stdin.on('end', () => process.exit()).resume()\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 2)
	args, env := oracles[name].start(ports[0], ports[1])
	home := filepath.Join(modules, name)
	args[0] = filepath.Join(home, args[0])
	cmd := exec.Command("node", append([]string{"--require", watch}, args...)...)
	cmd.Env = append(append(os.Environ(), "KINESIS_MOCK_CERT_PATH="+filepath.Join(home, "server.json")), env...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		killGroup(cmd)
		<-exited
		_ = stdin.Close()
		_ = log.Close()
	})
	url := "http://127.0.0.1:" + ports[0]
	ready(t, url, exited, log.Name())
	return url
}

// ready returns when a server answers HTTP, whatever it answers.
func ready(t *testing.T, url string, exited <-chan struct{}, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = res.Body.Close()
			return
		}
		select {
		case <-exited:
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
			continue
		}
		said, _ := os.ReadFile(log)
		t.Fatalf("%s does not answer: %v\n%s", url, err, said)
	}
}

func freePorts(t *testing.T, n int) []string {
	t.Helper()
	ports := make([]string, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // all stay taken until all are known
		ports[i] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// install returns a node_modules with the independent servers.
func install(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(oraclesSwitch + "_DIR")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "kinesiskit", "oracles")
	}
	modules := filepath.Join(dir, "node_modules")
	if installed(modules) {
		return modules
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir}
	for name, o := range oracles {
		args = append(args, name+"@"+o.version)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "npm", args...).CombinedOutput(); err != nil {
		t.Fatalf("npm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if !installed(modules) {
		t.Fatalf("npm has not installed the servers into %s", modules)
	}
	return modules
}

func installed(modules string) bool {
	for name, o := range oracles {
		var manifest struct{ Version string }
		text, err := os.ReadFile(filepath.Join(modules, name, "package.json"))
		if err != nil || json.Unmarshal(text, &manifest) != nil || manifest.Version != o.version {
			return false
		}
	}
	return true
}

// overTCP reaches a server as a program would.
func overTCP(url string) aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(url),
		HTTPClient:   awsx.HTTPClient(),
		Credentials:  credentials.NewStaticCredentialsProvider(fmt.Sprintf("%012d", 0), "secret", ""),
	}
}

// withInitialResponse helps clients of kinesis-local: it sends a subscription's events without the first frame, which the SDK waits for.
type withInitialResponse struct{ next aws.HTTPClient }

func (c withInitialResponse) Do(r *http.Request) (*http.Response, error) {
	res, err := c.next.Do(r)
	if err == nil && res.StatusCode == http.StatusOK && strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".SubscribeToShard") {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(initialResponse()), res.Body), res.Body}
	}
	return res, err
}

// initialResponse is a frame of an event stream: lengths, headers, payload, and the checksums of lengths and of everything.
func initialResponse() []byte {
	const text, payload = 7, "{}"
	var headers []byte
	for _, h := range [][2]string{{":message-type", "event"}, {":event-type", "initial-response"}} {
		headers = append(append(headers, byte(len(h[0]))), h[0]...)
		headers = append(headers, text)
		headers = append(binary.BigEndian.AppendUint16(headers, uint16(len(h[1]))), h[1]...)
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(16+len(headers)+len(payload)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(headers)))
	frame = binary.BigEndian.AppendUint32(frame, crc32.ChecksumIEEE(frame))
	frame = append(append(frame, headers...), payload...)
	return binary.BigEndian.AppendUint32(frame, crc32.ChecksumIEEE(frame))
}
