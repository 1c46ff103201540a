package conformance

import (
	"crypto/rand"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
)

// env is the server that a behaviour is tried on.
type env struct {
	kinesis *kinesis.Client
	dynamo  *dynamodb.Client
}

// newEnv makes clients that wait out throttles, and nothing else: other errors are what behaviours look at.
func newEnv(cfg aws.Config) *env {
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = 100
			o.RateLimiter = ratelimit.None
			o.Retryables = []retry.IsErrorRetryable{retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}}
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 250 * time.Millisecond, nil })
		})
	}
	return &env{kinesis: kinesis.NewFromConfig(cfg), dynamo: dynamodb.NewFromConfig(cfg)}
}

// once lets a behaviour see a throttle.
func once(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }

// fresh is a name that nothing on the server has: behaviours share it.
func fresh() *string {
	return aws.String("c" + strings.ToLower(rand.Text()))
}

// ok returns a call's answer, which must be no error.
func ok[T any](out T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// refused demands one of the exceptions.
func refused(t testing.TB, err error, codes ...string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || !slices.Contains(codes, api.ErrorCode()) {
		t.Fatalf("the answer is %v, not %s", err, strings.Join(codes, " or "))
	}
}

// typed demands the SDK's own type for an exception.
func typed[E error](t testing.TB, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("the answer is %v, not a %T", err, e)
	}
	return e
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func sameList[T comparable](t testing.TB, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// await asks until the answer is yes: independent servers do in the background what they were asked to do.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) || t.Context().Err() != nil {
			t.Fatalf("not in time: %s", what)
		}
		pass(60 * time.Millisecond)
	}
}

// pass lets time pass, which outside of a bubble a server's clock needs too.
func pass(d time.Duration) { <-time.After(d) }

// number reads a sequence number or a hash key.
func number(t testing.TB, text *string) *big.Int {
	t.Helper()
	n, good := new(big.Int).SetString(aws.ToString(text), 10)
	if !good {
		t.Fatalf("%q is no number", aws.ToString(text))
	}
	return n
}
