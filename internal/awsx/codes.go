package awsx

// codes maps every error code that Kinesis Data Streams and DynamoDB declare, and the codes that every AWS service may answer with, to what a
// caller does about it. A modelled code decides alone: its HTTP status adds nothing.
var codes = map[string]Class{
	// Both services.
	"ProvisionedThroughputExceededException": Throttle,
	"LimitExceededException":                 Throttle, // Kinesis: calls per second of a control operation; DynamoDB: control operations at one time
	"ResourceInUseException":                 Throttle, // the stream or table is not ACTIVE; for CreateTable: it exists, which its caller looks at first
	"ResourceNotFoundException":              Gone,

	// Kinesis. The KMS codes are about the key that encrypts the stream.
	"AccessDeniedException":     Denied,
	"DryRunOperationException":  Invalid, // the answer to a request that asked not to be carried out; this module never asks
	"ExpiredIteratorException":  Expired,
	"ExpiredNextTokenException": Expired,
	"InternalFailureException":  Transient,
	"InvalidArgumentException":  Invalid,
	"KMSAccessDeniedException":  Denied,
	"KMSDisabledException":      Denied,
	"KMSInvalidStateException":  Denied,
	"KMSNotFoundException":      Denied,
	"KMSOptInRequired":          Denied,
	"KMSThrottlingException":    Throttle,
	"ValidationException":       Invalid,

	// DynamoDB, item operations.
	"ConditionalCheckFailedException":          Refused,
	"DuplicateItemException":                   Refused,
	"IdempotentParameterMismatchException":     Invalid,
	"InternalServerError":                      Transient,
	"ItemCollectionSizeLimitExceededException": Invalid,
	"ReplicatedWriteConflictException":         Throttle, // another region is writing the item at this moment
	"RequestLimitExceeded":                     Throttle,
	"ThrottlingException":                      Throttle,
	"TransactionCanceledException":             Refused,
	"TransactionConflictException":             Throttle, // a transaction is holding the item at this moment
	"TransactionInProgressException":           Throttle,

	// DynamoDB, tables, indexes, backups, replicas.
	"BackupInUseException":                    Throttle,
	"BackupNotFoundException":                 Gone,
	"ContinuousBackupsUnavailableException":   Invalid,
	"ExportConflictException":                 Refused,
	"ExportNotFoundException":                 Gone,
	"GlobalTableAlreadyExistsException":       Refused,
	"GlobalTableNotFoundException":            Gone,
	"ImportConflictException":                 Refused,
	"ImportNotFoundException":                 Gone,
	"IndexNotFoundException":                  Gone,
	"InvalidEndpointException":                Invalid,
	"InvalidExportTimeException":              Invalid,
	"InvalidRestoreTimeException":             Invalid,
	"PointInTimeRecoveryUnavailableException": Invalid,
	"PolicyNotFoundException":                 Gone,
	"ReplicaAlreadyExistsException":           Refused,
	"ReplicaNotFoundException":                Gone,
	"TableAlreadyExistsException":             Refused,
	"TableInUseException":                     Throttle,
	"TableNotFoundException":                  Gone,

	// Any service: load.
	"BandwidthLimitExceeded":    Throttle,
	"PriorRequestNotComplete":   Throttle,
	"RequestThrottled":          Throttle,
	"RequestThrottledException": Throttle,
	"SlowDown":                  Throttle,
	"ThrottledException":        Throttle,
	"Throttling":                Throttle,
	"TooManyRequestsException":  Throttle,

	// Any service: its own faults. ServiceUnavailable is not Throttle, because nothing says that the request was not carried out.
	"InternalError":               Transient,
	"InternalFailure":             Transient,
	"InternalServerException":     Transient,
	"RequestTimeout":              Transient,
	"RequestTimeoutException":     Transient,
	"ServiceUnavailable":          Transient,
	"ServiceUnavailableException": Transient,

	// Any service: who the caller is.
	"AuthFailure":                         Credentials,
	"ExpiredToken":                        Credentials,
	"ExpiredTokenException":               Credentials,
	"IncompleteSignature":                 Credentials,
	"IncompleteSignatureException":        Credentials,
	"InvalidClientTokenId":                Credentials,
	"InvalidSignatureException":           Credentials, // also the answer to a signature outside its five minutes: a clock that is off
	"MissingAuthenticationToken":          Credentials,
	"MissingAuthenticationTokenException": Credentials,
	"RequestExpired":                      Credentials,
	"RequestInTheFuture":                  Credentials,
	"RequestTimeTooSkewed":                Credentials,
	"SignatureDoesNotMatch":               Credentials,
	"TokenRefreshRequired":                Credentials,
	"UnrecognizedClientException":         Credentials, // a new key takes seconds to be known everywhere

	// Any service: what the caller may do.
	"AccessDenied":          Denied,
	"NotAuthorized":         Denied,
	"OptInRequired":         Denied,
	"UnauthorizedOperation": Denied,

	// Any service: the request itself.
	"InvalidAction":               Invalid,
	"InvalidParameterCombination": Invalid,
	"InvalidParameterValue":       Invalid,
	"InvalidQueryParameter":       Invalid,
	"MalformedQueryString":        Invalid,
	"MissingParameter":            Invalid,
	"SerializationException":      Invalid,
	"UnknownOperationException":   Invalid,
	"ValidationError":             Invalid,
}
