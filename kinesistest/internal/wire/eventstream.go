package wire

import (
	"encoding/binary"
	"hash/crc32"
)

// EventStream is the content type of an answer that goes on: frames one after the other, until the answer ends.
const EventStream = "application/vnd.amazon.eventstream"

// A frame is, with all numbers big-endian and both sums CRC-32 of everything before them:
//
//	length of the frame, 4 bytes | length of the headers, 4 | sum, 4 | headers | payload | sum, 4
//
// A header is the length of its name (1 byte), the name, the type of its value (1), and for a string the length (2) and the bytes.
const (
	preludeSize = 12
	sumSize     = 4
	stringType  = 7
)

// OpenEvent begins a frame with an event of a type, for a payload of about size bytes. The payload is to be appended, as JSON, before
// CloseFrame.
func OpenEvent(eventType string, size int) []byte {
	return openFrame("event", ":event-type", eventType, size)
}

// Event is a whole frame with an event.
func Event(eventType string, payload []byte) []byte {
	return CloseFrame(append(OpenEvent(eventType, len(payload)), payload...))
}

// Exception is a whole frame with an exception, after which a stream ends.
func (e *Error) Exception() []byte {
	frame := append(openFrame("exception", ":exception-type", e.Code, len(e.Message)), `{"message":`...)
	return CloseFrame(append(AppendString(frame, e.Message), '}'))
}

func openFrame(kind, typeHeader, typeName string, size int) []byte {
	frame := make([]byte, preludeSize, preludeSize+128+size+sumSize)
	frame = appendHeader(frame, ":message-type", kind)
	frame = appendHeader(frame, typeHeader, typeName)
	frame = appendHeader(frame, ":content-type", "application/json")
	binary.BigEndian.PutUint32(frame[4:], uint32(len(frame)-preludeSize))
	return frame
}

func appendHeader(frame []byte, name, value string) []byte {
	frame = append(frame, byte(len(name)))
	frame = append(frame, name...)
	frame = append(frame, stringType)
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(value)))
	return append(frame, value...)
}

// CloseFrame ends what OpenEvent began: it fills in the length and the sums.
func CloseFrame(frame []byte) []byte {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)+sumSize))
	binary.BigEndian.PutUint32(frame[8:], crc32.ChecksumIEEE(frame[:8]))
	return binary.BigEndian.AppendUint32(frame, crc32.ChecksumIEEE(frame))
}
