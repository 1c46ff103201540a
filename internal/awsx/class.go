package awsx

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
)

// Class says what a caller can do about a failed call.
type Class int

const (
	// None is the class of a nil error.
	None Class = iota

	// Throttle: the service did nothing and may do it later: rate limits, and states that pass by themselves (a stream that is being resharded,
	// a table that is being updated). Wait, then send the same request again.
	Throttle

	// Transient: there is no answer that can be read: a 5xx, a broken connection, a deadline, a body that does not parse, and every error that
	// nothing else is known about. The request may have been applied (see Ambiguous). Wait, then send a read again; before a write is sent again,
	// its author must know whether the first one took effect, or not need to.
	Transient

	// Expired: an iterator or a page token outlived its time (both live five minutes). Get a new one from the last known position at once.
	Expired

	// Gone: the stream, shard, table or other object that the request names does not exist. Look at the listing; the same request cannot succeed
	// until somebody creates the object.
	Gone

	// Refused: the service looked, and things are not as the request said they must be: a condition that did not hold, an object that exists
	// already. Nothing was applied by this attempt, but an earlier attempt whose answer was lost may be the reason: read, compare, then decide.
	Refused

	// Denied: the identity may not do this, or the key that encrypts the data cannot be used. Only an operator can change that; the request may be
	// repeated slowly, because operators do.
	Denied

	// Invalid: the request itself is wrong. It fails in the same way for ever; repeating it is useless.
	Invalid

	// Credentials: the caller could not prove who it is: credentials missing, expired or not yet known everywhere, a signature refused, a clock
	// too far off. Nothing was applied. It passes when credentials are renewed or the clock is corrected: wait and repeat, for as long as what
	// the call serves is still valid (a lease write until the lease runs out).
	Credentials

	// Canceled: a context was canceled while the call was under way. Stop; what the request did is unknown unless Ambiguous says otherwise.
	// A context that reached its deadline is Transient instead, because a deadline is how one attempt is bounded: who has a deadline of
	// its own to respect looks at its own context first.
	Canceled
)

// String returns the name of the class in lower case, as logs and metrics show it.
func (c Class) String() string {
	switch c {
	case None:
		return "none"
	case Throttle:
		return "throttle"
	case Transient:
		return "transient"
	case Expired:
		return "expired"
	case Gone:
		return "gone"
	case Refused:
		return "refused"
	case Denied:
		return "denied"
	case Invalid:
		return "invalid"
	case Credentials:
		return "credentials"
	case Canceled:
		return "canceled"
	default:
		return "unknown"
	}
}

// Classify says what can be done about err, an error of a Kinesis or DynamoDB call. It looks through wrapping; it never looks at the text.
func Classify(err error) Class {
	if err == nil {
		return None
	}
	if errors.Is(err, context.Canceled) {
		return Canceled
	}
	// Before the code is looked at: a provider of credentials calls services of its own, so the AccessDenied of an AssumeRole, or an unreachable
	// metadata service, would otherwise pass for Kinesis's or DynamoDB's answer.
	if c, known := classifyUnsent(err); known {
		return c
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		if c, known := codes[api.ErrorCode()]; known {
			return c
		}
		if c, known := classifyStatus(err); known {
			return c
		}
		if api.ErrorFault() == smithy.FaultClient {
			return Invalid
		}
		return Transient
	}
	if c, known := classifyStatus(err); known && !unreadable(err) {
		return c
	}
	return Transient
}

// classifyUnsent knows the errors of a request that never became one.
func classifyUnsent(err error) (c Class, known bool) {
	var (
		unsent   *unsentError
		signing  *v4.SigningError
		params   smithy.InvalidParamsError
		pparams  *smithy.InvalidParamsError
		serial   *smithy.SerializationError
		region   *aws.MissingRegionError
		endpoint *aws.EndpointNotFoundError
	)
	switch {
	case errors.As(err, &signing):
		return Credentials, true
	case errors.As(err, &params), errors.As(err, &pparams), errors.As(err, &serial), errors.As(err, &region), errors.As(err, &endpoint):
		return Invalid, true
	case !errors.As(err, &unsent):
		return None, false
	case unsent.at == stageIdentity || unsent.at == stageSigning:
		return Credentials, true
	case unsent.at == stageEndpoint:
		return Invalid, true
	default:
		return None, false
	}
}

// classifyStatus judges by the HTTP status when there is no code, or none that is known: the answer of a proxy, a load balancer or a newer service.
func classifyStatus(err error) (c Class, known bool) {
	var response interface{ HTTPStatusCode() int }
	if !errors.As(err, &response) {
		return None, false
	}
	switch status := response.HTTPStatusCode(); {
	case status == http.StatusTooManyRequests:
		return Throttle, true
	case status == http.StatusRequestTimeout, status >= 500:
		return Transient, true
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Denied, true
	case status >= 400:
		return Invalid, true
	default:
		return None, false
	}
}

func unreadable(err error) bool {
	var d *smithy.DeserializationError
	return errors.As(err, &d)
}

// Ambiguous reports whether the operation may have been applied although it failed: the answer was lost, unreadable or a server's fault, and
// the request may have reached the service. It is false where the service said no, and where the request certainly never left: it was not built,
// not signed, its context had ended before, or no connection could be dialed.
func Ambiguous(err error) bool {
	switch Classify(err) {
	case Transient, Canceled:
	default:
		return false
	}
	var unsent *unsentError
	if errors.As(err, &unsent) {
		return false
	}
	var op *net.OpError
	return !errors.As(err, &op) || op.Op != "dial"
}
