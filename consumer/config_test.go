package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

// fields are those that the ConfigErrors in err name.
func fields(err error) []string {
	var all []string
	var walk func(error)
	walk = func(err error) {
		var one *consumer.ConfigError
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				walk(e)
			}
		} else if errors.As(err, &one) {
			all = append(all, one.Field)
		}
	}
	walk(err)
	slices.Sort(all)
	return all
}

func TestEveryViolationOfTheConfigurationIsNamed(t *testing.T) {
	t.Parallel()
	good := func(change func(*consumer.Config)) consumer.Config {
		c := consumer.Config{Application: "app", Stream: "orders"}
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		cfg  consumer.Config
		want string
	}{
		"nothing": {consumer.Config{}, "Application Stream"},
		"good":    {good(func(*consumer.Config) {}), ""},
		"arn":     {good(func(c *consumer.Config) { c.Stream = "arn:aws:kinesis:eu-central-1:123456789012:stream/orders" }), ""},
		"china":   {good(func(c *consumer.Config) { c.Stream = "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/orders" }), ""},
		"consumer's arn": {good(func(c *consumer.Config) {
			c.Stream = "arn:aws:kinesis:eu-central-1:123456789012:stream/orders/consumer/x:1"
		}), "Stream"},
		"space":            {good(func(c *consumer.Config) { c.Stream = "or ders" }), "Stream"},
		"long":             {good(func(c *consumer.Config) { c.Stream = strings.Repeat("x", 129) }), "Stream"},
		"long worker":      {good(func(c *consumer.Config) { c.Worker = strings.Repeat("x", 65) }), "Worker"},
		"no filter":        {good(func(c *consumer.Config) { c.Aggregates = 4 }), "Aggregates"},
		"little memory":    {good(func(c *consumer.Config) { c.BufferBytes = 1 << 20 }), "BufferBytes"},
		"too many records": {good(func(c *consumer.Config) { c.Polling.MaxRecords = 10_001 }), "Polling.MaxRecords"},
		"negative records": {good(func(c *consumer.Config) { c.Polling.MaxRecords = -1 }), "Polling.MaxRecords"},
		"max interval":     {good(func(c *consumer.Config) { c.Polling.MaxInterval = 5 * time.Minute }), "Polling.MaxInterval"},
		"negative max":     {good(func(c *consumer.Config) { c.Polling.MaxInterval = -1 }), "Polling.MaxInterval Polling.MinInterval"},
		"min above max": {good(func(c *consumer.Config) {
			c.Polling.MinInterval, c.Polling.MaxInterval = 2*time.Second, time.Second
		}), "Polling.MinInterval"},
		"min alone": {good(func(c *consumer.Config) { c.Polling.MinInterval = 2 * time.Second }), ""},
		"no pause":  {good(func(c *consumer.Config) { c.Polling.MinInterval = -1 }), ""},
		"lease": {good(func(c *consumer.Config) {
			c.Lease = lease.Config{FailoverTime: time.Millisecond, MaxLeases: -1}
		}), "Lease.FailoverTime Lease.MaxLeases"},
	} {
		err := c.cfg.Validate()
		if got := strings.Join(fields(err), " "); got != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %v names %q, want %q", name, err, got, c.want)
		}
	}
}

func TestNewRefusesWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := kinesistest.New()
	defer s.Close()
	k := kinesis.NewFromConfig(s.Config(""))
	each := consumer.Each(func(context.Context, *consumer.Record) error { return nil })
	cfg := consumer.Config{Application: "app", Stream: "orders"}
	for name, c := range map[string]struct {
		make func() (*consumer.Consumer, error)
		want string
	}{
		"all parts": {func() (*consumer.Consumer, error) { return consumer.New(consumer.Config{}, nil, nil, nil) }, "Application Handler Kinesis Store Stream"},
		"nil function": {func() (*consumer.Consumer, error) {
			return consumer.New(cfg, k, memstore.New(), consumer.Each(nil))
		}, "Handler"},
		"store": {func() (*consumer.Consumer, error) {
			return consumer.New(cfg, k, dynamostore.New(dynamodb.NewFromConfig(s.Config("")), dynamostore.Config{}), each)
		}, "Store"},
	} {
		got, err := c.make()
		if names := strings.Join(fields(err), " "); got != nil || names != c.want {
			t.Errorf("%s: %v names %q, want %q", name, err, names, c.want)
		}
	}
	if c, err := consumer.New(cfg, k, memstore.New(), each); err != nil || c.Health().State != consumer.Idle || c.Health().Ready() == nil {
		t.Errorf("good parts: %v", err)
	}
	if n := s.Calls("*"); n != 0 {
		t.Errorf("New made %d calls", n)
	}
}

func TestDefaultsAreThoseOfTheDocumentation(t *testing.T) {
	t.Parallel()
	c := consumer.Config{}.WithDefaults()
	if c.Worker == "" || c.ShutdownTimeout != 20*time.Second || c.Lease.FailoverTime != 10*time.Second {
		t.Errorf("%+v", c)
	}
	if want := (consumer.Polling{MaxRecords: 10_000, MinInterval: 250 * time.Millisecond, MaxInterval: time.Second}); c.Polling != want {
		t.Errorf("%+v", c.Polling)
	}
}
