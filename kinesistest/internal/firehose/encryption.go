package firehose

import (
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// The types of key, and the states of a stream's encryption.
const (
	ownedKey    = "AWS_OWNED_CMK"
	customerKey = "CUSTOMER_MANAGED_CMK"

	enabled   = "ENABLED"
	enabling  = "ENABLING"
	disabled  = "DISABLED"
	disabling = "DISABLING"
)

// mostSwitches is how often a stream's encryption can be started and stopped, together, within 24 hours.
const mostSwitches = 25

// encryption is a stream's setting. Nothing is encrypted by it; answers say that it was.
type encryption struct {
	on       bool
	keyType  string
	keyARN   string
	until    time.Time   // ENABLING or DISABLING before that
	switches []time.Time // of the last 24 hours, when last looked at
}

func (e encryption) status(now time.Time) string {
	switch changing := now.Before(e.until); {
	case e.on && changing:
		return enabling
	case e.on:
		return enabled
	case changing:
		return disabling
	}
	return disabled
}

type sseDescription struct {
	KeyARN  string `json:",omitempty"`
	KeyType string `json:",omitempty"`
	Status  string
}

func (e encryption) description(now time.Time) sseDescription {
	return sseDescription{KeyARN: e.keyARN, KeyType: e.keyType, Status: e.status(now)}
}

type keyInput struct{ KeyARN, KeyType *string }

func checkKey(v *violations, key *keyInput) {
	if key == nil {
		return
	}
	const member = "deliveryStreamEncryptionConfigurationInput"
	v.required(member+".keyType", key.KeyType, keyTypeRule)
	v.optional(member+".keyARN", key.KeyARN, keyARNRule)
}

// check says whether a stream can be encrypted so. checkKey has seen the key.
func (k *keyInput) check(st *stream) *wire.Error {
	switch {
	case st.kind != directPut:
		return invalid("Server-side encryption can be enabled for %s delivery streams only; %s is of type %s.", directPut, st.name, st.kind)
	case *k.KeyType == customerKey && k.KeyARN == nil:
		return invalid("KeyARN must be specified for KeyType %s.", customerKey)
	case *k.KeyType == ownedKey && k.KeyARN != nil:
		return invalid("KeyARN must not be specified for KeyType %s.", ownedKey)
	}
	return nil
}

func (k *keyInput) enable(until time.Time) encryption {
	e := encryption{on: true, keyType: *k.KeyType, until: until}
	if k.KeyARN != nil {
		e.keyARN = *k.KeyARN
	}
	return e
}

// switchable finds a stream whose encryption can be changed now, and counts the change. The caller holds s.mu.
func (s *Service) switchable(name string, now time.Time) (*stream, *wire.Error) {
	st, err := s.findActive(name, now)
	if err != nil {
		return nil, err
	}
	if status := st.sse.status(now); status == enabling || status == disabling {
		return nil, failure("ResourceInUseException", "The encryption of firehose %s under account %s is in state %s.", name, s.account, status)
	}
	st.sse.switches = slices.DeleteFunc(st.sse.switches, func(at time.Time) bool { return now.Sub(at) >= 24*time.Hour })
	if !s.unlimited && len(st.sse.switches) >= mostSwitches {
		return nil, failure("LimitExceededException", "The encryption of firehose %s under account %s was changed %d times in 24 hours.",
			name, s.account, mostSwitches)
	}
	return st, nil
}

type startDeliveryStreamEncryptionInput struct {
	DeliveryStreamName                         *string
	DeliveryStreamEncryptionConfigurationInput *keyInput
}

func (s *Service) startDeliveryStreamEncryption(in *startDeliveryStreamEncryptionInput) (*nothing, *wire.Error) {
	var v violations
	v.required("deliveryStreamName", in.DeliveryStreamName, nameRule)
	key := in.DeliveryStreamEncryptionConfigurationInput
	checkKey(&v, key)
	if err := v.err(); err != nil {
		return nil, err
	}
	if key == nil {
		owned := ownedKey
		key = &keyInput{KeyType: &owned}
	}
	return s.locked(s.switchable, in.DeliveryStreamName, func(st *stream, now time.Time) *wire.Error {
		if err := key.check(st); err != nil {
			return err
		}
		e := key.enable(now.Add(s.transitions))
		st.sse.switches = append(st.sse.switches, now)
		e.switches = st.sse.switches
		st.sse = e
		return nil
	})
}

func (s *Service) stopDeliveryStreamEncryption(in *streamInput) (*nothing, *wire.Error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return s.locked(s.switchable, in.DeliveryStreamName, func(st *stream, now time.Time) *wire.Error {
		st.sse = encryption{until: now.Add(s.transitions), switches: append(st.sse.switches, now)}
		return nil
	})
}
