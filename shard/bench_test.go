package shard_test

import (
	"math/rand/v2"
	"testing"

	"github.com/kinesiskit/kinesiskit/shard"
)

func BenchmarkHashOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = shard.HashOf("partition-key-0001")
	}
}

func BenchmarkHashKeyString(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = shard.MaxHashKey.String()
	}
}

func BenchmarkOwner(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	g := shard.NewGraph(reshard(r, 2000))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := g.Owner(shard.HashKey{Hi: r.Uint64()}); !ok {
			b.Fatal("no owner")
		}
	}
}
