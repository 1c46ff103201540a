package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

func TestCommandLines(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end() // a server that should not start, and does, ends at once
	taken := strings.TrimPrefix(startLocal(t).env["AWS_ENDPOINT_URL_KINESIS"], "http://")
	for _, test := range []struct {
		args           string
		code           int
		stdout, stderr string // what they contain; empty: they are empty
	}{
		{"", 2, "", "Usage: kinesiskit <command>"},
		{"help", 0, "Usage: kinesiskit <command>", ""},
		{"--help", 0, "Usage: kinesiskit <command>", ""},
		{"serve", 2, "", `unknown command "serve"`},
		{"local -h", 0, "-tls-addr", ""},
		{"local -port 1", 2, "", "-port"},
		{"local now", 2, "", `"now"`},
		{"local -addr localhost", 2, "", "missing port"},
		{"local -addr :http", 2, "", `port "http"`},
		{"local -tls-addr 4568", 2, "", "-tls-addr"},
		{"local -ca ca.pem", 2, "", "-ca goes with -tls-addr"},
		{"local -limits maybe", 2, "", "neither on nor off"},
		{"local -limits", 2, "", "needs an argument"},
		{"local -transitions 5", 2, "", "-transitions"},
		{"local -transitions -5s", 2, "", "negative"},
		{"local -faults loud", 2, "", "-faults help lists them"},
		{"local -seed x", 2, "", "-seed"},
		{"local -env -addr :0", 2, "", "-env"},
		{"local -env -tls-addr :0", 2, "", "-env"},
		{"local -faults help", 0, "chaos: ", ""},
		{"local -addr " + taken, 1, "", "-addr takes another one"},
		{"local -addr 127.0.0.1:0 -tls-addr " + taken, 1, "", "-tls-addr takes another one"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(ended, strings.Fields(test.args), &stdout, &stderr)
		says := func(b bytes.Buffer, want string) bool {
			return strings.Contains(b.String(), want) && (want == "") == (b.Len() == 0)
		}
		if code != test.code || !says(stdout, test.stdout) || !says(stderr, test.stderr) {
			t.Errorf("%q: exit status %d\nstdout: %s\nstderr: %s", test.args, code, &stdout, &stderr)
		}
	}
}
