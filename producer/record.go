package producer

import (
	"fmt"
	"unicode/utf8"

	"github.com/kinesiskit/kinesiskit/shard"
)

const (
	// maxKeyCharacters is Kinesis's limit of a partition key, in Unicode characters, not bytes.
	maxKeyCharacters = 256

	// leastMaxRecord is how large a record may be, data and partition key, on every stream; maxRecord is what a stream can be set to. What it is set to is
	// asked for; while that is not known, the service decides.
	leastMaxRecord = 1 << 20
	maxRecord      = 10 << 20

	// maxStreamName is the service's limit of a stream's name.
	maxStreamName = 128
)

// Record is one user record.
type Record struct {
	// PartitionKey decides the shard, together with all other records of the same key: 1 to 256 characters, valid UTF-8.
	PartitionKey string

	// ExplicitHashKey, if not empty, decides the shard instead: a decimal number from 0 to 2^128-1 without sign or leading zeros.
	ExplicitHashKey string

	// Data may be empty. With the partition key it may have as many bytes as the stream takes in one record: 1 MiB, or what the stream is set to, up to
	// 10 MiB.
	Data []byte

	// Stream is the name or the ARN of the stream, which may be another account's. A stream that is named in two ways is two streams to the producer: there
	// is no order between them. Default: Config.Stream.
	Stream string
}

// recordMemory is what a record takes in the buffer beside its data and keys: its future, and its places in queues and requests.
const recordMemory = 400

// size is what the record counts in the buffer: the memory that it takes at most until it is settled. Its data and keys exist a second time while they are
// on their way, encoded.
func (r Record) size() int64 {
	return recordMemory + 2*int64(len(r.PartitionKey)+len(r.ExplicitHashKey)+len(r.Data))
}

// check says what is wrong with r, a record of s, or where on the ring it belongs. Everything the service would refuse is refused here: one bad record makes the
// service refuse all that were sent with it.
func (p *Producer) check(s *stream, r *Record) (shard.HashKey, error) {
	key := r.PartitionKey
	hash, err := p.hashes.of(key)
	if err != nil {
		return shard.HashKey{}, err
	}
	if size, most := int64(len(key)+len(r.Data)), s.maxRecord.Load(); size > most {
		return shard.HashKey{}, &InvalidError{"Data", fmt.Sprintf("has %d bytes with the partition key, the stream takes %d", size, most)}
	}
	if size := r.size(); size > p.cfg.BufferBytes {
		return shard.HashKey{}, &InvalidError{"Data", fmt.Sprintf("takes %d bytes of memory with its keys, more than BufferBytes (%d)", size, p.cfg.BufferBytes)}
	}
	if r.ExplicitHashKey == "" {
		return hash, nil
	}
	hash, err = shard.ParseHashKey(r.ExplicitHashKey)
	if err != nil {
		return shard.HashKey{}, &InvalidError{"ExplicitHashKey", "is not a decimal number from 0 to 2^128-1"}
	}
	return hash, nil
}

// checkKey says what is wrong with a partition key.
func checkKey(key string) error {
	if key == "" {
		return &InvalidError{"PartitionKey", "is empty"}
	}
	if !utf8.ValidString(key) {
		return &InvalidError{"PartitionKey", "is not valid UTF-8"}
	}
	if len(key) > maxKeyCharacters {
		if n := utf8.RuneCountInString(key); n > maxKeyCharacters {
			return &InvalidError{"PartitionKey", fmt.Sprintf("has %d characters, at most %d are allowed", n, maxKeyCharacters)}
		}
	}
	return nil
}
