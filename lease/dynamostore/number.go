package dynamostore

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var errNegativeFailover = errors.New("failover time is negative")

// maxMilliseconds is the longest time.Duration.
const maxMilliseconds = math.MaxInt64 / int64(time.Millisecond)

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// milliseconds rounds up: an observer that waits a little longer than the owner said is safe, one that waits shorter is not.
func milliseconds(d time.Duration) (types.AttributeValue, error) {
	if d < 0 {
		return nil, errNegativeFailover
	}
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond != 0 && ms < maxMilliseconds {
		ms++
	}
	return number(ms), nil
}
