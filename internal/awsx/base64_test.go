package awsx

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"testing"
)

func TestBase64IsTheStandardOne(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 400 {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		want := base64.StdEncoding.AppendEncode([]byte("before"), data)
		for _, room := range []int{0, len(want), 1000} {
			if got := appendBase64(append(make([]byte, 0, max(6, room)), "before"...), data); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, room for %d: %s, want %s", n, room, got, want)
			}
		}
	}
}
