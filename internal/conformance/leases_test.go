package conformance

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
	"github.com/kinesiskit/kinesiskit/lease/leasetest"
)

// The lease table's contract on a DynamoDB that others wrote. It passes over ReturnValuesOnConditionCheckFailure, so a refused write does not show the row.
func TestTheLeaseTableKeepsItsContractOnAnIndependentServer(t *testing.T) {
	if os.Getenv(oraclesSwitch) == "" {
		t.Skipf("%s is not set", oraclesSwitch)
	}
	db := dynamodb.NewFromConfig(overTCP(startOracle(t, install(t), dynalite)))
	var tables atomic.Int64
	leasetest.Run(t, func(*testing.T) lease.Store {
		return dynamostore.New(db, dynamostore.Config{Table: fmt.Sprintf("leases-%d", tables.Add(1))})
	})
}
