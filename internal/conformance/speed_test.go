package conformance

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

var speed = flag.Bool("speed", false, "measure kinesistest against servers that do nothing; takes a minute")

// A fast test server costs its user little beside what any server costs: the SDK, HTTP and JSON. So rates are compared with those of servers that
// read and answer without a thought, measured by turns in one run, each in a process of its own.
const (
	putsOfNull   = 0.35 // of the rate of a server that answers PutRecords with a canned reply
	getsOfCanned = 0.5  // of the rate of a server that answers GetRecords with one canned page
	memoryOfData = 1.3
	startWithin  = time.Millisecond
	rounds       = 5
	perRound     = 2 * time.Second
)

const roleVariable = "KINESISKIT_SPEED_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := serve(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestSpeed(t *testing.T) {
	if !*speed {
		t.Skip("no -speed")
	}
	begin := make([]float64, 0, rounds)
	var null, puts, canned, gets, memory []float64
	for range rounds {
		begin = append(begin, timeStart(t))
		onServer(t, "null", func(c *child) { null = append(null, ratePuts(t, c)) })
		onServer(t, "kinesistest", func(c *child) { puts = append(puts, ratePuts(t, c)) })
		onServer(t, "null", func(c *child) { canned = append(canned, rateGets(t, c)) })
		onServer(t, "kinesistest", func(c *child) {
			memory = append(memory, fill(t, c))
			gets = append(gets, rateGets(t, c))
		})
	}
	put, get := median(puts)/median(null), median(gets)/median(canned)
	t.Logf("medians of %d, %d CPUs", rounds, runtime.NumCPU())
	t.Logf("PutRecords, 500 x 1 KiB, 8 at a time: %.0f records/s of the null server's %.0f: %.2f (bound %.2f)", median(puts), median(null), put, putsOfNull)
	t.Logf("GetRecords, pages of 1,000 x 1 KiB, 4 readers: %.0f records/s of the canned page's %.0f: %.2f (bound %.2f)", median(gets), median(canned), get, getsOfCanned)
	t.Logf("memory: %.2f x the data (bound %.2f)", median(memory), memoryOfData)
	t.Logf("start to first answer, in process: %v (bound %v)", time.Duration(median(begin)), startWithin)
	if put < putsOfNull || get < getsOfCanned || median(memory) > memoryOfData || median(begin) > float64(startWithin) {
		t.Error("a bound is broken")
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// timeStart is how long, in nanoseconds, a server in this process takes to its first answer.
func timeStart(t *testing.T) float64 {
	t.Helper()
	begin := time.Now()
	s := kinesistest.New()
	s.CreateStream("orders", 1)
	c := kinesis.NewFromConfig(s.Config("speed"))
	ok(c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("orders")}))(t)
	took := time.Since(begin)
	_ = s.Close()
	return float64(took)
}

// child is a server in a process of its own.
type child struct {
	*kinesis.Client
	in  io.Writer
	out *bufio.Reader
}

// onServer starts a server, has it used, and ends it.
func onServer(t *testing.T, role string, use func(c *child)) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{in: in, out: bufio.NewReader(out)}
	defer func() {
		_ = in.Close() // the child's sign to end
		_ = cmd.Wait()
	}()
	c.Client = kinesis.NewFromConfig(overTCP(c.line(t)), func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
	use(c)
}

func (c *child) line(t *testing.T) string {
	t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// held is how many bytes the child has from its operating system, all garbage given back.
func (c *child) held(t *testing.T) float64 {
	t.Helper()
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseFloat(c.line(t), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// rate runs workers for a round and returns how many records a second they count.
func rate(t *testing.T, workers int, work func(ctx context.Context, worker int) (records int, err error)) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	counts, errs := make([]int, workers), make([]error, workers)
	begin := time.Now()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for time.Since(begin) < perRound && errs[w] == nil {
				var n int
				n, errs[w] = work(ctx, w)
				counts[w] += n
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	sum := 0
	for w, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
		sum += counts[w]
	}
	return float64(sum) / took.Seconds()
}

// batch is 500 records of 1 KiB.
func batch() []types.PutRecordsRequestEntry {
	data := []byte(strings.Repeat("0123456789abcdef", 64))
	all := make([]types.PutRecordsRequestEntry, 500)
	for i := range all {
		all[i] = types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprintf("key-%d", i)), Data: data}
	}
	return all
}

func ratePuts(t *testing.T, c *child) float64 {
	t.Helper()
	in := &kinesis.PutRecordsInput{StreamName: aws.String("orders"), Records: batch()}
	return rate(t, 8, func(ctx context.Context, _ int) (int, error) {
		out, err := c.PutRecords(ctx, in)
		if err != nil {
			return 0, err
		}
		if n := aws.ToInt32(out.FailedRecordCount); n > 0 {
			return 0, fmt.Errorf("%d records failed", n)
		}
		return len(out.Records), nil
	})
}

// fill stores 200 MiB and returns how much memory that takes for each byte of it.
func fill(t *testing.T, c *child) float64 {
	t.Helper()
	before := c.held(t)
	in := &kinesis.PutRecordsInput{StreamName: aws.String("orders"), Records: batch()}
	const batches = 400
	for range batches {
		ok(c.PutRecords(t.Context(), in))(t)
	}
	return (c.held(t) - before) / (batches * 500 * 1024)
}

func rateGets(t *testing.T, c *child) float64 {
	t.Helper()
	iterators := make([]*string, 4)
	return rate(t, len(iterators), func(ctx context.Context, w int) (int, error) {
		if iterators[w] == nil {
			out, err := c.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
				StreamName: aws.String("orders"), ShardId: aws.String(fmt.Sprintf("shardId-%012d", w)), ShardIteratorType: trimHorizon,
			})
			if err != nil {
				return 0, err
			}
			iterators[w] = out.ShardIterator
		}
		out, err := c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterators[w], Limit: aws.Int32(1000)})
		if err != nil {
			return 0, err
		}
		iterators[w] = out.NextShardIterator
		if len(out.Records) < 1000 { // the tip: from the start again
			iterators[w] = nil
		}
		return len(out.Records), nil
	})
}

// serve is the child's part: it writes its URL, answers each line with the memory it holds, and ends with its input.
func serve(role string) error {
	url, err := listenAs(role)
	if err != nil {
		return err
	}
	fmt.Println(url)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Println(m.Sys - m.HeapReleased)
	}
	return lines.Err()
}

// listenAs serves as kinesistest, or as the null server: it reads a body and answers what kinesistest has once answered.
func listenAs(role string) (url string, err error) {
	s := kinesistest.New(kinesistest.WithoutLimits())
	s.CreateStream("orders", 4)
	if role == "kinesistest" {
		return s.Listen("127.0.0.1:0")
	}
	replies, err := record(s)
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = w.Write(replies[op])
	})}
	go func() { _ = server.Serve(l) }()
	return "http://" + l.Addr().String(), nil
}

// record lets kinesistest answer one request of each kind and returns the bodies.
func record(s *kinesistest.Server) (replies map[string][]byte, err error) {
	replies = make(map[string][]byte)
	var mu sync.Mutex
	defer s.On("*", kinesistest.Do(func(_ context.Context, r *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
		reply := next()
		mu.Lock()
		defer mu.Unlock()
		replies[r.Op] = reply.Body
		return reply
	})).Remove()
	c := kinesis.NewFromConfig(s.Config("recorder"))
	ctx := context.Background()
	stream := aws.String("orders")
	for range 10 { // enough for a page of every shard
		if _, err := c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: stream, Records: batch()}); err != nil {
			return nil, err
		}
	}
	first, err := c.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: stream, ShardId: aws.String(shard0), ShardIteratorType: trimHorizon})
	if err != nil {
		return nil, err
	}
	_, err = c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: first.ShardIterator, Limit: aws.Int32(1000)})
	return replies, err
}
