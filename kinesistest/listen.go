package kinesistest

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// largestBody of a request over TCP: the 10 MiB of the largest PutRecords are 13.3 MiB in base64, and its members have names.
const largestBody = 16 << 20

// port is one listening socket and who works for it.
type port struct {
	server *Server
	http   *http.Server
	wg     sync.WaitGroup // the accepting goroutine and the requests being served

	mu      sync.Mutex
	closing bool
}

// Listen serves both services over TCP too, in HTTP/1.1 and in HTTP/2 without TLS (h2c), until Close. addr is host:port; port 0 takes
// a free one. The url is what a client's BaseEndpoint or AWS_ENDPOINT_URL takes.
//
// A caller's name, for Rule.From, is its access key id. Signatures are not checked.
func (s *Server) Listen(addr string) (url string, err error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	p := &port{server: s}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	p.http = &http.Server{Handler: p, Protocols: protocols, ReadHeaderTimeout: 30 * time.Second}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return "", errors.Join(errClosed, listener.Close())
	}
	s.ports = append(s.ports, p)
	p.wg.Go(func() { _ = p.http.Serve(listener) }) // it always ends with ErrServerClosed
	s.mu.Unlock()
	return "http://" + listener.Addr().String(), nil
}

// close closes the socket and all connections, which ends the ctx of every request, and waits for them.
func (p *port) close() error {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	err := p.http.Close()
	p.wg.Wait()
	return err
}

// enter counts a request in, unless the port is closing: wg must not grow from zero while close waits for it.
func (p *port) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closing {
		p.wg.Add(1)
	}
	return !p.closing
}

// The SDK for Go, with its own HTTP client over plain HTTP/1.1, breaks the connection under an answer that comes before its write loop
// is through with a request, even though the request has arrived whole. Of 2,000 pages of 1.3 MB on loopback 171 were lost that way;
// with a head start for the write loop, one or none. An answer that fits net/http's read buffer is not lost, and not held back.
const (
	bufferedAnswer = 4 << 10
	headStart      = time.Millisecond
)

// ServeHTTP serves one request. Nothing is answered before the whole body is read.
func (p *port) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		panic(http.ErrAbortHandler)
	}
	defer p.wg.Done()
	body, err := readBody(http.MaxBytesReader(w, r.Body, largestBody), r.ContentLength)
	if err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			service, _, _ := wire.Operation(r.Header.Get("X-Amz-Target"))
			reply := refusal(service, &wire.Error{
				Code: "RequestEntityTooLargeException", Message: err.Error(), Status: http.StatusRequestEntityTooLarge,
			})
			w.WriteHeader(reply.Status)
			_, _ = w.Write(reply.Body)
			return
		}
		panic(http.ErrAbortHandler)
	}
	a, err := p.server.exchange(r.Context(), accessKey(r.Header.Get("Authorization")), r.Header.Get("X-Amz-Target"), body)
	if err != nil {
		panic(http.ErrAbortHandler) // net/http's way to break a connection, or a stream of HTTP/2, without an answer
	}
	if r.ProtoMajor == 1 && len(a.Body) > bufferedAnswer && strings.Contains(r.UserAgent(), "aws-sdk-go-v2") {
		if p.server.wait(r.Context(), headStart) != nil {
			panic(http.ErrAbortHandler)
		}
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // a client that has gone does not hear it
}

// accessKey takes the access key id out of a SigV4 Authorization header: …Credential=<id>/<date>/<region>/<service>/aws4_request, …
// The id itself may have slashes.
func accessKey(authorization string) string {
	_, scope, _ := strings.Cut(authorization, "Credential=")
	scope, _, _ = strings.Cut(scope, ",")
	parts := strings.Split(scope, "/")
	if len(parts) < 5 {
		return ""
	}
	id := strings.Join(parts[:len(parts)-4], "/")
	if id == anonymous {
		return ""
	}
	return id
}
