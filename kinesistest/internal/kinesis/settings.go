package kinesis

import (
	"context"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// settingInput is what the operations that change one setting of a stream ask for: each has some of the members.
type settingInput struct {
	target
	RetentionPeriodHours *int32
	EncryptionType       string
	KeyId                string
	ShardLevelMetrics    []string
	StreamModeDetails    *modeDetails
	MaxRecordSizeInKiB   *int32
	WarmThroughputMiBps  *int32

	RecordDistributionStrategy string
}

// setting is such an operation.
type setting struct {
	byARN bool // the stream must be named by its ARN
	plain bool // the stream does not become UPDATING
	check func(in *settingInput, v *violations)
	// change makes the change; the caller holds s.mu. The answer is nil for an empty one.
	change func(s *Service, st *stream, in *settingInput, now time.Time) (answer any, err *wire.Error)
}

var settings = map[string]setting{
	"IncreaseStreamRetentionPeriod": {check: checkRetention, change: (*Service).increaseRetention},
	"DecreaseStreamRetentionPeriod": {check: checkRetention, change: (*Service).decreaseRetention},
	"StartStreamEncryption":         {check: checkEncryption, change: (*Service).startEncryption},
	"StopStreamEncryption":          {check: checkEncryption, change: (*Service).stopEncryption},
	"EnableEnhancedMonitoring":      {check: checkMonitoring, change: (*Service).enableMonitoring},
	"DisableEnhancedMonitoring":     {check: checkMonitoring, change: (*Service).disableMonitoring},
	"UpdateStreamMode":              {byARN: true, check: checkMode, change: (*Service).updateMode},
	"UpdateMaxRecordSize":           {byARN: true, check: checkMaxRecord, change: (*Service).updateMaxRecord},
	"UpdateStreamWarmThroughput":    {check: checkWarm, change: (*Service).updateWarm},

	"UpdateStreamRecordDistributionStrategy": {byARN: true, plain: true, check: checkSpread, change: (*Service).updateSpread},
}

// handler performs the operation on an ACTIVE stream.
func (op setting) handler() handler {
	return func(s *Service, _ context.Context, body []byte) ([]byte, *wire.Error) {
		in := new(settingInput)
		if err := decode(body, in); err != nil {
			return nil, err
		}
		var v violations
		if op.byARN {
			in.StreamName = "" // these do not have it
			v.length("streamARN", in.StreamARN, 1, 2048)
		}
		op.check(in, &v)
		if err := v.err(); err != nil {
			return nil, err
		}
		answer, err := s.set(op, in)
		if answer == nil || err != nil {
			return nil, err
		}
		return encode(answer)
	}
}

func (s *Service) set(op setting, in *settingInput) (answer any, err *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.active(in.target)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	answer, err = op.change(s, st, in, now)
	if err == nil && !op.plain {
		st.begin(statusUpdating, now, s.cfg.Transitions)
	}
	return answer, err
}

func checkRetention(in *settingInput, v *violations) {
	v.within("retentionPeriodHours", in.RetentionPeriodHours, int32(defaultRetention/time.Hour), int32(longestRetention/time.Hour))
}

func (s *Service) increaseRetention(st *stream, in *settingInput, now time.Time) (any, *wire.Error) {
	wanted := time.Duration(*in.RetentionPeriodHours) * time.Hour
	if wanted < st.Retention {
		return nil, invalid("Requested retention period (%d hours) for stream %s can not be shorter than existing retention period (%d hours). "+
			"Use DecreaseRetentionPeriod API.", *in.RetentionPeriodHours, st.name, st.Retention/time.Hour)
	}
	// What had expired stays so.
	st.trimmedTo = st.horizon(now)
	st.Retention = wanted
	return nil, nil
}

func (s *Service) decreaseRetention(st *stream, in *settingInput, _ time.Time) (any, *wire.Error) {
	wanted := time.Duration(*in.RetentionPeriodHours) * time.Hour
	if wanted > st.Retention {
		return nil, invalid("Requested retention period (%d hours) for stream %s can not be longer than existing retention period (%d hours). "+
			"Use IncreaseRetentionPeriod API.", *in.RetentionPeriodHours, st.name, st.Retention/time.Hour)
	}
	st.Retention = wanted
	return nil, nil
}

func checkEncryption(in *settingInput, v *violations) {
	v.oneOf("encryptionType", in.EncryptionType, "KMS", "NONE")
	v.length("keyId", in.KeyId, 1, 2048)
}

// mostKeys is how often a stream's encryption may be started, and stopped, in 24 hours.
const mostKeys = 25

func (s *Service) startEncryption(st *stream, in *settingInput, now time.Time) (any, *wire.Error) {
	if in.EncryptionType != "KMS" {
		return nil, invalid("EncryptionType must be KMS.")
	}
	if err := s.daily(st, "StartStreamEncryption", mostKeys, now); err != nil {
		return nil, err
	}
	st.KMSKey = in.KeyId
	return nil, nil
}

func (s *Service) stopEncryption(st *stream, in *settingInput, now time.Time) (any, *wire.Error) {
	if in.EncryptionType != "KMS" {
		return nil, invalid("EncryptionType must be KMS.")
	}
	if err := s.daily(st, "StopStreamEncryption", mostKeys, now); err != nil {
		return nil, err
	}
	st.KMSKey = ""
	return nil, nil
}

// metrics are the shard-level metrics, in the order of the API's model.
var metrics = []string{
	"IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords",
	"WriteProvisionedThroughputExceeded", "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds",
}

const allMetrics = "ALL"

func checkMonitoring(in *settingInput, v *violations) {
	if len(in.ShardLevelMetrics) == 0 {
		v.add("shardLevelMetrics", in.ShardLevelMetrics, "must have length greater than or equal to 1")
	}
	for _, m := range in.ShardLevelMetrics {
		if m != allMetrics && !slices.Contains(metrics, m) {
			v.add("shardLevelMetrics", in.ShardLevelMetrics, "must satisfy constraint: [Member must satisfy enum value set: %v]", append(slices.Clip(metrics), allMetrics))
			return
		}
	}
}

type monitoring struct {
	StreamName, StreamARN                              string
	CurrentShardLevelMetrics, DesiredShardLevelMetrics []string
}

// monitor sets the metrics that wanted is true of.
func (st *stream) monitor(wanted func(metric string) bool) (any, *wire.Error) {
	answer := monitoring{
		StreamName: st.name, StreamARN: st.arn,
		CurrentShardLevelMetrics: append([]string{}, st.Metrics...), DesiredShardLevelMetrics: []string{},
	}
	for _, m := range metrics {
		if wanted(m) {
			answer.DesiredShardLevelMetrics = append(answer.DesiredShardLevelMetrics, m)
		}
	}
	st.Metrics = answer.DesiredShardLevelMetrics
	return answer, nil
}

func (in *settingInput) names(metric string) bool {
	return slices.Contains(in.ShardLevelMetrics, metric) || slices.Contains(in.ShardLevelMetrics, allMetrics)
}

func (s *Service) enableMonitoring(st *stream, in *settingInput, _ time.Time) (any, *wire.Error) {
	return st.monitor(func(m string) bool { return in.names(m) || slices.Contains(st.Metrics, m) })
}

func (s *Service) disableMonitoring(st *stream, in *settingInput, _ time.Time) (any, *wire.Error) {
	return st.monitor(func(m string) bool { return !in.names(m) && slices.Contains(st.Metrics, m) })
}

func checkMaxRecord(in *settingInput, v *violations) {
	v.within("maxRecordSizeInKiB", in.MaxRecordSizeInKiB, defaultMaxRecord, largestMaxRecord)
}

func (s *Service) updateMaxRecord(st *stream, in *settingInput, _ time.Time) (any, *wire.Error) {
	st.MaxRecord = int(*in.MaxRecordSizeInKiB)
	return nil, nil
}
