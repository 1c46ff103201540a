package kinesistest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/dynamo"
	"github.com/kinesiskit/kinesiskit/kinesistest/internal/firehose"
	"github.com/kinesiskit/kinesiskit/kinesistest/internal/kinesis"
	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// place is where a request goes: nothing that one account has in one region is seen from another.
type place struct{ Account, Region string }

// home is the place of Config's clients and of the arranging functions.
var home = place{kinesis.Account, kinesis.Region}

// world is what one account has in one region.
type world struct {
	kinesis  *kinesis.Service
	dynamo   *dynamo.DB
	firehose *firehose.Service
}

func (s *Server) newWorld(at place) *world {
	w := &world{
		kinesis: kinesis.New(kinesis.Config{
			Account: at.Account, Region: at.Region,
			Limits: !s.free, Transitions: s.transitions, Stale: s.stale, Seed: s.seed,
		}),
		dynamo:   dynamo.New(),
		firehose: firehose.New(),
	}
	w.dynamo.SetPlace(at.Account, at.Region)
	w.dynamo.SetTransitions(s.transitions)
	w.dynamo.SetStaleness(s.stale, rand.New(rand.NewPCG(s.seed, 0)))
	w.firehose.SetPlace(at.Account, at.Region)
	w.firehose.SetTransitions(s.transitions)
	w.firehose.SetLimits(!s.free)
	return w
}

// at returns the world of a place, and makes it when it is asked for first.
func (s *Server) at(p place) *world {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.worlds[p]
	if !ok {
		w = s.newWorld(p)
		s.worlds[p] = w
	}
	return w
}

// places lists the places that were asked for, in an order.
func (s *Server) places() []place {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]place, 0, len(s.worlds))
	for p := range s.worlds {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b place) int {
		return strings.Compare(a.Account+" "+a.Region, b.Account+" "+b.Region)
	})
	return all
}

// perform does what the request asks for.
func (s *Server) perform(ctx context.Context, r *Request) Reply {
	do := r.world.kinesis.Call
	switch {
	case r.Service == wire.DynamoDB:
		do = r.world.dynamo.Call
	case r.Service == wire.Firehose:
		do = r.world.firehose.Call
	case r.Op == "SubscribeToShard":
		return s.subscribe(r)
	}
	body, err := do(ctx, r.Op, r.Body)
	if err != nil {
		return refusal(r.Service, err)
	}
	return Reply{Status: http.StatusOK, Body: body}
}

// name finds out what a request is about. Only rules want to know, so it costs nothing where there are none.
func (s *Server) name(r *Request) {
	switch r.Service {
	case wire.DynamoDB:
		r.Table, r.Key = r.world.dynamo.Key(r.Op, r.Body)
	case wire.Firehose:
		r.Stream = r.world.firehose.Key(r.Op, r.Body)
	default:
		r.Stream, r.Shard = kinesis.Names(r.Body)
	}
}

// caller is who sends a request, and to which place.
type caller struct {
	name string
	to   place
}

var (
	accountID  = regexp.MustCompile(`^[0-9]{12}$`)
	regionName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
)

// callerOf reads a SigV4 Authorization header: …Credential=<id>/<date>/<region>/<service>/aws4_request, … The id is the caller's name,
// and its account if it looks like one; it may have slashes. A request without a signature is an anonymous one to the home place.
func callerOf(authorization string) caller {
	_, scope, _ := strings.Cut(authorization, "Credential=")
	scope, _, _ = strings.Cut(scope, ",")
	parts := strings.Split(scope, "/")
	c := caller{to: home}
	if len(parts) < 5 {
		return c
	}
	rest := len(parts) - 4
	if id := strings.Join(parts[:rest], "/"); id != anonymous {
		c.name = id
	}
	if accountID.MatchString(c.name) {
		c.to.Account = c.name
	}
	if region := parts[rest+1]; regionName.MatchString(region) {
		c.to.Region = region
	}
	return c
}

// operation is a request's operation as an IAM policy names it.
func operation(service, op string) string { return fmt.Sprintf("%s:%s", service, op) }
