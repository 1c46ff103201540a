package awsx

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go/middleware"
)

// slowConn is a connection whose Write does not return, once the whole request is on its way, before the SDK has closed the request's
// body: the schedule in which the answer overtakes the write loop.
type slowConn struct {
	net.Conn
	writes int
	closed <-chan struct{}
}

func (c *slowConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if c.writes++; c.writes == 2 { // headers, then body
		select {
		case <-c.closed:
		case <-time.After(10 * time.Second):
		}
	}
	return n, err
}

// overtaken sends one request through the client that wrap makes, in that schedule, and returns what net/http's write loop and the caller say.
func overtaken(t *testing.T, wrap func(aws.HTTPClient) aws.HTTPClient) (writeErr, callErr error) {
	t.Helper()
	written := make(chan error, 1)
	closed := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		select { // the rest of the answer comes after the write loop is through
		case writeErr = <-written:
		case <-time.After(10 * time.Second):
			t.Error("the request was never written")
		}
		_, _ = io.WriteString(w, `{"Records":[]}`)
	}))
	defer server.Close()
	transport := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return &slowConn{Conn: conn, closed: closed}, err
		}
	})
	k := kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), HTTPClient: wrap(transport), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		APIOptions: []func(*middleware.Stack) error{func(stack *middleware.Stack) error {
			once := sync.Once{}
			// The last step before the transport returns when the SDK has closed the body and before it reads the answer.
			return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("closed", func(
				ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
			) (middleware.DeserializeOutput, middleware.Metadata, error) {
				out, metadata, err := next.HandleDeserialize(ctx, in)
				once.Do(func() { close(closed) })
				return out, metadata, err
			}), middleware.After)
		}},
	})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) { written <- info.Err },
	})
	_, callErr = k.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: aws.String("it")})
	return writeErr, callErr
}

func TestAnAnswerMayOvertakeItsRequest(t *testing.T) {
	t.Parallel()
	writeErr, callErr := overtaken(t, func(c aws.HTTPClient) aws.HTTPClient { return plainBodies{c} })
	if writeErr != nil || callErr != nil {
		t.Errorf("write loop: %v; call: %v; want neither", writeErr, callErr)
	}
	if _, ok := HTTPClient().(plainBodies); !ok {
		t.Errorf("HTTPClient is a %T", HTTPClient())
	}
}

// This one fails when the SDK no longer has the fault; then HTTPClient can go. Whether the call fails too is a race between the end of
// the answer and the end of the connection.
func TestTheSDKStillTakesSuchARequestForFailed(t *testing.T) {
	t.Parallel()
	writeErr, _ := overtaken(t, func(c aws.HTTPClient) aws.HTTPClient { return c })
	if !errors.Is(writeErr, io.EOF) {
		t.Errorf("write loop: %v; want %v", writeErr, io.EOF)
	}
}
