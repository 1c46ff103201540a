package conformance

import (
	"slices"
	"testing"
)

// The independent servers, in the versions that the table was written against.
const (
	kinesalite   = "kinesalite"
	kinesisLocal = "kinesis-local"
	dynalite     = "dynalite"
)

const (
	kinesisService  = "kinesis"
	dynamodbService = "dynamodb"
)

var independent = map[string][]string{
	kinesisService:  {kinesalite, kinesisLocal},
	dynamodbService: {dynalite},
}

// A behaviour is what a client may rely on.
type behaviour struct {
	service string
	name    string
	says    string // the page of AWS's documentation, a colon, and what it says
	run     func(t testing.TB, e *env)

	// skips excuses independent servers: by name, what the server does instead of what the documentation says.
	skips map[string]string
	// slow behaviours take minutes or hours: they are for a virtual clock.
	slow bool
	// limited behaviours are about rates: only on a virtual clock is it certain that a second has not passed meanwhile.
	limited bool
}

// dies excuses a server that a behaviour would end, so that it is not tried.
const dies = "ends its process"

// skips is short for what the table has most.
type skips = map[string]string

var behaviours = slices.Concat(
	of(kinesisService, streamBehaviours, streamSettingBehaviours, shardBehaviours, filterBehaviours, putBehaviours, limitBehaviours,
		iteratorBehaviours, readBehaviours, reshardBehaviours, consumerBehaviours, subscribeBehaviours),
	of(dynamodbService, tableBehaviours, itemBehaviours, valueBehaviours, conditionBehaviours, legacyBehaviours, updateBehaviours, queryBehaviours,
		scanBehaviours, indexBehaviours, batchBehaviours, transactionBehaviours),
)

func of(service string, tables ...[]behaviour) []behaviour {
	all := slices.Concat(tables...)
	for i := range all {
		all[i].service = service
	}
	return all
}

// shown lists the independent servers that a behaviour is seen on.
func (b *behaviour) shown() []string {
	if b.slow {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(independent[b.service]), func(server string) bool {
		_, excused := b.skips[server]
		return excused
	})
}
