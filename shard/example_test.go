package shard_test

import (
	"fmt"

	"github.com/kinesiskit/kinesiskit/shard"
)

// A stream of one shard was split in two. Records with the key "earthquake" used
// to go to the parent and now go to one of the children.
func Example() {
	whole, err := shard.ParseHashRange("0", "340282366920938463463374607431768211455")
	if err != nil {
		fmt.Println(err)
		return
	}
	lower, _ := shard.ParseHashRange("0", "170141183460469231731687303715884105727")
	upper := shard.HashRange{Start: whole.Middle(), End: whole.End}

	g := shard.NewGraph([]shard.Shard{
		{ID: "shardId-000000000000", Range: whole, Last: "4959"}, // closed
		{ID: "shardId-000000000001", Range: lower, Parents: []string{"shardId-000000000000"}},
		{ID: "shardId-000000000002", Range: upper, Parents: []string{"shardId-000000000000"}},
	})

	key := shard.HashOf("earthquake")
	owner, _ := g.Owner(key)
	fmt.Println(key, "belongs to", owner.ID)
	for before := range g.Ancestors(owner.ID) {
		fmt.Println("to be read first:", before.ID)
	}
	fmt.Println("holes:", shard.Holes([]shard.HashRange{lower, upper}))
	// Output:
	// 310611557249399208554408344530757251970 belongs to shardId-000000000002
	// to be read first: shardId-000000000000
	// holes: []
}

func ExampleHashOf() {
	fmt.Println(shard.HashOf("a"))
	// Output: 16955237001963240173058271559858726497
}
