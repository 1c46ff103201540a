// Package awsx is what the rest of the module knows about the AWS SDK: how a call is made, and what its error means.
package awsx

import (
	"context"
	"errors"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go/middleware"
)

const module = "github.com/kinesiskit/kinesiskit"

// KinesisOnce is the option of every Kinesis call of this module, on hot paths and for control: one attempt, our name in the user agent, and
// errors that tell whether the request left the process (Ambiguous).
//
// One attempt, because the SDK's own retryer hides what the caller has to know: with it, two throttles of a GetRecords took 3.35 s before the
// caller saw anything, and a lease write that it repeats has a send time and an outcome that nobody can name. The retry policy of this module is
// internal/retry, and it is the only one.
func KinesisOnce(o *kinesis.Options) {
	o.Retryer = aws.NopRetryer{}
	o.APIOptions = append(o.APIOptions, addUserAgent, addStages)
}

// DynamoOnce is KinesisOnce for DynamoDB.
func DynamoOnce(o *dynamodb.Options) {
	o.Retryer = aws.NopRetryer{}
	o.APIOptions = append(o.APIOptions, addUserAgent, addStages)
}

// ServerTime returns the service's clock as its answer showed it (the HTTP Date header, whole seconds), and whether it showed it. It is the only
// clock that may be stored and compared between hosts.
func ServerTime(metadata middleware.Metadata) (time.Time, bool) {
	return awsmiddleware.GetServerTime(metadata)
}

func addUserAgent(stack *middleware.Stack) error {
	return awsmiddleware.AddUserAgentKeyValue("kinesiskit", version())(stack)
}

// version is the version of this module in the running program, "devel" in its own tree.
var version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module && m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	return "devel"
})

// stage is how far a request has come on its way through the SDK's middleware.
type stage int

const (
	stageBuild    stage = iota // validating and serialising the input
	stageIdentity              // asking the provider for credentials
	stageEndpoint              // working out the address
	stageFinish                // whatever else the client is configured to do; nothing is known about its errors
	stageSigning               // signing
	stageSent                  // handed to the HTTP client
)

// unsentError says that the request never reached the HTTP client, and what it was waiting for. Its text is the error's own.
type unsentError struct {
	at  stage
	err error
}

func (e *unsentError) Error() string { return e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

type stageKey struct{}

// addStages installs a watch over the whole call and marks between the SDK's steps. The SDK's errors do not tell these steps apart: an
// unreachable metadata service looks like an unreachable Kinesis. A step that a future SDK has renamed is left out: its errors are then classified
// less finely, and Ambiguous errs to the safe side, because the mark that matters to it (sent) is anchored to no name.
func addStages(stack *middleware.Stack) error {
	if err := stack.Initialize.Add(watch{}, middleware.Before); err != nil {
		return err
	}
	for _, m := range []struct {
		at    stage
		step  string
		where middleware.RelativePosition
	}{
		{stageIdentity, "GetIdentity", middleware.Before},
		{stageEndpoint, "ResolveEndpointV2", middleware.Before},
		{stageFinish, "ResolveEndpointV2", middleware.After},
		{stageSigning, "Signing", middleware.Before},
	} {
		if _, ok := stack.Finalize.Get(m.step); !ok {
			continue
		}
		if err := stack.Finalize.Insert(mark(m.at), m.step, m.where); err != nil {
			return err
		}
	}
	return stack.Deserialize.Add(mark(stageSent), middleware.After)
}

// watch gives the call a place for its stage and wraps the error of a call that was not sent.
type watch struct{}

func (watch) ID() string { return "kinesiskit.Watch" }

func (watch) HandleInitialize(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
	middleware.InitializeOutput, middleware.Metadata, error,
) {
	at := new(stage)
	out, md, err := next.HandleInitialize(context.WithValue(ctx, stageKey{}, at), in)
	if err != nil && *at < stageSent {
		err = &unsentError{at: *at, err: err}
	}
	return out, md, err
}

// mark is a middleware that records that the call has come to its stage.
type mark stage

func (m mark) ID() string { return "kinesiskit.Mark." + strconv.Itoa(int(m)) }

func (m mark) record(ctx context.Context) error {
	at, ok := ctx.Value(stageKey{}).(*stage)
	if !ok {
		return errors.New("awsx: the call's context was replaced by another middleware")
	}
	*at = max(*at, stage(m))
	return nil
}

func (m mark) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	out middleware.FinalizeOutput, md middleware.Metadata, err error,
) {
	if err := m.record(ctx); err != nil {
		return out, md, err
	}
	return next.HandleFinalize(ctx, in)
}

func (m mark) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	out middleware.DeserializeOutput, md middleware.Metadata, err error,
) {
	if err := m.record(ctx); err != nil {
		return out, md, err
	}
	return next.HandleDeserialize(ctx, in)
}
