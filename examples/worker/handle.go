package main

import (
	"context"
	"encoding/json"
	"io"
	"sync"

	"github.com/kinesiskit/kinesiskit/consumer"
)

// archive writes every record as a line of JSON: replace it by what you do with records.
type archive struct {
	mu  sync.Mutex // handle is called for several shards at the same time
	out io.Writer
}

type line struct {
	Key      string `json:"key"`
	Shard    string `json:"shard"`
	Position string `json:"position"`
	Data     []byte `json:"data"` // in base64
}

// handle is called for each record, and again for one that it fails. nil says that the record is done.
func (a *archive) handle(_ context.Context, r *consumer.Record) error {
	text, err := json.Marshal(line{Key: r.PartitionKey, Shard: r.Shard().ID(), Position: r.Position.String(), Data: r.Data})
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, err = a.out.Write(append(text, '\n'))
	return err
}
