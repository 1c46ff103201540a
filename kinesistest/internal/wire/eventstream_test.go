package wire

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/aws/smithy-go/eventstream"
)

// What is written here must be read by the decoder that the SDK reads with, sums and all.
func TestFramesAreReadByTheSDKsDecoder(t *testing.T) {
	t.Parallel()
	long := `{"Data":"` + strings.Repeat("eA==", 500_000) + `"}`
	message := "no \"such\" thing: 日本\n"
	var stream bytes.Buffer
	for _, frame := range [][]byte{
		Event("initial-response", []byte("{}")),
		Event("SubscribeToShardEvent", []byte(long)),
		Event("SubscribeToShardEvent", nil),
		CloseFrame(append(OpenEvent("SubscribeToShardEvent", 0), "more than was announced"...)),
		(&Error{Code: "ResourceInUseException", Message: message}).Exception(),
	} {
		stream.Write(frame)
	}
	for i, want := range []struct{ kind, header, name, payload string }{
		{"event", ":event-type", "initial-response", "{}"},
		{"event", ":event-type", "SubscribeToShardEvent", long},
		{"event", ":event-type", "SubscribeToShardEvent", ""},
		{"event", ":event-type", "SubscribeToShardEvent", "more than was announced"},
		{"exception", ":exception-type", "ResourceInUseException", `{"message":"no \"such\" thing: 日本\n"}`},
	} {
		got, err := eventstream.NewDecoder().Decode(&stream, nil)
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		headers := map[string]string{}
		for _, h := range got.Headers {
			headers[h.Name] = h.Value.String()
		}
		if string(got.Payload) != want.payload {
			t.Errorf("frame %d: payload %.100q", i, got.Payload)
		}
		wanted := map[string]string{":message-type": want.kind, want.header: want.name, ":content-type": "application/json"}
		if !maps.Equal(headers, wanted) {
			t.Errorf("frame %d: headers %v, want %v", i, headers, wanted)
		}
	}
	if _, err := eventstream.NewDecoder().Decode(&stream, nil); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last frame: %v", err)
	}
}
