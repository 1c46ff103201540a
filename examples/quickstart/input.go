package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the file below
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/kinesiskit/kinesiskit/shard"
)

// earthquakes is one GeoJSON feature a line; earthquakes.md says where it is from.
//
//go:embed earthquakes.ndjson
var earthquakes []byte

// input is the file that is streamed, round after round. Everything that is delivered is compared with it.
type input struct {
	events []event
	places map[string][]int // by key: where its events stand in events, in order
}

// event is one line of the file.
type event struct {
	key   string // its partition key: the seismic network that reported it
	body  []byte
	sum   string // of body
	place int    // among the events of its key
}

func readInput(ndjson []byte) (*input, error) {
	in := &input{places: make(map[string][]int)}
	for body := range bytes.Lines(ndjson) {
		body = bytes.TrimSpace(body)
		var feature struct {
			Properties struct {
				Net string `json:"net"`
			} `json:"properties"`
		}
		if err := json.Unmarshal(body, &feature); err != nil {
			return nil, fmt.Errorf("read input: line %d: %w", len(in.events)+1, err)
		}
		key := feature.Properties.Net
		in.places[key] = append(in.places[key], len(in.events))
		in.events = append(in.events, event{key: key, body: body, sum: sumOf(body), place: len(in.places[key]) - 1})
	}
	return in, nil
}

// ordinal is the place of an event among all records of its key, over all rounds.
func (in *input) ordinal(round int, e event) int { return round*len(in.places[e.key]) + e.place }

// at is ordinal's inverse: the event that a key's record is. It is nil for a key that is not in the file.
func (in *input) at(key string, ordinal int) *event {
	places := in.places[key]
	if len(places) == 0 || ordinal < 0 {
		return nil
	}
	return &in.events[places[ordinal%len(places)]]
}

// weight is how many events of a round have keys within r.
func (in *input) weight(r shard.HashRange) (n int) {
	for key, places := range in.places {
		if r.Contains(shard.HashOf(key)) {
			n += len(places)
		}
	}
	return n
}

func sumOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8])
}

// envelope is a record's data: the event as the file has it, which of its key's records this is, and of which run, since a stream may
// hold the records of others.
type envelope struct {
	Run     string          `json:"run"`
	Ordinal int             `json:"ordinal"`
	Event   json.RawMessage `json:"event"` // its bytes as they came
}

// seal makes a record's data. It does not use json.Marshal, which would rewrite the event's bytes.
func seal(run string, ordinal int, event []byte) []byte {
	return fmt.Appendf(nil, `{"run":%q,"ordinal":%d,"event":%s}`, run, ordinal, event)
}

// unseal is seal's inverse; false for a record of another run, or of another program.
func unseal(run string, data []byte) (envelope, bool) {
	var e envelope
	err := json.Unmarshal(data, &e)
	return e, err == nil && e.Run == run
}
