package awsx

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// awsJSON is the protocol whose bodies PutOnce knows.
var awsJSON = smithy.ShapeID{Namespace: "aws.protocols", Name: "awsJson1_1"}

// PutOnce is KinesisOnce for PutRecords, which carries megabytes: the body is written into memory of the right size. The SDK lets it grow as it comes, and
// spends twice as much on moving it as on encoding it. A client that was given another protocol keeps it.
func PutOnce(o *kinesis.Options) {
	KinesisOnce(o)
	if o.Protocol != nil && o.Protocol.ID() == awsJSON {
		o.Protocol = putProtocol{o.Protocol}
	}
}

// putProtocol writes the records of a PutRecords itself and leaves everything else to the SDK's protocol.
type putProtocol struct{ smithyhttp.ClientProtocol }

// SerializeRequest implements smithyhttp.ClientProtocol. The SDK makes the request without the records, and they are put in front of its members: so
// headers, and members that a later version adds, stay its business.
func (p putProtocol) SerializeRequest(ctx context.Context, schema *smithy.OperationSchema, in smithy.Serializable, req *smithyhttp.Request) error {
	put, ok := in.(*kinesis.PutRecordsInput)
	if !ok || put.Records == nil {
		return p.ClientProtocol.SerializeRequest(ctx, schema, in, req)
	}
	others := *put
	others.Records = nil
	if err := p.ClientProtocol.SerializeRequest(ctx, schema, &others, req); err != nil {
		return err
	}
	rest, err := io.ReadAll(req.GetStream())
	if err != nil {
		return err
	}
	made, err := req.SetStream(bytes.NewReader(withRecords(rest, put.Records)))
	if err != nil {
		return err
	}
	*req = *made
	return nil
}

// withRecords adds the member Records to a JSON object.
func withRecords(object []byte, records []types.PutRecordsRequestEntry) []byte {
	const perEntry = len(`{"Data":"","ExplicitHashKey":"","PartitionKey":""},`)
	size := len(object) + len(`"Records":[],`)
	for i := range records {
		r := &records[i]
		size += perEntry + base64.StdEncoding.EncodedLen(len(r.Data))
		for _, s := range []*string{r.PartitionKey, r.ExplicitHashKey} {
			if s != nil {
				size += len(*s) + len(*s)/4 // room for some that need an escape
			}
		}
	}
	b := make([]byte, 0, size)
	b = append(b, `{"Records":[`...)
	for i := range records {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendEntry(b, &records[i])
	}
	b = append(b, ']')
	if rest := bytes.TrimPrefix(object, []byte("{")); !bytes.Equal(rest, []byte("}")) {
		b = append(b, ',')
		return append(b, rest...)
	}
	return append(b, '}')
}

func appendEntry(b []byte, r *types.PutRecordsRequestEntry) []byte {
	b = append(b, '{')
	if r.Data != nil {
		b = append(b, `"Data":"`...)
		b = appendBase64(b, r.Data)
		b = append(b, `",`...)
	}
	b = appendString(b, `"ExplicitHashKey":`, r.ExplicitHashKey)
	b = appendString(b, `"PartitionKey":`, r.PartitionKey)
	if last := len(b) - 1; b[last] == ',' {
		b = b[:last]
	}
	return append(b, '}')
}

// appendString appends a member and a comma, nothing for nil.
func appendString(b []byte, name string, value *string) []byte {
	if value == nil {
		return b
	}
	b = append(b, name...)
	if plain(*value) {
		b = append(b, '"')
		b = append(b, *value...)
		return append(b, `",`...)
	}
	quoted, _ := json.Marshal(*value) //nolint:errchkjson // a string cannot fail
	return append(append(b, quoted...), ',')
}

// plain reports whether s stands in JSON as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
