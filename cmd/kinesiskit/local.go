package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// settings make an SDK or the AWS CLI use the server. AWS wants credentials to sign with, and the server takes any. AWS_CA_BUNDLE
// and proxies need no care: the one is for TLS, which this is not, and the others leave loopback addresses alone.
const settings = `export AWS_ENDPOINT_URL_KINESIS=%[1]s
export AWS_ENDPOINT_URL_DYNAMODB=%[1]s
export AWS_REGION=us-east-1
export AWS_ACCESS_KEY_ID=local
export AWS_SECRET_ACCESS_KEY=local
`

const localUsage = `Usage: kinesiskit local [-addr host:port]

Serves Kinesis and DynamoDB in memory, over HTTP/1.1 and h2c, until interrupted; what was stored is gone then. Prints the settings
that make any AWS SDK and the AWS CLI use it; AWS_SESSION_TOKEN and AWS_PROFILE, where set, are best unset.

Flags:
`

func local(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = io.WriteString(flags.Output(), localUsage)
		flags.PrintDefaults()
	}
	addr := flags.String("addr", "127.0.0.1:4567", "`host:port` to listen on; port 0 takes a free one")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		_, _ = fmt.Fprintf(stderr, "kinesiskit local: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	s := kinesistest.New()
	url, err := s.Listen(*addr)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "kinesiskit local: %v\n", err)
		return exitError
	}
	_, _ = fmt.Fprintf(stdout, settings, url)
	<-ctx.Done()
	if err := s.Close(); err != nil {
		_, _ = fmt.Fprintf(stderr, "kinesiskit local: %v\n", err)
		return exitError
	}
	return exitOK
}
