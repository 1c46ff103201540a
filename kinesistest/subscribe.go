package kinesistest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/kinesis"
	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// subscribe performs a SubscribeToShard, whose answer goes on after its headers.
func (s *Server) subscribe(r *Request) Reply {
	sub, err := r.world.kinesis.Subscribe(r.Body)
	if err != nil {
		return refusal(r.Service, err)
	}
	return Reply{Status: http.StatusOK, events: &events{server: s, subscription: sub}}
}

// events is an answer to SubscribeToShard on its way to a client. Whoever brings it there calls next, from one goroutine at a time.
type events struct {
	server       *Server
	subscription *kinesis.Subscription
	cut          *cut
	frames       int // that were taken
}

// cut is where a stream ends: so many bytes into the frame with that number, counted from 0.
type cut struct{ frame, bytes int }

// next waits for the next frame. The error is io.EOF behind the last one, errBroken when the server is closed, or ctx's.
func (e *events) next(ctx context.Context) ([]byte, error) {
	if c := e.cut; c != nil && (e.frames > c.frame || e.frames == c.frame && c.bytes <= 0) {
		e.subscription.Close()
		return nil, io.EOF
	}
	closing, release, ok := e.server.untilClosed()
	if !ok {
		return nil, errBroken
	}
	defer release()
	frame, err := e.subscription.Next(ctx, closing)
	if err != nil {
		if errors.Is(err, kinesis.ErrClosing) {
			err = errBroken
		}
		return nil, err
	}
	if c := e.cut; c != nil && e.frames == c.frame {
		frame = frame[:min(c.bytes, len(frame)-1)]
	}
	e.frames++
	return frame, nil
}

// CutStream lets a SubscribeToShard succeed and ends its stream in the middle of a frame: behind as many events, and so many bytes of the
// next frame, though never all of it. With 0 bytes it ends between two frames. -1 events stand for the initial response, without
// which the call itself fails. The answer is complete as far as HTTP can tell.
//
// The SDK for Go, as of smithy-go v1.28, closes the channel of events then, and Err is nil, wherever the cut is. So is it at the end of the five
// minutes and of the shard: nil says nothing about how a stream ended, and only ChildShards say that the shard has.
//
// Other operations are performed as if there were no rule.
func CutStream(afterEvents, bytes int) Fault {
	return Fault{apply: func(ctx context.Context, c *call) (Reply, error) {
		reply := c.perform(ctx)
		if reply.events != nil {
			reply.events.cut = &cut{frame: afterEvents + 1, bytes: bytes}
		}
		return reply, nil
	}}
}

// eventBody is a stream's answer in memory. Events are made on the goroutine that reads, when it reads.
type eventBody struct {
	ctx    context.Context
	cancel context.CancelFunc
	events *events

	reading sync.Mutex // held by Read
	rest    []byte     // of the frame that is being read
}

func newEventBody(ctx context.Context, e *events) *eventBody {
	b := &eventBody{events: e}
	b.ctx, b.cancel = context.WithCancel(ctx)
	return b
}

// Read fails as that of an http.Response does: with ctx's error, or with that of a broken connection.
func (b *eventBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	for len(b.rest) == 0 {
		frame, err := b.events.next(b.ctx)
		if err != nil {
			return 0, networkError(err)
		}
		b.rest = frame
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close ends the subscription, and a Read that waits.
func (b *eventBody) Close() error {
	b.cancel()
	b.events.subscription.Close()
	return nil
}

// stream sends the events of an answer until they end, or until the client has gone. It reports whether the answer is complete.
func stream(ctx context.Context, w http.ResponseWriter, e *events) bool {
	defer e.subscription.Close()
	out := http.NewResponseController(w)
	for {
		frame, err := e.next(ctx)
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		if _, err := w.Write(frame); err != nil {
			return false
		}
		if out.Flush() != nil {
			return false
		}
	}
}

// streaming is what an answer's headers say of one that goes on.
func streaming(header http.Header) {
	header.Set("Content-Type", wire.EventStream)
	header.Del("Content-Length")
}
