package awsx

import (
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// HTTPClient is the SDK's own HTTP client without a fault that plain HTTP/1.1 brings out on fast servers, such as one on loopback: about
// one request in a hundred breaks with "use of closed network connection". Every client that may meet such a server should have it,
// set on the service's Options: where AWS_CA_BUNDLE is set, config.LoadDefaultConfig refuses any client but the SDK's own.
//
// The mechanism, as it was found in smithy-go v1.28: the SDK wraps a request's body so that, once closed, it reads as ended. Its
// WriteTo, however, then returns io.EOF as an error, where an io.WriterTo must return nil.
//
//  1. net/http's write loop sends the headers, then the body's bytes straight to the socket.
//  2. The server, having all it needs, answers.
//  3. The SDK has the answer's headers and closes the request's body, while the answer's body is still to be read.
//  4. The write loop, which was not scheduled since, looks for bytes beyond the announced length. It does so through io.Copy, which
//     prefers WriteTo, gets the io.EOF, takes the request for failed, and closes the connection under the answer's reader.
//
// Without a WriteTo, step 4 uses Read, whose io.EOF is an end and not an error. HTTP/2 has no step 4.
func HTTPClient() aws.HTTPClient {
	return plainBodies{awshttp.NewBuildableClient()}
}

// plainBodies hides everything about a request's body but that it can be read and closed.
type plainBodies struct{ next aws.HTTPClient }

// Do implements aws.HTTPClient.
func (p plainBodies) Do(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody {
		req = req.WithContext(req.Context()) // a copy: the SDK keeps the original
		req.Body = struct{ io.ReadCloser }{req.Body}
	}
	return p.next.Do(req)
}
