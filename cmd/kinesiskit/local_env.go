package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// localAddress is where a port is, or is to be: port 0 stands for any.
type localAddress struct {
	host string
	port int
}

func parseLocalAddress(text string) (localAddress, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return localAddress{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return localAddress{}, fmt.Errorf("port %q is no number from 0 to 65535", port)
	}
	return localAddress{host, int(n)}, nil
}

func (a localAddress) String() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

// url is how a client on this machine gets there: an address that stands for all addresses is one to listen on, not one to call.
func (a localAddress) url(scheme string) string {
	switch ip := net.ParseIP(a.host); {
	case a.host == "", ip.Equal(net.IPv4zero):
		a.host = "127.0.0.1"
	case ip.Equal(net.IPv6unspecified):
		a.host = "::1"
	}
	return scheme + "://" + a.String()
}

// caFile is the absolute path of the file for the certificate. The default has the port in its name: two servers have two files.
func (o *localOptions) caFile() (string, error) {
	if o.ca != "" {
		return filepath.Abs(o.ca)
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("kinesiskit-ca-%d.pem", o.tlsAddr.port)), nil
}

// settings are the lines that lead an SDK or the AWS CLI here. Each has its reason:
//
// Endpoints are set for these services alone, so that a program's others still go to AWS, and with TLS if there is TLS. Credentials are needed
// to sign with. botocore, which is Python's SDK and the AWS CLI, knows only AWS_DEFAULT_REGION, the others only AWS_REGION. Java's SDKs
// (version 1, then 2) speak CBOR unless they are told not to.
func (o *localOptions) settings() (string, error) {
	var b strings.Builder
	set := func(name, value string) { _, _ = fmt.Fprintf(&b, "export %s=%s\n", name, shellWord(value)) }
	url := o.addr.url("http")
	if o.tlsAddr != nil {
		url = o.tlsAddr.url("https")
	}
	for _, service := range []string{"KINESIS", "DYNAMODB", "FIREHOSE"} {
		set("AWS_ENDPOINT_URL_"+service, url)
	}
	if o.tlsAddr != nil {
		ca, err := o.caFile()
		if err != nil {
			return "", err
		}
		set("AWS_CA_BUNDLE", ca)
	}
	set("AWS_REGION", "us-east-1")
	set("AWS_DEFAULT_REGION", "us-east-1")
	set("AWS_CBOR_DISABLE", "true")
	set("CBOR_ENABLED", "false")
	set("AWS_ACCESS_KEY_ID", "local")
	set("AWS_SECRET_ACCESS_KEY", "local")
	return b.String(), nil
}

// shellWord quotes what is more than one plain word to a shell.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || strings.ContainsRune("-_./:[]", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
