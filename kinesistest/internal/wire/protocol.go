package wire

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
)

// The services, as a request's target prefix tells them apart. The value is the name under which the SDK signs for the service.
const (
	Kinesis  = "kinesis"
	DynamoDB = "dynamodb"
	Firehose = "firehose"
)

// Operation reads an X-Amz-Target header such as "Kinesis_20131202.PutRecords".
func Operation(target string) (service, op string, ok bool) {
	prefix, op, _ := strings.Cut(target, ".")
	switch {
	case op == "":
		return "", "", false
	case prefix == "Kinesis_20131202":
		return Kinesis, op, true
	case prefix == "DynamoDB_20120810":
		return DynamoDB, op, true
	case prefix == "Firehose_20150804":
		return Firehose, op, true
	}
	return "", "", false
}

// ContentType is that of a service's answers: Kinesis and Firehose speak version 1.1 of the JSON protocol, DynamoDB 1.0.
func ContentType(service string) string {
	if service == DynamoDB {
		return "application/x-amz-json-1.0"
	}
	return "application/x-amz-json-1.1"
}

// Encode writes an exception as the service does. The members stand beside the type and the message.
func (e *Error) Encode(service string) (status int, body []byte) {
	members := make(map[string]any, len(e.Members)+2)
	maps.Copy(members, e.Members)
	members["message"] = e.Message
	members["__type"] = e.Code
	if service == DynamoDB {
		members["__type"] = "com.amazonaws.dynamodb.v20120810#" + e.Code
	}
	body, err := json.Marshal(members)
	if err != nil {
		// Only a member can be at fault; the exception itself must still arrive as one.
		body, _ = json.Marshal(map[string]string{"__type": e.Code, "message": e.Message}) //nolint:errchkjson // strings always marshal
	}
	status = e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	return status, body
}
