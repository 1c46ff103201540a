package producer

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/kinesiskit/kinesiskit/shard"
)

const (
	hashSlots = 4096 // a power of two
	// cachedKey is how long a key may be to be remembered, so that all of them together take less than half a mebibyte.
	cachedKey = 64
)

// hashes remembers places of partition keys on the ring: keys that repeat need not be hashed, nor looked at for being keys, again and again. The zero
// value is ready. Safe for concurrent use: what two goroutines write at once is the truth in both cases, and one of them is kept.
type hashes struct {
	slots atomic.Pointer[[hashSlots]hashSlot]
}

// hashSlot has one key, and a trace of the latest one that was looked for and is another. A key is remembered when it is looked for twice
// with no other in between: keys that never come again leave no garbage, and do not drive out those that do.
type hashSlot struct {
	known atomic.Pointer[knownHash]
	trace atomic.Uint64
}

type knownHash struct {
	key  string
	hash shard.HashKey
}

var hashSeed = maphash.MakeSeed()

// of is the place of a partition key. The error is an *InvalidError.
func (h *hashes) of(key string) (shard.HashKey, error) {
	if len(key) > cachedKey {
		if err := checkKey(key); err != nil {
			return shard.HashKey{}, err
		}
		return shard.HashOf(key), nil
	}
	slots := h.slots.Load()
	if slots == nil {
		h.slots.CompareAndSwap(nil, new([hashSlots]hashSlot))
		slots = h.slots.Load()
	}
	trace := maphash.String(hashSeed, key)
	slot := &slots[trace%hashSlots]
	if k := slot.known.Load(); k != nil && k.key == key {
		return k.hash, nil
	}
	if err := checkKey(key); err != nil {
		return shard.HashKey{}, err
	}
	hash := shard.HashOf(key)
	if slot.trace.Load() != trace {
		slot.trace.Store(trace)
	} else {
		// A copy: the key may be a piece of something large.
		slot.known.Store(&knownHash{string([]byte(key)), hash})
	}
	return hash, nil
}
