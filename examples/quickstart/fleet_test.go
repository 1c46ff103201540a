package main

import (
	"os/exec"
	"reflect"
	"strings"
	"testing"
)

// A killed process may leave half a line behind. Its record was not confirmed to the library, and will come again.
func TestHalfALineIsNotHeard(t *testing.T) {
	t.Parallel()
	p := &process{name: "w1", cmd: exec.Command("none"), over: make(chan struct{})}
	var heard []line
	p.listen(strings.NewReader(`{"acquired":"s"}`+"\n"+`{"handed":{"key":"ci"`), func(worker string, l line) {
		if worker != "w1" {
			t.Errorf("heard %s", worker)
		}
		heard = append(heard, l)
	})
	if want := []line{{Acquired: "s"}}; !reflect.DeepEqual(heard, want) {
		t.Errorf("heard %+v", heard)
	}
	select {
	case <-p.over:
	default:
		t.Error("not over")
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	t.Parallel()
	var tl tail
	for range 3 {
		_, _ = tl.Write([]byte(strings.Repeat("x", tailBytes)))
	}
	_, _ = tl.Write([]byte("why it ended\n"))
	if text := tl.text(); !strings.HasSuffix(text, "xwhy it ended") || len(text) > tailBytes {
		t.Errorf("%d bytes, ending in %q", len(text), text[len(text)-20:])
	}
}
