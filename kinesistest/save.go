package kinesistest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// saveFormat begins what Save writes.
const saveFormat = "kinesistest/1"

type savedServer struct {
	Format string
	Worlds []savedWorld
}

// savedWorld is what one account has in one region. Each service has its own format within.
type savedWorld struct {
	Account, Region             string
	Kinesis, DynamoDB, Firehose json.RawMessage
}

// Save writes what all services hold, streams with their records and tables with their items, as one JSON document. What a request
// changes meanwhile may be in it or not; each service is consistent in itself. Rules, calls and rates are not saved, and transitions end with it. The
// error is w's.
func (s *Server) Save(w io.Writer) error {
	out := savedServer{Format: saveFormat}
	for _, p := range s.places() {
		world := s.at(p)
		saved := savedWorld{Account: p.Account, Region: p.Region}
		for _, part := range []struct {
			to   *json.RawMessage
			save func(io.Writer) error
		}{
			{&saved.Kinesis, world.kinesis.Save}, {&saved.DynamoDB, world.dynamo.Save}, {&saved.Firehose, world.firehose.Save},
		} {
			var b bytes.Buffer
			if err := part.save(&b); err != nil {
				return fmt.Errorf("kinesistest: save: %w", err)
			}
			*part.to = b.Bytes()
		}
		out.Worlds = append(out.Worlds, saved)
	}
	if err := json.NewEncoder(w).Encode(out); err != nil {
		return fmt.Errorf("kinesistest: save: %w", err)
	}
	return nil
}

// Load replaces what all services hold by what Save wrote. It is for a server that nobody uses yet; a request that is being performed
// changes what is replaced. On an error, r's or that of what it reads, everything stays as it is.
func (s *Server) Load(r io.Reader) error {
	var in savedServer
	if err := json.NewDecoder(r).Decode(&in); err != nil {
		return fmt.Errorf("kinesistest: load: %w", err)
	}
	if in.Format != saveFormat {
		return fmt.Errorf("kinesistest: load: format %q is not %q", in.Format, saveFormat)
	}
	worlds := map[place]*world{home: s.newWorld(home)}
	for _, saved := range in.Worlds {
		p := place{saved.Account, saved.Region}
		if !accountID.MatchString(p.Account) || !regionName.MatchString(p.Region) {
			return fmt.Errorf("kinesistest: load: no account and region: %q, %q", p.Account, p.Region)
		}
		w := s.newWorld(p)
		if err := errors.Join(
			w.kinesis.Load(bytes.NewReader(saved.Kinesis)),
			w.dynamo.Load(bytes.NewReader(saved.DynamoDB)),
			w.firehose.Load(bytes.NewReader(saved.Firehose)),
		); err != nil {
			return fmt.Errorf("kinesistest: load: %w", err)
		}
		worlds[p] = w
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worlds = worlds
	return nil
}
