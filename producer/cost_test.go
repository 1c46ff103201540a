//go:build unix

package producer_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/internal/costtest"
	"github.com/kinesiskit/kinesiskit/producer"
)

var cost = flag.Bool("cost", false, "measure what a record costs beside bare loops; takes a minute")

// What the producer costs is said as ratios of two sides that take turns in one run: the machine's mood is then that of both.
const (
	costRounds  = 5
	costRecords = 3_000_000
	costOfPut   = 0.2 // of the rate of a bare Builder loop, at least
	costOfSDK   = 2.0 // times the CPU time of a bare loop of PutRecords, at most; what it is made of is in DESIGN.md
)

const nullServerVariable = "KINESISKIT_NULL_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(nullServerVariable) != "" {
		if err := serveNull(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveNull answers PutRecords and ListShards of one shard on a port that it prints, until its input ends.
func serveNull() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := "{}"
		switch _, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); op {
		case "ListShards":
			answer = nullListing
		case "PutRecords":
			answer = nullAnswer(countEntries(r.Body))
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, answer)
	}))
}

// countEntries counts the entries of a PutRecords body.
func countEntries(body io.Reader) (n int) {
	key := []byte(`"PartitionKey"`)
	buf, kept := make([]byte, 1<<20), 0
	for {
		read, err := body.Read(buf[kept:])
		n += bytes.Count(buf[:kept+read], key)
		if err != nil {
			return n
		}
		next := min(len(key)-1, kept+read)
		copy(buf, buf[kept+read-next:kept+read])
		kept = next
	}
}

// nullServer starts one in a process of its own, so that what it costs is not counted.
func nullServer(t *testing.T) *kinesis.Client {
	t.Helper()
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + costtest.Child(t, nullServerVariable)), HTTPClient: awsx.HTTPClient(),
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
}

// spent is what a run cost.
type spent struct {
	wall, cpu     time.Duration
	allocs, bytes uint64
	records       int
}

func (s spent) perRecord(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / float64(s.records)
}

func (s spent) String() string {
	return fmt.Sprintf("%.0f ns, %.0f ns of CPU, %.3f allocations, %.0f bytes", s.perRecord(s.wall), s.perRecord(s.cpu),
		float64(s.allocs)/float64(s.records), float64(s.bytes)/float64(s.records))
}

// spend runs fn, which deals with some records, and says what it cost.
func spend(fn func() (records int)) spent {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c, start := costtest.CPU(), time.Now()
	n := fn()
	s := spent{wall: time.Since(start), cpu: costtest.CPU() - c, records: n}
	runtime.ReadMemStats(&after)
	s.allocs, s.bytes = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	return s
}

// bareBuilder packs the records that the other side puts into aggregates, and does nothing else.
func bareBuilder(n int) int {
	var builder aggregation.Builder
	data := make([]byte, 100)
	var out []byte
	for i := range n {
		r := aggregation.Record{PartitionKey: benchmarkKeys[i%len(benchmarkKeys)], Data: data}
		if builder.SizeWith(r) > 50<<10 {
			out = builder.AppendTo(out[:0])
			builder.Reset()
		}
		builder.Add(r)
	}
	return n
}

// barePuts sends the same aggregates, made before, again and again.
func barePuts(t *testing.T, k *kinesis.Client) func() int {
	entries, records := aggregates(100)
	return func() int {
		done := 0
		for ; done < costRecords; done += records {
			if _, err := k.PutRecords(context.Background(), &kinesis.PutRecordsInput{StreamName: aws.String("bench"), Records: entries}); err != nil {
				t.Fatal(err)
			}
		}
		return done
	}
}

func produce(t *testing.T, k producer.KinesisAPI) func() int {
	data := make([]byte, 100)
	return func() int {
		p, err := producer.New(producer.Config{Stream: "bench", RateLimit: -1}, k)
		if err != nil {
			t.Fatal(err)
		}
		for i := range costRecords {
			if _, err := p.Put(context.Background(), producer.Record{PartitionKey: benchmarkKeys[i%len(benchmarkKeys)], Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		return costRecords
	}
}

func TestCost(t *testing.T) {
	if !*cost {
		t.Skip("no -cost")
	}
	server := nullServer(t)
	plain := barePuts(t, server)
	var rate, allocs, cpu []float64
	for range costRounds {
		b := spend(func() int { return bareBuilder(costRecords) })
		p := spend(produce(t, new(null)))
		t.Logf("builder %v; Put to nobody %v", b, p)
		rate = append(rate, b.perRecord(b.wall)/p.perRecord(p.wall))
		allocs = append(allocs, float64(p.allocs)/float64(p.records))
		b = spend(plain)
		p = spend(produce(t, server))
		t.Logf("PutRecords %v; Put to a server %v", b, p)
		cpu = append(cpu, p.perRecord(p.cpu)/b.perRecord(b.cpu))
	}
	t.Logf("medians of %d, %d CPUs", costRounds, runtime.NumCPU())
	t.Logf("Put of 100 bytes to a client that does nothing: %.2f of the rate of a bare Builder loop (bound %.2f), %.3f allocations a record",
		costtest.Median(rate), costOfPut, costtest.Median(allocs))
	t.Logf("through the SDK to a server that does nothing: %.2f x the CPU of a bare loop of PutRecords (bound %.2f)", costtest.Median(cpu), costOfSDK)
	if costtest.Median(rate) < costOfPut || costtest.Median(allocs) > 1.05 || costtest.Median(cpu) > costOfSDK {
		t.Error("a bound is broken")
	}
}
