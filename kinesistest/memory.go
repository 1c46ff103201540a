package kinesistest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/kinesis"
)

// anonymous is the access key id of a client without a name: a request cannot be signed with an empty one.
const anonymous = "kinesistest"

// Config reaches this server from any SDK client, as in kinesis.NewFromConfig(s.Config("")). client names the caller for Rule.From
// and Request.Client; it may be empty.
//
// Requests are served in memory on the caller's goroutine: there is no connection, nothing to close, and a request inside a bubble
// stays inside it. For a client over TCP set BaseEndpoint to Listen's url and HTTPClient to a real one; the access key id still
// carries the name.
func (s *Server) Config(client string) aws.Config {
	id := client
	if id == "" {
		id = anonymous
	}
	return aws.Config{
		Region:       kinesis.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(id, "secret", ""),
		HTTPClient:   &memory{server: s, client: client},
		BaseEndpoint: aws.String("http://kinesistest.invalid"),
	}
}

// memory is the transport without a network.
type memory struct {
	server *Server
	client string
}

// Do implements aws.HTTPClient. It fails as an http.Client does.
func (m *memory) Do(req *http.Request) (*http.Response, error) {
	body, err := readBody(req.Body, req.ContentLength)
	if err == nil {
		err = req.Context().Err()
	}
	var a answer
	if err == nil {
		a, err = m.server.exchange(req.Context(), caller{m.client, home}, req.Header.Get("X-Amz-Target"), body)
	}
	if err != nil {
		return nil, &url.Error{Op: "Post", URL: req.URL.String(), Err: networkError(err)}
	}
	resp := &http.Response{
		Status: strconv.Itoa(a.Status) + " " + http.StatusText(a.Status), StatusCode: a.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(bytes.NewReader(a.Body)), ContentLength: int64(len(a.Body)),
		Request: req,
	}
	if a.events != nil {
		resp.Body, resp.ContentLength = newEventBody(req.Context(), a.events), -1
	}
	return resp, nil
}

// networkError says what the end of an exchange looks like from the other side of a network.
func networkError(err error) error {
	switch {
	case errors.Is(err, errBroken):
		return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	case errors.Is(err, errClosed):
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	return err
}

// readBody reads all of a body and closes it. The length saves growing; less than 0 means unknown.
func readBody(body io.ReadCloser, length int64) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	defer func() { _ = body.Close() }()
	if length < 0 || length > largestBody {
		return io.ReadAll(body)
	}
	buf := bytes.NewBuffer(make([]byte, 0, length+bytes.MinRead))
	_, err := buf.ReadFrom(body)
	return buf.Bytes(), err
}

var _ aws.HTTPClient = (*memory)(nil)
