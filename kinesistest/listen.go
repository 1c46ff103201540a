package kinesistest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"maps"
	"mime"
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

// Listen serves over TCP too, in HTTP/1.1 and in HTTP/2 without TLS (h2c), until Close. addr is host:port; port 0 takes a free one. The
// url is what a client's BaseEndpoint or AWS_ENDPOINT_URL takes.
//
// A caller's name, for Rule.From, is its access key id. Signatures are not checked, but they tell the region and the account, each with
// streams and tables of its own: the region is the one signed for, the account an access key id of 12 digits, else 000000000000. Config's
// clients and the arranging functions are at home in us-east-1 and 000000000000.
func (s *Server) Listen(addr string) (url string, err error) { return s.listen(addr, nil) }

// listen serves over TLS if it is told how.
func (s *Server) listen(addr string, secure *tls.Config) (url string, err error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return "", err
	}
	p := &port{server: s}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(secure != nil)
	protocols.SetUnencryptedHTTP2(secure == nil)
	p.http = &http.Server{
		Handler: p, Protocols: protocols, TLSConfig: secure, ReadHeaderTimeout: 30 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // a client that does not trust the certificate says so itself
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return "", errors.Join(errClosed, listener.Close())
	}
	s.ports = append(s.ports, p)
	// Both always end with ErrServerClosed.
	if secure != nil {
		p.wg.Go(func() { _ = p.http.ServeTLS(listener, "", "") })
	} else {
		p.wg.Go(func() { _ = p.http.Serve(listener) })
	}
	s.mu.Unlock()
	if secure != nil {
		return "https://" + listener.Addr().String(), nil
	}
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
		if limit := new(http.MaxBytesError); errors.As(err, &limit) {
			service, _, _ := wire.Operation(r.Header.Get("X-Amz-Target"))
			write(w, service, tooLarge(service))
			return
		}
		panic(http.ErrAbortHandler)
	}
	if reply, ok := speaks(r); !ok {
		write(w, "", reply)
		return
	}
	a, err := p.server.exchange(r.Context(), callerOf(r.Header.Get("Authorization")), r.Header.Get("X-Amz-Target"), body)
	if err != nil {
		panic(http.ErrAbortHandler) // net/http's way to break a connection, or a stream of HTTP/2, without an answer
	}
	if r.ProtoMajor == 1 && (len(a.Body) > bufferedAnswer || a.events != nil) && strings.Contains(r.UserAgent(), "aws-sdk-go-v2") {
		if p.server.wait(r.Context(), headStart) != nil {
			panic(http.ErrAbortHandler)
		}
	}
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.Status)
	if a.events != nil {
		if !stream(r.Context(), w, a.events) {
			panic(http.ErrAbortHandler)
		}
		return
	}
	_, _ = w.Write(a.Body) // a client that has gone does not hear it
}

// write answers a request that does not get as far as an operation.
func write(w http.ResponseWriter, service string, reply Reply) {
	w.Header().Set("Content-Type", wire.ContentType(service))
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body)
}

// speaks refuses a request in another protocol than JSON, such as the CBOR that the SDK for Java speaks unless it is told not to.
func speaks(r *http.Request) (refused Reply, ok bool) {
	kind := r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(kind)
	switch {
	case kind == "":
		return Reply{}, true
	case err == nil && (media == "application/json" || strings.HasPrefix(media, "application/x-amz-json-1.")):
		return Reply{}, true
	}
	return refusal("", &wire.Error{
		Code: "UnknownOperationException", Message: "This server speaks application/x-amz-json-1.1, not " + kind, Status: http.StatusNotFound,
	}), false
}
