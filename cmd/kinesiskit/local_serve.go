package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// localServer is a server and what has to be put away after it.
type localServer struct {
	options localOptions // with the ports that were taken
	server  *kinesistest.Server
	rules   []*kinesistest.Rule
	ca      string // the certificate's file, once it is written
	loaded  bool   // the state was there
}

// serveLocal serves until ctx ends.
func serveLocal(ctx context.Context, o localOptions, stdout, stderr io.Writer) error {
	l := &localServer{options: o, server: o.server()}
	l.rules = o.faults.arm(l.server)
	settings, err := l.start()
	if err != nil {
		return errors.Join(err, l.close())
	}
	l.report(stderr)
	_, _ = io.WriteString(stdout, settings)
	<-ctx.Done()
	err = l.close()
	if o.persist != "" {
		err = errors.Join(err, saveState(l.server, o.persist))
	}
	if err == nil {
		l.farewell(stderr)
	}
	return err
}

// server makes the server that the options describe.
func (o *localOptions) server() *kinesistest.Server {
	opts := []kinesistest.Option{kinesistest.WithSeed(o.seed), kinesistest.WithTransitions(o.transitions)}
	if o.unlimited {
		opts = append(opts, kinesistest.WithoutLimits())
	}
	return kinesistest.New(opts...)
}

// start reads the state and opens the ports. The state is also written, last, when nothing else can fail any more: if its file cannot be
// written, that is better known now than at the end.
func (l *localServer) start() (settings string, err error) {
	o := &l.options
	if o.persist != "" {
		if l.loaded, err = loadState(l.server, o.persist); err != nil {
			return "", fmt.Errorf("%w; move it away to begin with nothing", err)
		}
	}
	got, err := l.server.Listen(o.addr.String())
	if err != nil {
		return "", listenError("addr", err)
	}
	if o.addr, err = o.addr.taken(got); err != nil {
		return "", err
	}
	if o.tlsAddr != nil {
		if err := l.startTLS(); err != nil {
			return "", err
		}
	}
	if settings, err = o.settings(); err != nil {
		return "", err
	}
	if o.persist != "" {
		err = saveState(l.server, o.persist)
	}
	return settings, err
}

func (l *localServer) startTLS() error {
	o := &l.options
	got, pem, err := l.server.ListenTLS(o.tlsAddr.String())
	if err != nil {
		return listenError("tls-addr", err)
	}
	if *o.tlsAddr, err = o.tlsAddr.taken(got); err != nil {
		return err
	}
	path, err := o.caFile()
	if err != nil {
		return err
	}
	// Everybody may read it: it holds no secret, and its reader may be in a container.
	err = replaceFile(path, 0o644, func(w io.Writer) error {
		_, err := w.Write(pem)
		return err
	})
	if err == nil {
		l.ca = path
	}
	return err
}

// taken is the address with the port of the url that its listener has.
func (a localAddress) taken(got string) (localAddress, error) {
	u, err := url.Parse(got)
	if err != nil {
		return a, err
	}
	a.port, err = strconv.Atoi(u.Port())
	return a, err
}

// listenError adds what can be done about a port in use.
func listenError(name string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; -%s takes another one, or 0 for any", err, name)
	}
	return err
}

// close ends what start began. The state stays readable.
func (l *localServer) close() error {
	err := l.server.Close()
	if l.ca != "" {
		err = errors.Join(err, os.Remove(l.ca))
	}
	return err
}

// report says what runs.
func (l *localServer) report(w io.Writer) {
	o := &l.options
	line := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(w, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	_, _ = fmt.Fprintln(w, "kinesiskit local serves Kinesis, DynamoDB and Firehose.")
	line("http", "%s (HTTP/1.1, h2c)", o.addr.url("http"))
	if o.tlsAddr != nil {
		line("https", "%s (HTTP/1.1, h2), trusted through %s", o.tlsAddr.url("https"), l.ca)
	}
	switch {
	case o.persist == "":
		line("state", "in memory, gone at the end")
	case l.loaded:
		line("state", "read from %s, and written to it at the end", o.persist)
	default:
		line("state", "empty, and written to %s at the end", o.persist)
	}
	if o.unlimited {
		line("limits", "off")
	} else {
		line("limits", "on: shards and the account throttle as AWS does")
	}
	if o.transitions > 0 {
		line("transitions", "CREATING, UPDATING and DELETING last %v", o.transitions)
	} else {
		line("transitions", "at once")
	}
	if len(l.rules) > 0 {
		line("faults", "%s, seed %d:", o.faults.name, o.seed)
		o.faults.print(w, strings.Repeat(" ", 15))
	} else {
		line("faults", "none")
	}
	_, _ = fmt.Fprintf(w, "\nThese lines point an AWS SDK or the AWS CLI at it. In another shell:\n  eval \"$(%s)\"\n\n", o.envCommand())
}

// envCommand is the command that prints the settings again.
func (o *localOptions) envCommand() string {
	command := "kinesiskit local -env -addr " + shellWord(o.addr.String())
	if o.tlsAddr != nil {
		command += " -tls-addr " + shellWord(o.tlsAddr.String())
	}
	if o.ca != "" {
		command += " -ca " + shellWord(o.ca)
	}
	return command
}

// farewell says what happened.
func (l *localServer) farewell(w io.Writer) {
	_, _ = fmt.Fprintf(w, "\nkinesiskit local has served %d requests.\n", l.server.Calls("*"))
	for i, rule := range l.rules {
		if n := rule.Hits(); n > 0 {
			_, _ = fmt.Fprintf(w, "%7d met a fault: %v\n", n, l.options.faults.faults[i])
		}
	}
	if l.options.persist != "" {
		_, _ = fmt.Fprintf(w, "The state is in %s.\n", l.options.persist)
	}
}
