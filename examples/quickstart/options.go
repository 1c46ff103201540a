package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"time"
)

// options are the command line's.
type options struct {
	json   bool
	rounds int
	aws    bool
	place  place
	stream string
}

// embedded is whether this process is Kinesis and DynamoDB too.
func (o options) embedded() bool { return !o.aws && o.place.Endpoint == "" }

// limit is how long the whole run may take. A split takes AWS half a minute, a new table nearly as long.
func (o options) limit() time.Duration {
	limit := 10 * time.Minute
	if o.embedded() {
		limit = 56 * time.Second
	}
	return limit + time.Duration(o.rounds)*2*time.Second // at 1,000 records a second
}

// patience is how long one thing may take that has to happen.
func (o options) patience() time.Duration {
	if o.embedded() {
		return 20 * time.Second
	}
	return 3 * time.Minute
}

const (
	defaultStream = "kinesiskit-quickstart"
	defaultRegion = "us-east-1" // of servers that are nowhere
	maxRounds     = 10_000      // hours
)

const usage = `Earthquakes go through a Kinesis stream to three worker processes, while a shard is
split, two are merged, one worker is killed and one is stopped. Then it is checked
what arrived. Kinesis and DynamoDB are in this process, unless -endpoint or -aws says
where they are.

usage: quickstart [-json] [-rounds N] [-endpoint URL | -aws] [-region R] [-stream NAME]

`

// parse reads the command line. What is wrong is said on stderr.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
	}
	f.BoolVar(&o.json, "json", false, "print one JSON object at the end, and nothing else")
	f.IntVar(&o.rounds, "rounds", 1, "stream the file at least `N` times, and until everything has happened")
	f.BoolVar(&o.aws, "aws", false, "use Kinesis and DynamoDB as the AWS environment says; it costs a few cents")
	f.StringVar(&o.place.Endpoint, "endpoint", "", "use the Kinesis and DynamoDB at this `URL`, such as those of \"kinesiskit local\"")
	f.StringVar(&o.place.Region, "region", "", "use this `region` (default: with -aws the environment's, else "+defaultRegion+")")
	f.StringVar(&o.stream, "stream", defaultStream, "use this stream; if there is no such `name`, it is created, and deleted in the end")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	set := make(map[string]bool)
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if err := o.check(set, f.Args()); err != nil {
		fmt.Fprintf(stderr, "quickstart: %v\nSee quickstart -help.\n", err)
		return o, err
	}
	if o.place.Region == "" && !o.aws {
		o.place.Region = defaultRegion
	}
	return o, nil
}

// streamName is what Kinesis accepts.
var streamName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

func (o options) check(set map[string]bool, rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.rounds < 1 || o.rounds > maxRounds:
		return fmt.Errorf("-rounds %d is not within 1 and %d", o.rounds, maxRounds)
	case o.aws && set["endpoint"]:
		return errors.New("-aws and -endpoint exclude each other")
	case o.embedded() && set["region"]:
		return errors.New("-region needs -aws or -endpoint")
	case o.embedded() && set["stream"]:
		return errors.New("-stream needs -aws or -endpoint")
	case !streamName.MatchString(o.stream):
		return fmt.Errorf("-stream %.130q is not the name of a stream: 1 to 128 characters of a-z, A-Z, 0-9, '_', '.' and '-'", o.stream)
	}
	if !set["endpoint"] {
		return nil
	}
	u, err := url.Parse(o.place.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("-endpoint %.200q is not the URL of a server, such as http://127.0.0.1:4567", o.place.Endpoint)
	}
	return nil
}
