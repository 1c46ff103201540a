package awsx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// modelled is written by hand from the services' documentation: what each exception asks of a caller. It is compared with the SDK's own list in
// both directions, so a new SDK with a new exception fails here until somebody has decided about it.
var modelled = map[string]Class{
	"AccessDeniedException":                    Denied,
	"BackupInUseException":                     Throttle,
	"BackupNotFoundException":                  Gone,
	"ConditionalCheckFailedException":          Refused,
	"ContinuousBackupsUnavailableException":    Invalid,
	"DryRunOperationException":                 Invalid,
	"DuplicateItemException":                   Refused,
	"ExpiredIteratorException":                 Expired,
	"ExpiredNextTokenException":                Expired,
	"ExportConflictException":                  Refused,
	"ExportNotFoundException":                  Gone,
	"GlobalTableAlreadyExistsException":        Refused,
	"GlobalTableNotFoundException":             Gone,
	"IdempotentParameterMismatchException":     Invalid,
	"ImportConflictException":                  Refused,
	"ImportNotFoundException":                  Gone,
	"IndexNotFoundException":                   Gone,
	"InternalFailureException":                 Transient,
	"InternalServerError":                      Transient,
	"InvalidArgumentException":                 Invalid,
	"InvalidEndpointException":                 Invalid,
	"InvalidExportTimeException":               Invalid,
	"InvalidRestoreTimeException":              Invalid,
	"ItemCollectionSizeLimitExceededException": Invalid,
	"KMSAccessDeniedException":                 Denied,
	"KMSDisabledException":                     Denied,
	"KMSInvalidStateException":                 Denied,
	"KMSNotFoundException":                     Denied,
	"KMSOptInRequired":                         Denied,
	"KMSThrottlingException":                   Throttle,
	"LimitExceededException":                   Throttle,
	"PointInTimeRecoveryUnavailableException":  Invalid,
	"PolicyNotFoundException":                  Gone,
	"ProvisionedThroughputExceededException":   Throttle,
	"ReplicaAlreadyExistsException":            Refused,
	"ReplicaNotFoundException":                 Gone,
	"ReplicatedWriteConflictException":         Throttle,
	"RequestLimitExceeded":                     Throttle,
	"ResourceInUseException":                   Throttle,
	"ResourceNotFoundException":                Gone,
	"TableAlreadyExistsException":              Refused,
	"TableInUseException":                      Throttle,
	"TableNotFoundException":                   Gone,
	"ThrottlingException":                      Throttle,
	"TransactionCanceledException":             Refused,
	"TransactionConflictException":             Throttle,
	"TransactionInProgressException":           Throttle,
	"ValidationException":                      Invalid,
}

func TestEveryModelledExceptionHasAClass(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, registry := range []*smithy.TypeRegistry{kinesis.TypeRegistry, dynamodb.TypeRegistry} {
		for id, entry := range registry.Entries {
			err, ok := entry.New().(smithy.APIError)
			if !ok {
				continue
			}
			code := err.ErrorCode()
			seen[code] = true
			want, decided := modelled[code]
			if _, inCodes := codes[code]; !decided || !inCodes {
				t.Errorf("%s: nobody has decided what a caller does about it", id)
				continue
			}
			for _, status := range []int{400, 500} { // a modelled code decides alone
				wrapped := fmt.Errorf("wrapped: %w", answer(status, err))
				if got := Classify(wrapped); got != want {
					t.Errorf("%s with status %d: %v, want %v", id, status, got, want)
				}
				if got := Ambiguous(wrapped); got != (want == Transient) {
					t.Errorf("%s with status %d: ambiguous %v", id, status, got)
				}
			}
		}
	}
	for code := range modelled {
		if !seen[code] {
			t.Errorf("%s: in the table, but in neither service's model", code)
		}
	}
}

func TestCodesThatAnyServiceMayAnswer(t *testing.T) {
	t.Parallel()
	want := map[Class][]string{
		Throttle: {
			"BandwidthLimitExceeded", "PriorRequestNotComplete", "RequestThrottled", "RequestThrottledException", "SlowDown", "ThrottledException",
			"Throttling", "TooManyRequestsException",
		},
		Transient: {
			"InternalError", "InternalFailure", "InternalServerException", "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable",
			"ServiceUnavailableException",
		},
		Credentials: {
			"AuthFailure", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "IncompleteSignatureException", "InvalidClientTokenId",
			"InvalidSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException", "RequestExpired", "RequestInTheFuture",
			"RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired", "UnrecognizedClientException",
		},
		Denied: {"AccessDenied", "NotAuthorized", "OptInRequired", "UnauthorizedOperation"},
		Invalid: {
			"InvalidAction", "InvalidParameterCombination", "InvalidParameterValue", "InvalidQueryParameter", "MalformedQueryString",
			"MissingParameter", "SerializationException", "UnknownOperationException", "ValidationError",
		},
	}
	covered := maps.Clone(modelled)
	for class, list := range want {
		for _, code := range list {
			covered[code] = class
			if got := Classify(answer(400, &smithy.GenericAPIError{Code: code})); got != class {
				t.Errorf("%s: %v, want %v", code, got, class)
			}
		}
	}
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		if _, ok := covered[code]; !ok {
			t.Errorf("%s: classified, but no test says as what", code)
		}
	}
}

// What the SDK treats as a throttle or as worth a retry must be nothing that this module gives up on at once.
func TestNothingThatTheSDKRepeatsIsFinalHere(t *testing.T) {
	t.Parallel()
	for _, set := range []map[string]struct{}{retry.DefaultThrottleErrorCodes, retry.DefaultRetryableErrorCodes} {
		for code := range set {
			if code == "EC2ThrottledException" { // of another service's credentials, never of ours
				continue
			}
			if got := Classify(answer(400, &smithy.GenericAPIError{Code: code})); got != Throttle && got != Transient {
				t.Errorf("%s: %v", code, got)
			}
		}
	}
}

func TestErrorsWithoutAKnownCode(t *testing.T) {
	t.Parallel()
	unknown := &smithy.GenericAPIError{Code: "UnknownError"}
	garbled := &smithy.DeserializationError{Err: io.ErrUnexpectedEOF}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	for _, c := range []struct {
		name      string
		err       error
		want      Class
		ambiguous bool
	}{
		{"no error", nil, None, false},
		{"an error of no AWS call", errors.New("disk on fire"), Transient, true},

		{"500, unknown code", answer(500, unknown), Transient, true},
		{"503, unknown code", answer(503, unknown), Transient, true},
		{"429, unknown code", answer(429, unknown), Throttle, false},
		{"408, unknown code", answer(408, unknown), Transient, true},
		{"401, unknown code", answer(401, unknown), Denied, false},
		{"403, unknown code", answer(403, unknown), Denied, false},
		{"404, unknown code", answer(404, unknown), Invalid, false},
		{"413, unknown code", answer(413, unknown), Invalid, false},
		{"400, a code of the future", answer(400, &smithy.GenericAPIError{Code: "Novel"}), Invalid, false},
		{"no status, server's fault", &smithy.GenericAPIError{Code: "Novel", Fault: smithy.FaultServer}, Transient, true},
		{"no status, client's fault", &smithy.GenericAPIError{Code: "Novel", Fault: smithy.FaultClient}, Invalid, false},
		{"no status, no fault", &smithy.GenericAPIError{Code: "Novel"}, Transient, true},
		{"502, no code at all", answer(502, errors.New("bad gateway")), Transient, true},
		{"404, no code at all", answer(404, errors.New("no such page")), Invalid, false},

		{"success that cannot be read", answer(200, garbled), Transient, true},
		{"error that cannot be read", answer(400, garbled), Transient, true},
		{"500 that cannot be read", answer(500, garbled), Transient, true},

		{"connection refused", sent(refused), Transient, false},
		{"name not found", sent(&net.OpError{Op: "dial", Err: &net.DNSError{Name: "k", IsNotFound: true}}), Transient, false},
		{"connection reset", sent(reset), Transient, true},
		{"connection closed", sent(io.EOF), Transient, true},

		{"deadline while waiting for the answer", call(&smithy.CanceledError{Err: context.DeadlineExceeded}), Transient, true},
		{"deadline while reading the answer", answer(200, &smithy.DeserializationError{Err: context.DeadlineExceeded}), Transient, true},
		{"canceled while waiting for the answer", call(&smithy.CanceledError{Err: context.Canceled}), Canceled, true},
		{"canceled while reading the answer", answer(200, &smithy.DeserializationError{Err: context.Canceled}), Canceled, true},
		{"canceled by the SDK's own wait", call(&aws.RequestCanceledError{Err: context.Canceled}), Canceled, true},

		{"signing", call(&v4.SigningError{Err: errors.New("no key")}), Credentials, false},
		{"validation", call(smithy.InvalidParamsError{}), Invalid, false},
		{"validation by pointer", call(&smithy.InvalidParamsError{}), Invalid, false},
		{"serialisation", call(&smithy.SerializationError{Err: errors.New("x")}), Invalid, false},
		{"no region", call(&aws.MissingRegionError{}), Invalid, false},
		{"no endpoint", call(&aws.EndpointNotFoundError{}), Invalid, false},
	} {
		if got := Classify(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if got := Ambiguous(c.err); got != c.ambiguous {
			t.Errorf("%s: ambiguous %v, want %v", c.name, got, c.ambiguous)
		}
	}
}

func TestClassesHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	names := map[string]Class{}
	for c := None; c <= Canceled; c++ {
		if other, taken := names[c.String()]; taken || c.String() == "unknown" {
			t.Errorf("class %d is called %q, as is %d", c, c, other)
		}
		names[c.String()] = c
	}
	if got := Class(-1).String(); got != "unknown" {
		t.Errorf("a class that does not exist is called %q", got)
	}
}

func call(err error) error {
	return &smithy.OperationError{ServiceID: "Kinesis", OperationName: "GetRecords", Err: err}
}

func sent(err error) error {
	return call(&smithyhttp.RequestSendError{Err: &url.Error{Op: "Post", URL: "https://kinesis", Err: err}})
}

func answer(status int, err error) error {
	return call(&smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: err})
}
