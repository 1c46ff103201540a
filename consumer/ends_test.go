package consumer_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
)

// Every exception that the SDK declares for the two services, whether or not an operation of the consumer is documented to answer it.
var modelled = map[string][]string{
	"kinesis": {
		"AccessDeniedException", "DryRunOperationException", "ExpiredIteratorException", "ExpiredNextTokenException", "InternalFailureException",
		"InvalidArgumentException", "KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException", "KMSNotFoundException", "KMSOptInRequired",
		"KMSThrottlingException", "LimitExceededException", "ProvisionedThroughputExceededException", "ResourceInUseException", "ResourceNotFoundException",
		"ValidationException",
	},
	"dynamodb": {
		"BackupInUseException", "BackupNotFoundException", "ConditionalCheckFailedException", "ContinuousBackupsUnavailableException", "DuplicateItemException",
		"ExportConflictException", "ExportNotFoundException", "GlobalTableAlreadyExistsException", "GlobalTableNotFoundException",
		"IdempotentParameterMismatchException", "ImportConflictException", "ImportNotFoundException", "IndexNotFoundException", "InternalServerError",
		"InvalidEndpointException", "InvalidExportTimeException", "InvalidRestoreTimeException", "ItemCollectionSizeLimitExceededException",
		"LimitExceededException", "PointInTimeRecoveryUnavailableException", "PolicyNotFoundException", "ProvisionedThroughputExceededException",
		"ReplicaAlreadyExistsException", "ReplicaNotFoundException", "ReplicatedWriteConflictException", "RequestLimitExceeded", "ResourceInUseException",
		"ResourceNotFoundException", "TableAlreadyExistsException", "TableInUseException", "TableNotFoundException", "ThrottlingException",
		"TransactionCanceledException", "TransactionConflictException", "TransactionInProgressException",
		// Of every service, and the ones that operators meet.
		"AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException", "ServiceUnavailable", "ValidationException",
	},
}

func of(service string) func(*kinesistest.Request) bool {
	return func(r *kinesistest.Request) bool { return r.Service == service }
}

// ends reports whether err is one of those that Run documents for its start.
func ends(err error) bool {
	var config *consumer.ConfigError
	var table *lease.TableError
	return errors.As(err, &config) || errors.As(err, &table)
}

// At the start a first answer that waiting can mend delays Run, one that it cannot ends Run with an error that its comment names; it never ends without one.
func TestTheFirstAnswerEndsRunOnlyForADocumentedCause(t *testing.T) {
	mendable := map[string]bool{}
	for _, code := range []string{
		"ExpiredNextTokenException", "InternalFailureException", "KMSThrottlingException", "LimitExceededException", "ProvisionedThroughputExceededException",
		"ResourceInUseException", "InternalServerError", "ReplicatedWriteConflictException", "RequestLimitExceeded", "TableInUseException", "ThrottlingException",
		"TransactionConflictException", "TransactionInProgressException", "UnrecognizedClientException", "ExpiredTokenException", "ServiceUnavailable",
	} {
		mendable[code] = true
	}
	for service, codes := range modelled {
		for _, code := range codes {
			t.Run(service+"/"+code, func(t *testing.T) {
				bubble(t, 1, func(f *fleet) {
					f.s.On("*", kinesistest.Exception(code, "by the test")).When(of(service)).From("w").Times(1)
					f.put("k", "r")
					w := f.start("w")
					time.Sleep(time.Minute)
					synctest.Wait()
					select {
					case <-w.done:
						if mendable[code] || !ends(w.err) {
							t.Errorf("Run has ended: %v", w.err)
						}
					default:
						f.want("r")
					}
				})
			})
		}
	}
}

// After an hour of work no answer of either service ends Run, however long it is the only one; and when it is over, work goes on, nothing lost.
func TestNoAnswerEndsRunAfterAnHourOfWork(t *testing.T) {
	for service, codes := range modelled {
		t.Run(service, func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				w := f.start("w")
				f.put("k", "at first")
				f.delivered(1)
				time.Sleep(time.Hour)
				sent := []string{"at first"}
				for _, code := range codes {
					rule := f.s.On("*", kinesistest.Exception(code, "by the test")).When(of(service)).From("w")
					time.Sleep(4 * failover)
					data := fmt.Sprintf("during %s", code)
					f.put("k", data)
					sent = append(sent, data)
					time.Sleep(failover)
					rule.Remove()
					select {
					case <-w.done:
						t.Fatalf("%s: Run has ended: %v", code, w.err)
					default:
					}
					f.until(code+" is over", time.Minute, func() bool { return slices.Contains(f.data(), data) })
					time.Sleep(failover) // what was delivered is stored
				}
				var firsts []string
				for _, d := range f.data() {
					if !slices.Contains(firsts, d) {
						firsts = append(firsts, d)
					}
				}
				if !slices.Equal(firsts, sent) {
					t.Errorf("first deliveries %q, want %q", firsts, sent)
				}
				if err := w.leave(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
