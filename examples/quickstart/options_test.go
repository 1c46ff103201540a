package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"
)

func TestCommandLineThatMakesNoSenseIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	for args, reason := range map[string]string{
		"-nope":                                "not defined: -nope",
		"-rounds":                              "needs an argument",
		"-rounds many":                         "invalid value",
		"-rounds 0":                            "-rounds 0 is not within 1 and 10000",
		"-rounds 10001":                        "-rounds 10001 is not within",
		"again":                                `unexpected argument "again"`,
		"-aws -endpoint http://127.0.0.1:4567": "exclude each other",
		"-region eu-west-1":                    "-region needs",
		"-stream mine":                         "-stream needs",
		"-endpoint 127.0.0.1:4567":             "not the URL of a server",
		"-endpoint ftp://127.0.0.1":            "not the URL of a server",
		"-endpoint=":                           "not the URL of a server",
		"-aws -stream=":                        "not the name of a stream",
		"-aws -stream a/b":                     "not the name of a stream",
		"-aws -stream " + strings.Repeat("s", 129): "not the name of a stream",
	} {
		var stderr bytes.Buffer
		if _, err := parse(strings.Fields(args), &stderr); err == nil || !strings.Contains(stderr.String(), reason) {
			t.Errorf("%s: error %v, stderr %q", args, err, stderr.String())
		}
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]options{
		"":                            {rounds: 1, stream: defaultStream, place: place{Region: defaultRegion}},
		"-json -rounds 7":             {json: true, rounds: 7, stream: defaultStream, place: place{Region: defaultRegion}},
		"-endpoint http://h:1":        {rounds: 1, stream: defaultStream, place: place{Endpoint: "http://h:1", Region: defaultRegion}},
		"-aws":                        {rounds: 1, aws: true, stream: defaultStream},
		"-aws -region r -stream mine": {rounds: 1, aws: true, stream: "mine", place: place{Region: "r"}},
	} {
		var stderr bytes.Buffer
		got, err := parse(strings.Fields(args), &stderr)
		if err != nil || got != want || stderr.Len() > 0 {
			t.Errorf("%s: %+v, error %v, stderr %q", args, got, err, stderr.String())
		}
	}
}

func TestHelpIsNoError(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	if _, err := parse([]string{"-help"}, &stderr); !errors.Is(err, flag.ErrHelp) || !strings.Contains(stderr.String(), "-rounds N") {
		t.Errorf("error %v, stderr %q", err, stderr.String())
	}
}
