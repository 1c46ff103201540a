package kinesis

import (
	"context"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// The settings of this file are about who looks after a stream's shards: its owner or the service.

func checkMode(in *settingInput, v *violations) {
	mode := ""
	if in.StreamModeDetails != nil {
		mode = in.StreamModeDetails.StreamMode
	}
	v.oneOf("streamModeDetails.streamMode", mode, provisioned, onDemand)
	if in.WarmThroughputMiBps != nil {
		checkWarm(in, v)
	}
}

// mostModes is how often a stream's mode may change in 24 hours.
const mostModes = 2

func (s *Service) updateMode(st *stream, in *settingInput, now time.Time) (any, *wire.Error) {
	mode := in.StreamModeDetails.StreamMode
	warm := in.WarmThroughputMiBps
	switch {
	case warm != nil && mode != onDemand:
		return nil, invalid("WarmThroughputMiBps is for a change to %s mode alone.", onDemand)
	case warm != nil && !s.commitment.on(now):
		return nil, errNotCommitted
	case mode == st.Mode:
		return nil, nil
	}
	if s.cfg.Limits && mode == onDemand && s.count(func(st *stream) bool { return st.Mode == onDemand }) >= onDemandStreams {
		return nil, exceeded("Account %s may have %d streams in %s mode in %s.", s.cfg.Account, onDemandStreams, onDemand, s.cfg.Region)
	}
	if err := s.daily(st, "UpdateStreamMode", mostModes, now); err != nil {
		return nil, err
	}
	st.Mode, st.Warm, st.Spread = mode, 0, false
	if warm != nil {
		return nil, s.warm(st, int(*warm))
	}
	return nil, nil
}

func checkWarm(in *settingInput, v *violations) {
	v.within("warmThroughputMiBps", in.WarmThroughputMiBps, 0, mostWarm)
}

// errNotCommitted refuses warm throughput to an account that has not committed itself to pay for it.
var errNotCommitted = invalid("Warm throughput needs MinimumThroughputBillingCommitment to be ENABLED for the account.")

type warmAnswer struct {
	StreamName, StreamARN string
	WarmThroughput        throughput
}

func (s *Service) updateWarm(st *stream, in *settingInput, now time.Time) (any, *wire.Error) {
	switch {
	case st.Mode != onDemand:
		return nil, notInMode(st, onDemand)
	case !s.commitment.on(now):
		return nil, errNotCommitted
	}
	before := st.Warm
	if err := s.warm(st, int(*in.WarmThroughputMiBps)); err != nil {
		return nil, err
	}
	return warmAnswer{st.name, st.arn, throughput{before, st.Warm}}, nil
}

// warm gives an on-demand stream the shards that take so much. The caller holds s.mu.
func (s *Service) warm(st *stream, mib int) *wire.Error {
	if err := s.scale(st, max(onDemandShards, mib)); err != nil {
		return err
	}
	st.Warm = mib
	return nil
}

// notInMode refuses what is for streams in another mode alone.
func notInMode(st *stream, mode string) *wire.Error {
	return failure("ValidationException", "Stream %s is in %s mode; this operation is for streams in %s mode alone.", st.name, st.Mode, mode)
}

func checkSpread(in *settingInput, v *violations) {
	v.oneOf("recordDistributionStrategy", in.RecordDistributionStrategy, spreadAuto, spreadByKeys)
}

func (s *Service) updateSpread(st *stream, in *settingInput, _ time.Time) (any, *wire.Error) {
	auto := in.RecordDistributionStrategy == spreadAuto
	if auto && st.Mode != onDemand {
		return nil, invalid("RecordDistributionStrategy %s is for streams in %s mode alone.", spreadAuto, onDemand)
	}
	st.Spread = auto
	return nil, nil
}

// commitment is an account's promise to pay for a minimum of throughput, which unlocks warm throughput.
type commitment struct {
	Started time.Time // zero: never
	Ends    time.Time // zero: it was not ended
}

// shortest is how long a commitment lasts at least.
const shortest = 24 * time.Hour

func (c commitment) on(now time.Time) bool {
	return !c.Started.IsZero() && (c.Ends.IsZero() || now.Before(c.Ends))
}

type commitmentView struct {
	Status               string
	StartedAt            *stamp `json:",omitempty"`
	EarliestAllowedEndAt *stamp `json:",omitempty"`
	EndedAt              *stamp `json:",omitempty"`
}

type accountSettings struct {
	MinimumThroughputBillingCommitment commitmentView
}

func (c commitment) view(now time.Time) *accountSettings {
	at := func(t time.Time) *stamp { return (*stamp)(&t) }
	v := commitmentView{Status: "DISABLED"}
	if !c.Started.IsZero() {
		v.StartedAt = at(c.Started)
	}
	switch {
	case c.on(now):
		v.Status = "ENABLED"
		if !c.Ends.IsZero() {
			v.Status = "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
		}
		v.EarliestAllowedEndAt = at(c.Started.Add(shortest))
	case !c.Started.IsZero():
		v.EndedAt = at(c.Ends)
	}
	return &accountSettings{v}
}

func (s *Service) describeAccountSettings(context.Context, *nothing) (*accountSettings, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commitment.view(time.Now()), nil
}

type updateAccountSettingsInput struct {
	MinimumThroughputBillingCommitment *struct{ Status string }
}

func (s *Service) updateAccountSettings(_ context.Context, in *updateAccountSettingsInput) (*accountSettings, *wire.Error) {
	var v violations
	status := ""
	if in.MinimumThroughputBillingCommitment == nil {
		v.add("minimumThroughputBillingCommitment", nil, "must not be null")
	} else {
		status = in.MinimumThroughputBillingCommitment.Status
		v.oneOf("minimumThroughputBillingCommitment.status", status, "ENABLED", "DISABLED")
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch on := s.commitment.on(now); {
	case status == "ENABLED" && on:
		s.commitment.Ends = time.Time{} // a pending end is called off
	case status == "ENABLED":
		s.commitment = commitment{Started: now}
	case on && s.commitment.Ends.IsZero():
		s.commitment.Ends = s.commitment.Started.Add(shortest)
		if s.commitment.Ends.Before(now) {
			s.commitment.Ends = now
		}
	}
	return s.commitment.view(now), nil
}

type describeLimitsOutput struct {
	ShardLimit, OpenShardCount, OnDemandStreamCount, OnDemandStreamCountLimit int
}

func (s *Service) describeLimits(context.Context, *nothing) (*describeLimitsOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(time.Now())
	return &describeLimitsOutput{
		ShardLimit: accountShards, OpenShardCount: s.openShards(),
		OnDemandStreamCount:      s.count(func(st *stream) bool { return st.Mode == onDemand }),
		OnDemandStreamCountLimit: onDemandStreams,
	}, nil
}
