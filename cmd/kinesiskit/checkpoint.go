package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
)

const checkpointUsage = `Usage: kinesiskit checkpoint <get|reset|undo> [flags]

  get     print where an application stands
  reset   plan to move it to its oldest records, to now, to a time, or to given positions; write that with -execute
  undo    show a backup that reset made; put it back with -execute

Credentials, region and endpoints come from the environment and the shared AWS configuration.
kinesiskit checkpoint <command> -h lists a command's flags.
`

func checkpoints(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		_, _ = io.WriteString(stderr, checkpointUsage)
		return exitUsage
	}
	switch args[0] {
	case "get":
		return checkpointGet(ctx, args[1:], stdout, stderr)
	case "reset":
		return checkpointReset(ctx, args[1:], stdout, stderr)
	case "undo":
		return checkpointUndo(ctx, args[1:], stdout, stderr)
	case "help", "-h", "-help", "--help":
		_, _ = io.WriteString(stdout, checkpointUsage)
		return exitOK
	}
	_, _ = fmt.Fprintf(stderr, "kinesiskit checkpoint: unknown command %q\n\n%s", args[0], checkpointUsage)
	return exitUsage
}

// checkpointCommand is what get, reset and undo have in common: flags, and how they speak.
type checkpointCommand struct {
	name           string
	flags          *flag.FlagSet
	stdout, stderr io.Writer

	table, stream, region, endpoint string
	json                            bool
}

func newCheckpointCommand(name, usage string, stdout, stderr io.Writer) *checkpointCommand {
	c := &checkpointCommand{name: name, flags: flag.NewFlagSet(name, flag.ContinueOnError), stdout: stdout, stderr: stderr}
	c.flags.SetOutput(stderr)
	c.flags.Usage = func() {
		_, _ = io.WriteString(stderr, usage+"\nFlags:\n")
		c.flags.PrintDefaults()
	}
	c.flags.StringVar(&c.table, "table", "", "`name` of the lease table, which is the application's (required)")
	c.flags.StringVar(&c.region, "region", "", "AWS `region`, if not that of the environment")
	c.flags.StringVar(&c.endpoint, "endpoint", "", "`url` of Kinesis and DynamoDB, if not AWS's")
	c.flags.BoolVar(&c.json, "json", false, "print JSON")
	return c
}

// parse returns the exit status of a command line that ends here, or -1.
func (c *checkpointCommand) parse(args []string, operands int, required ...string) int {
	switch err := c.flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	for _, name := range append([]string{"table"}, required...) {
		if c.flags.Lookup(name).Value.String() == "" {
			return c.misused("-%s is required", name)
		}
	}
	switch n := c.flags.NArg(); {
	case n > operands:
		return c.misused("unexpected argument %q", c.flags.Arg(operands))
	case n < operands:
		return c.misused("an argument is missing")
	}
	return -1
}

func (c *checkpointCommand) misused(format string, args ...any) int {
	_, _ = fmt.Fprintf(c.stderr, "kinesiskit checkpoint %s: %s\n", c.name, fmt.Sprintf(format, args...))
	return exitUsage
}

// failed prints an error, each part of a joined one on a line of its own.
func (c *checkpointCommand) failed(err error) int {
	for line := range strings.Lines(err.Error()) {
		_, _ = fmt.Fprintf(c.stderr, "kinesiskit checkpoint %s: %s\n", c.name, strings.TrimSuffix(line, "\n"))
	}
	return exitError
}

// connect makes the clients and looks at the table, which is never created here.
func (c *checkpointCommand) connect(ctx context.Context) (*kinesis.Client, *dynamostore.Store, error) {
	var opts []func(*config.LoadOptions) error
	if c.region != "" {
		opts = append(opts, config.WithRegion(c.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, nil, err
	}
	k := kinesis.NewFromConfig(cfg, func(o *kinesis.Options) {
		o.BaseEndpoint = c.address(o.BaseEndpoint)
		o.HTTPClient = transport(o.BaseEndpoint, o.HTTPClient)
	})
	db := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		o.BaseEndpoint = c.address(o.BaseEndpoint)
		o.HTTPClient = transport(o.BaseEndpoint, o.HTTPClient)
	})
	s := dynamostore.New(db, dynamostore.Config{Table: c.table, NeverCreate: true})
	if err := s.Open(ctx); err != nil {
		return nil, nil, err
	}
	return k, s, nil
}

func (c *checkpointCommand) address(fromEnvironment *string) *string {
	if c.endpoint != "" {
		return &c.endpoint
	}
	return fromEnvironment
}

// transport is the SDK's own client, which has what AWS_CA_BUNDLE says, but for an endpoint without TLS.
func transport(endpoint *string, own aws.HTTPClient) aws.HTTPClient {
	if strings.HasPrefix(aws.ToString(endpoint), "http://") {
		return awsx.HTTPClient()
	}
	return own
}
