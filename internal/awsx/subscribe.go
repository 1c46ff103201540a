package awsx

import (
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

// SubscribeOnce is the option of every SubscribeToShard of this module: KinesisOnce, and a protocol of the call's own, always JSON 1.1.
//
// The protocol, because the client's cannot be shared by two streams at a time. As it was found in smithy-go v1.28: a client has one
// awsjson.Protocol, which has one codec for event streams, which has one buffer for payloads and makes its decoder on first use. Each stream reads
// on a goroutine of its own, and so
//
//  1. two of them make the decoder at once, and
//  2. one cuts the buffer to no length, reads its frame's payload into it, and decodes records from it, while another does the same,
//     without a lock.
//
// Today the buffer is never stored with room in it, so that only the race detector notices; the day it is, a shard delivers the records of
// another. With a protocol for each call there is nothing to share.
//
// What the caller has to know of the end of a stream, as of the same version: where a connection ends, be it between two frames or
// in the middle of one, the channel of events is closed and Err() is nil, as it is at the end of the five minutes. Only a connection that is reset, an
// exception in the stream, and a ctx that ends give an error. So nil means no more than "subscribe again, from the last
// ContinuationSequenceNumber", and only an event with ChildShards says that the shard has ended.
func SubscribeOnce(o *kinesis.Options) {
	KinesisOnce(o)
	o.Protocol = awsjson.New11(schemas.Kinesis_20131202)
}
