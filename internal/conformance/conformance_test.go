package conformance

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

var update = flag.Bool("update", false, "write the list of unproven behaviours into DESIGN.md")

// On a virtual clock everything can be tried, with the limits that the service has.
func TestInMemory(t *testing.T) {
	t.Parallel()
	for _, b := range behaviours {
		t.Run(b.service+"/"+b.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New()
				defer func() { _ = s.Close() }()
				b.run(t, newEnv(s.Config("conformance")))
			})
		})
	}
}

func TestOverTCP(t *testing.T) {
	t.Parallel()
	s := kinesistest.New(kinesistest.WithoutLimits())
	t.Cleanup(func() { _ = s.Close() })
	e := newEnv(overTCP(ok(s.Listen("127.0.0.1:0"))(t)))
	for _, b := range behaviours {
		if !b.slow && !b.limited {
			t.Run(b.service+"/"+b.name, func(t *testing.T) {
				t.Parallel()
				b.run(t, e)
			})
		}
	}
}

// What independent servers do, they and kinesistest agree on. An excuse has to be true.
func TestIndependentServers(t *testing.T) {
	if os.Getenv(oraclesSwitch) == "" {
		t.Skip(oraclesSwitch + " is not set")
	}
	modules := install(t)
	for service, servers := range independent {
		for _, server := range servers {
			t.Run(server, func(t *testing.T) {
				t.Parallel()
				cfg := overTCP(startOracle(t, modules, server))
				if server == kinesisLocal {
					cfg.HTTPClient = withInitialResponse{cfg.HTTPClient}
				}
				e := newEnv(cfg)
				// One after the other: these servers use one core, and not all of them are safe for concurrent use.
				for _, b := range behaviours {
					if b.service == service && !b.slow {
						t.Run(b.name, func(t *testing.T) { b.on(t, server, e) })
					}
				}
			})
		}
	}
}

// on runs a behaviour on an independent server.
func (b *behaviour) on(t *testing.T, server string, e *env) {
	instead, excused := b.skips[server]
	if !excused {
		b.run(t, e)
		return
	}
	if instead == dies {
		t.Skipf("%s\n%s %s", b.says, server, instead)
	}
	why, failed := try(t, b, e)
	if !failed {
		t.Fatalf("%s does what is documented, or the behaviour does not notice: the excuse %q is to go", server, instead)
	}
	t.Skipf("%s\n%s: %s\nseen: %s", b.says, server, instead, why)
}

func TestTheTableIsComplete(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, b := range behaviours {
		page, sentence, cited := strings.Cut(b.says, ": ")
		if b.name == "" || b.run == nil || !cited || page == "" || sentence == "" {
			t.Errorf("%s %q lacks a name, a test, or a page and its sentence: %q", b.service, b.name, b.says)
		}
		if seen[b.service+b.name] {
			t.Errorf("%s %q is there twice", b.service, b.name)
		}
		seen[b.service+b.name] = true
		for server, instead := range b.skips {
			if !slices.Contains(independent[b.service], server) || instead == "" {
				t.Errorf("%s %q excuses %q with %q", b.service, b.name, server, instead)
			}
			if b.slow {
				t.Errorf("%s %q is tried on no independent server, so it needs no excuse for %s", b.service, b.name, server)
			}
		}
	}
}
