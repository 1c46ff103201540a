// Command deadletter reads payments, some of which cannot be understood. It tries each of those a few times, finds it in its batch, moves it to another
// stream together with the reason, and goes on.
//
//	go run ./examples/deadletter
//
// It needs no account: Kinesis is a server in this process. For a stream of your own, give consumer.New and producer.New the clients of your
// configuration, and a table of package dynamostore.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
	"github.com/kinesiskit/kinesiskit/producer"
)

const (
	stream   = "payments"
	dead     = "payments-dead"
	attempts = 3
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "deadletter:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server := kinesistest.New()
	defer func() { _ = server.Close() }()
	server.CreateStream(stream, 1)
	server.CreateStream(dead, 1)
	api := kinesis.NewFromConfig(server.Config("deadletter"))
	l := newLedger(7)
	if err := work(ctx, api, l); err != nil {
		return err
	}
	return l.report(os.Stdout)
}

// work puts payments, and enters them until the ledger has enough.
func work(ctx context.Context, api *kinesis.Client, l *ledger) error {
	for i, amount := range []string{"10", "20", "thirty", "40", "50", "6O", "70"} {
		in := &kinesis.PutRecordInput{StreamName: aws.String(stream), PartitionKey: aws.String(fmt.Sprint("customer-", i%3)), Data: []byte(amount)}
		if _, err := api.PutRecord(ctx, in); err != nil {
			return err
		}
	}
	letters, err := producer.New(producer.Config{Stream: dead}, api)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l.enough = stop
	c, err := consumer.New(
		consumer.Config{Application: "ledger", Stream: stream}, api, memstore.New(),
		consumer.Batches(l.enter),
		consumer.WithErrorPolicy(policy(letters, l)))
	if err != nil {
		return err
	}
	err = c.Run(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, letters.Close(closing))
}

// policy tries again, then looks for the bad record, and gives it up only when it is stored elsewhere. PutAll waits for that; when it cannot be, the record
// is tried again, and put again.
func policy(letters *producer.Producer, l *ledger) consumer.ErrorPolicy {
	return func(ctx context.Context, f *consumer.Failure) consumer.Verdict {
		switch {
		case f.Attempt < attempts:
			return consumer.Retry
		case len(f.Records) > 1:
			return consumer.Split
		}
		if _, err := letters.PutAll(ctx, wrap(f)); err != nil {
			return consumer.Retry
		}
		l.setAside(f)
		return consumer.Skip
	}
}

// letter is a record that was given up, with what somebody needs who wants to mend it: the payment, where it stands, and why it was not entered.
type letter struct {
	Reason   string `json:"reason"`
	Shard    string `json:"shard"`
	Position string `json:"position"`
	Data     []byte `json:"data"`
}

func wrap(f *consumer.Failure) (letters []producer.Record) {
	for i := range f.Records {
		r := &f.Records[i]
		body, err := json.Marshal(letter{Reason: f.Err.Error(), Shard: f.Shard.ID(), Position: r.Position.String(), Data: r.Data})
		if err != nil {
			body = r.Data // cannot happen, and the payment is what counts
		}
		letters = append(letters, producer.Record{PartitionKey: r.PartitionKey, Data: body})
	}
	return letters
}

// ledger is what payments are entered into. The stream has one shard, so one goroutine works on it.
type ledger struct {
	want    int // payments, entered or set aside
	enough  func()
	entered []int
	aside   []string
}

func newLedger(want int) *ledger { return &ledger{want: want} }

// enter enters a batch as a whole, or nothing of it, as a database does with a transaction.
func (l *ledger) enter(_ context.Context, b *consumer.Batch) error {
	amounts := make([]int, len(b.Records))
	for i := range b.Records {
		amount, err := strconv.Atoi(string(b.Records[i].Data))
		if err != nil {
			return err
		}
		amounts[i] = amount
	}
	l.entered = append(l.entered, amounts...)
	l.count()
	return nil
}

func (l *ledger) setAside(f *consumer.Failure) {
	for i := range f.Records {
		l.aside = append(l.aside, string(f.Records[i].Data))
	}
	l.count()
}

func (l *ledger) count() {
	if len(l.entered)+len(l.aside) >= l.want {
		l.enough()
	}
}

func (l *ledger) report(out io.Writer) error {
	_, err := fmt.Fprintf(out, "entered %v\nset aside %q\n", l.entered, l.aside)
	return err
}
