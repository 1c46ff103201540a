package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go/logging"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
)

// place is where Kinesis and DynamoDB are.
type place struct {
	Endpoint string `json:"endpoint"` // of both; empty: wherever the AWS environment says
	Region   string `json:"region"`   // empty: the AWS environment's
}

// connect makes the two clients.
func connect(ctx context.Context, at place) (*kinesis.Client, *dynamodb.Client, error) {
	cfg, err := configure(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	// The SDK's HTTP client breaks connections to fast servers without TLS. It is replaced here and not in LoadDefaultConfig, which refuses any
	// other client where AWS_CA_BUNDLE is set; and only without TLS, since ours does not know that bundle.
	streams := kinesis.NewFromConfig(cfg, func(o *kinesis.Options) {
		if plain(o.BaseEndpoint) {
			o.HTTPClient = awsx.HTTPClient()
		}
	})
	tables := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		if plain(o.BaseEndpoint) {
			o.HTTPClient = awsx.HTTPClient()
		}
	})
	return streams, tables, nil
}

func configure(ctx context.Context, at place) (aws.Config, error) {
	if at.Endpoint != "" {
		// Nothing of the environment: whatever is set up for AWS on this machine does not matter to a local server, which wants a signature, and
		// no particular one.
		return aws.Config{
			Region: at.Region, BaseEndpoint: aws.String(at.Endpoint),
			Credentials: credentials.NewStaticCredentialsProvider("quickstart", "quickstart", ""),
		}, nil
	}
	// What the SDK warns of would be written across the live view; what fails comes back as an error.
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(at.Region), config.WithLogger(logging.Nop{}))
	if err != nil {
		return cfg, fmt.Errorf("load aws configuration: %w", err)
	}
	if cfg.Region == "" {
		return cfg, errors.New("load aws configuration: no region: set AWS_REGION, or give -region")
	}
	return cfg, nil
}

func plain(endpoint *string) bool { return strings.HasPrefix(aws.ToString(endpoint), "http://") }
