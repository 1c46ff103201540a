package kinesis

import (
	"encoding/base64"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
)

// The kinds of token; each is also the number of its parts, so that one cannot stand for another.
const (
	streamsToken   = 1
	consumersToken = 4
	iteratorToken  = 5
	shardsToken    = 6
)

// tokenLife is how long an iterator and a NextToken can be used.
const tokenLife = 5 * time.Minute

// seal packs parts, none of which has a slash, into something that a client can only hand back. A checksum tells a token from a guess.
func seal(kind int, parts ...string) string {
	text := strconv.Itoa(kind) + "/" + strings.Join(parts, "/")
	sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(text))), 36)
	return base64.StdEncoding.EncodeToString([]byte(text + "/" + sum))
}

func unseal(kind int, token string) (parts []string, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return nil, false
	}
	parts = strings.Split(string(raw), "/")
	if len(parts) != kind+2 || seal(kind, parts[1:kind+1]...) != token {
		return nil, false
	}
	return parts[1 : kind+1], true
}

// iterator is what a shard iterator holds: the index of the next record to read, and when it was given out.
type iterator struct {
	stream   string
	streamID uint64
	shard    string
	next     uint64
	issued   int64 // Unix milliseconds
}

func (it iterator) String() string {
	return seal(iteratorToken, it.stream, strconv.FormatUint(it.streamID, 36), it.shard,
		strconv.FormatUint(it.next, 36), strconv.FormatInt(it.issued, 36))
}

func parseIterator(token string) (it iterator, ok bool) {
	parts, ok := unseal(iteratorToken, token)
	if !ok {
		return iterator{}, false
	}
	it.stream, it.shard = parts[0], parts[2]
	it.streamID, it.next = number(parts[1]), number(parts[3])
	it.issued = int64(number(parts[4]))
	return it, true
}

// number reads what seal was given; the checksum has vouched for it.
func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 36, 64)
	return n
}
