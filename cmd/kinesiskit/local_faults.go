package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// localProfile is a named set of faults.
type localProfile struct {
	name, says string
	faults     []localFault
}

// localFault happens to a share of the requests for an operation; "*" are all operations.
type localFault struct {
	op    string
	share float64
	does  string
	fault kinesistest.Fault
}

func (f localFault) String() string {
	what := "requests"
	if f.op != "*" {
		what = f.op
	}
	return fmt.Sprintf("%2.0f %% of %s %s", f.share*100, what, f.does)
}

var localThrottled = []localFault{
	{"*", 0.10, "are throttled, with the operation's own exception", kinesistest.Throttle()},
	{"PutRecords", 0.20, "fail for a third of their records with ProvisionedThroughputExceededException",
		kinesistest.FailRecords("ProvisionedThroughputExceededException", 1./3)},
	{"PutRecordBatch", 0.20, "fail for a third of their records with ServiceUnavailableException",
		kinesistest.FailRecords("ServiceUnavailableException", 1./3)},
}

var localFlaky = []localFault{
	{"*", 0.03, "get status 500, and nothing is done", kinesistest.Status(500)},
	{"*", 0.02, "get status 503, and nothing is done", kinesistest.Status(503)},
	{"*", 0.02, "find the connection broken before they are performed", kinesistest.LoseRequest()},
	{"*", 0.03, "are performed, and the connection breaks before the answer", kinesistest.LoseReply()},
	{"*", 0.05, "are answered a second late", kinesistest.Delay(time.Second)},
	{"SubscribeToShard", 0.20, "break after three events, in the middle of the next", kinesistest.CutStream(3, 20)},
}

var localProfiles = []localProfile{
	{"none", "nothing goes wrong, limits aside", nil},
	{"throttled", "the account is busy", localThrottled},
	{"flaky", "the network and the service have their moments", localFlaky},
	{"chaos", "throttled, flaky and more", slices.Concat(localThrottled, localFlaky, []localFault{
		{"*", 0.01, "find the connection broken, and are performed three seconds later", kinesistest.ApplyLate(3 * time.Second)},
		{"PutRecords", 0.10, "fail for a third of their records with InternalFailure", kinesistest.FailRecords("InternalFailure", 1./3)},
		{"GetRecords", 0.05, "find their iterator expired", kinesistest.ExpireIterator()},
		{"ListShards", 0.20, "tell the shards of ten seconds ago", kinesistest.StaleShards(10 * time.Second)},
	})},
}

// arm makes the profile's rules.
func (p localProfile) arm(s *kinesistest.Server) []*kinesistest.Rule {
	var rules []*kinesistest.Rule
	for _, f := range p.faults {
		rules = append(rules, s.On(f.op, f.fault).Sometimes(f.share))
	}
	return rules
}

func printLocalProfiles(w io.Writer) {
	for _, p := range localProfiles {
		_, _ = fmt.Fprintf(w, "%s: %s\n", p.name, p.says)
		p.print(w, "  ")
	}
}

func (p localProfile) print(w io.Writer, indent string) {
	for _, f := range p.faults {
		_, _ = fmt.Fprintf(w, "%s%v\n", indent, f)
	}
}
