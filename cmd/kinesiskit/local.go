package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

const localUsage = `Usage: kinesiskit local [flags]

Serves Kinesis, DynamoDB and Firehose on this machine, over HTTP/1.1 and h2c, until it is interrupted (SIGINT or SIGTERM). A second
interrupt ends it at once, without writing its state.

Standard output gets the settings that make any AWS SDK and the AWS CLI use it, as lines for a shell; all else goes to standard error.
Any other shell takes them with

  eval "$(kinesiskit local -env)"

AWS_SESSION_TOKEN and AWS_PROFILE, where set, are best unset.

Any credentials will do. But a client that signs for another region sees another world, with streams and tables of its own, and so does
one whose access key id has 12 digits, which are then its account. Who misses a stream looks at AWS_REGION first.

Flags:
`

// localOptions is the command line of "local".
type localOptions struct {
	addr        localAddress
	tlsAddr     *localAddress // nil: no TLS
	ca          string        // empty: the default
	persist     string        // empty: in memory only
	faults      localProfile
	listFaults  bool
	seed        uint64
	unlimited   bool
	transitions time.Duration
	env         bool
}

// flags binds o to flags, which have its values as their defaults.
func (o *localOptions) flags() *flag.FlagSet {
	f := flag.NewFlagSet("local", flag.ContinueOnError)
	f.SetOutput(io.Discard) // local says it
	f.Func("addr", "listen on `host:port`; port 0 takes a free one (default 127.0.0.1:4567)", func(text string) (err error) {
		o.addr, err = parseLocalAddress(text)
		return err
	})
	f.Func("tls-addr", "listen on `host:port` with TLS too, h2 or HTTP/1.1, to which the settings then lead; the certificate is made\n"+
		"for this run, for localhost, 127.0.0.1, ::1 and the host named here", func(text string) error {
		addr, err := parseLocalAddress(text)
		o.tlsAddr = &addr
		return err
	})
	f.StringVar(&o.ca, "ca", "", "write what clients of -tls-addr must trust to `file`, which is removed at the end\n"+
		"(default kinesiskit-ca-PORT.pem in the directory for temporary files)")
	f.StringVar(&o.persist, "persist", "", "read the state from `file`, if it exists, and write it there at the end: streams and tables with all that\n"+
		"is in them; what was changed is lost if the process is killed")
	f.Func("faults", "make things go wrong as in `profile`: none, throttled, flaky or chaos; help tells what they do (default none)", o.setFaults)
	f.Uint64Var(&o.seed, "seed", 1, "let `number` determine which requests meet a fault: the same ones, if requests come in the same order")
	f.Func("limits", "`on|off`: whether shards and the account throttle as AWS does; off is for benchmarks (default on)", func(text string) error {
		if text != "on" && text != "off" {
			return errors.New("neither on nor off")
		}
		o.unlimited = text == "off"
		return nil
	})
	f.DurationVar(&o.transitions, "transitions", 0, "let streams and tables be CREATING, UPDATING and DELETING for `time`, such as 5s (default 0s)")
	f.BoolVar(&o.env, "env", false, "print the settings for a server with the same -addr, -tls-addr and -ca, and serve nothing")
	return f
}

func (o *localOptions) setFaults(name string) error {
	o.listFaults = name == "help"
	for _, p := range localProfiles {
		if p.name == name {
			o.faults = p
			return nil
		}
	}
	if o.listFaults {
		return nil
	}
	return errors.New("no such profile; -faults help lists them")
}

// parseLocal reads a command line. The error is flag.ErrHelp if help was asked for.
func parseLocal(args []string) (localOptions, error) {
	o := localOptions{addr: localAddress{"127.0.0.1", 4567}, faults: localProfiles[0]}
	f := o.flags()
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.ca != "" && o.tlsAddr == nil:
		return o, errors.New("-ca goes with -tls-addr")
	case o.transitions < 0:
		return o, fmt.Errorf("-transitions %v is negative", o.transitions)
	case o.env && o.addr.port == 0, o.env && o.tlsAddr != nil && o.tlsAddr.port == 0:
		return o, errors.New("-env does not know which port a server took that was told 0")
	}
	return o, nil
}

func local(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseLocal(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(stdout, localUsage)
		f := new(localOptions).flags()
		f.SetOutput(stdout)
		f.PrintDefaults()
		return exitOK
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "kinesiskit local: %v\nkinesiskit local -h lists the flags.\n", err)
		return exitUsage
	case o.listFaults:
		printLocalProfiles(stdout)
		return exitOK
	}
	if o.env {
		var settings string
		if settings, err = o.settings(); err == nil {
			_, _ = io.WriteString(stdout, settings)
		}
	} else {
		err = serveLocal(ctx, o, stdout, stderr)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "kinesiskit local: %v\n", err)
		return exitError
	}
	return exitOK
}
