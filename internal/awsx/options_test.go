package awsx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// service is an HTTP client that answers every request alike and counts them.
type service struct {
	requests []*http.Request
	answer   func(*http.Request) (*http.Response, error)
}

func (s *service) Do(r *http.Request) (*http.Response, error) {
	s.requests = append(s.requests, r)
	return s.answer(r)
}

func respond(status int, body string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status,
			Header:     http.Header{"Date": {"Fri, 20 Nov 2026 12:00:00 GMT"}},
			Body:       io.NopCloser(strings.NewReader(body)),
			Request:    r,
		}, nil
	}
}

func fail(err error) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

func keys(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret"}, nil
}

// getRecords calls through the real client with the option under test.
func getRecords(ctx context.Context, s *service, credentials aws.CredentialsProviderFunc, opts ...func(*kinesis.Options)) (
	*kinesis.GetRecordsOutput, error,
) {
	client := kinesis.New(kinesis.Options{Region: "eu-west-1", Credentials: credentials, HTTPClient: s, RetryMaxAttempts: 2}, opts...)
	return client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: aws.String("i")}, KinesisOnce)
}

func updateItem(ctx context.Context, s *service) error {
	client := dynamodb.New(dynamodb.Options{Region: "eu-west-1", Credentials: aws.CredentialsProviderFunc(keys), HTTPClient: s, RetryMaxAttempts: 2})
	_, err := client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String("t"),
		Key:       map[string]dynamotypes.AttributeValue{"k": &dynamotypes.AttributeValueMemberS{Value: "v"}},
	}, DynamoOnce)
	return err
}

func TestAThrottleIsSeenAfterOneAttempt(t *testing.T) {
	t.Parallel()
	s := &service{answer: respond(400, `{"__type":"ProvisionedThroughputExceededException"}`)}
	_, err := getRecords(t.Context(), s, keys)
	if Classify(err) != Throttle || len(s.requests) != 1 {
		t.Errorf("Kinesis: class %v after %d attempts, want throttle after 1", Classify(err), len(s.requests))
	}
	s = &service{answer: respond(400, `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}`)}
	err = updateItem(t.Context(), s)
	if Classify(err) != Throttle || len(s.requests) != 1 {
		t.Errorf("DynamoDB: class %v after %d attempts, want throttle after 1", Classify(err), len(s.requests))
	}
}

func TestCallsAreMarkedInTheUserAgent(t *testing.T) {
	t.Parallel()
	s := &service{answer: respond(200, `{}`)}
	if _, err := getRecords(t.Context(), s, keys); err != nil {
		t.Fatal(err)
	}
	if err := updateItem(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.requests {
		if agent := r.Header.Get("User-Agent"); !strings.Contains(agent, " kinesiskit/"+version()) || version() == "" {
			t.Errorf("user agent of %s is %q", r.Header.Get("X-Amz-Target"), agent)
		}
	}
}

func TestServerTimeIsTheDateOfTheAnswer(t *testing.T) {
	t.Parallel()
	out, err := getRecords(t.Context(), &service{answer: respond(200, `{}`)}, keys)
	if err != nil {
		t.Fatal(err)
	}
	want := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	if got, ok := ServerTime(out.ResultMetadata); !ok || !got.Equal(want) {
		t.Errorf("server time %v (%v), want %v", got, ok, want)
	}
	undated := func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{}`))}, nil
	}
	out, err = getRecords(t.Context(), &service{answer: undated}, keys)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := ServerTime(out.ResultMetadata); ok {
		t.Errorf("server time %v of an answer without a date", got)
	}
}

// What Classify and Ambiguous say of the errors as the real client builds them.
func TestErrorsOfTheRealClient(t *testing.T) {
	t.Parallel()
	dial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, c := range []struct {
		name      string
		answer    func(*http.Request) (*http.Response, error)
		want      Class
		ambiguous bool
	}{
		{"modelled", respond(400, `{"__type":"ExpiredIteratorException","message":"m"}`), Expired, false},
		{"modelled, 500", respond(500, `{"__type":"InternalFailureException"}`), Transient, true},
		{"code without a model", respond(400, `{"__type":"RequestTimeTooSkewed"}`), Credentials, false},
		{"5xx without a code", respond(503, `{}`), Transient, true},
		{"5xx that is not JSON", respond(502, `<html>`), Transient, true},
		{"empty 5xx", respond(500, ``), Transient, true},
		{"4xx that is not JSON", respond(400, `<html>`), Transient, true},
		{"429 without a code", respond(429, `{}`), Throttle, false},
		{"success that is not JSON", respond(200, `<html>`), Transient, true},
		{"no connection", fail(dial), Transient, false},
		{"reset", fail(&net.OpError{Op: "read", Err: syscall.ECONNRESET}), Transient, true},
		{"connection closed without an answer", fail(io.EOF), Transient, true},
	} {
		s := &service{answer: c.answer}
		_, err := getRecords(t.Context(), s, keys)
		if got := Classify(err); got != c.want {
			t.Errorf("%s: %v, want %v (%v)", c.name, got, c.want, err)
		}
		if got := Ambiguous(err); got != c.ambiguous {
			t.Errorf("%s: ambiguous %v, want %v (%v)", c.name, got, c.ambiguous, err)
		}
	}
}

func TestAFailureToGetCredentialsIsNotTheServicesAnswer(t *testing.T) {
	t.Parallel()
	denied := &smithy.OperationError{ServiceID: "STS", Err: &smithy.GenericAPIError{Code: "AccessDenied"}}
	for _, cause := range []error{
		errors.New("no credentials in the chain"),
		denied,
		&smithy.OperationError{ServiceID: "ec2imds", Err: &smithyhttp.RequestSendError{Err: io.EOF}},
		&smithy.OperationError{ServiceID: "STS", Err: &smithy.GenericAPIError{Code: "Throttling"}},
	} {
		s := &service{answer: respond(200, `{}`)}
		_, err := getRecords(t.Context(), s, func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, cause })
		if !errors.Is(err, cause) || len(s.requests) != 0 {
			t.Fatalf("%v: %d requests, error %v", cause, len(s.requests), err)
		}
		if got := Classify(err); got != Credentials || Ambiguous(err) {
			t.Errorf("%v: class %v, ambiguous %v", cause, got, Ambiguous(err))
		}
	}
}

func TestARequestThatNeverLeftIsNotAmbiguous(t *testing.T) {
	t.Parallel()
	s := &service{answer: respond(200, `{}`)}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := getRecords(ended, s, keys)
	if Classify(err) != Canceled || Ambiguous(err) {
		t.Errorf("ended before: class %v, ambiguous %v (%v)", Classify(err), Ambiguous(err), err)
	}
	late, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	_, err = getRecords(late, s, keys)
	if Classify(err) != Transient || Ambiguous(err) {
		t.Errorf("deadline passed before: class %v, ambiguous %v (%v)", Classify(err), Ambiguous(err), err)
	}
	_, err = getRecords(t.Context(), s, keys, func(o *kinesis.Options) { o.Region = "" })
	if Classify(err) != Invalid || Ambiguous(err) {
		t.Errorf("no region: class %v, ambiguous %v (%v)", Classify(err), Ambiguous(err), err)
	}
	if len(s.requests) != 0 {
		t.Errorf("%d requests were sent", len(s.requests))
	}
}

func TestARequestCanceledOnItsWayIsAmbiguous(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := &service{answer: func(*http.Request) (*http.Response, error) {
		cancel()
		return nil, fmt.Errorf("transport: %w", context.Canceled)
	}}
	_, err := getRecords(ctx, s, keys)
	if Classify(err) != Canceled || !Ambiguous(err) {
		t.Errorf("class %v, ambiguous %v (%v)", Classify(err), Ambiguous(err), err)
	}
}
