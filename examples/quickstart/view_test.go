package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the files that tests compare with")

// golden compares with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; with -update it is written anew. Now:\n%s", path, got)
	}
}

// fits checks that a text fits a screen on which one line is for the prompt.
func fits(t *testing.T, lines []string) {
	t.Helper()
	if len(lines) > height-1 {
		t.Errorf("%d lines", len(lines))
	}
	for _, l := range lines {
		if n := utf8.RuneCountInString(l); n > width {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}

// midway is a run while a worker is dead.
func midway() snapshot {
	return snapshot{
		elapsed: 9400 * time.Millisecond, round: 6, put: 9341, delivered: 8475, duplicates: 48, step: 3,
		shards: []shardView{
			{name: "0", keys: []string{"us", "ak", "nc", "ci", "uw"}, ended: true, delivered: 2059},
			{name: "1", keys: []string{"hv", "uu", "pr"}, ended: true, delivered: 451},
			{name: "2", keys: []string{"nm", "mb"}, owner: "w3", delivered: 184},
			{name: "3", keys: []string{"nn", "se"}, owner: "w2", ownerDead: true, delivered: 1121},
			{name: "4", from: "half of 0", keys: []string{"us", "ak", "nc"}, owner: "w1", delivered: 3240},
			{name: "5", from: "half of 0", keys: []string{"ci", "uw"}, ended: true, delivered: 650},
			{name: "6", from: "5 + 1", keys: []string{"ci", "uw", "hv", "uu", "pr"}, delivered: 770},
		},
		workers: []workerView{
			{name: "w1", holds: 1, delivered: 5299}, {name: "w2", fate: killed, delivered: 2342}, {name: "w3", holds: 1, delivered: 834},
		},
		happenings: []happening{
			{0.8, start, "workers w1, w2, w3 read the stream's 4 shards"},
			{2.8, split, "shard 0 into 4 and 5, read on after 0.6 s"},
			{5.4, merge, "shards 5 and 1 into 6, read on after 0.3 s"},
			{7.7, killed, "w2, which read shards 3, 6, gets SIGKILL"},
		},
	}
}

func TestViewShowsWhoOwnsWhatAndTheLineage(t *testing.T) {
	t.Parallel()
	lines := midway().render(626)
	fits(t, lines)
	golden(t, "view-midway.txt", strings.Join(lines, "\n")+"\n")
}

func TestViewOfTheFirstMoment(t *testing.T) {
	t.Parallel()
	v := snapshot{round: 1, workers: []workerView{{name: "w1"}, {name: "w2"}, {name: "w3"}}}
	lines := v.render(0)
	fits(t, lines)
	golden(t, "view-first.txt", strings.Join(lines, "\n")+"\n")
}

func TestViewFitsTheScreenWhateverTheStream(t *testing.T) {
	t.Parallel()
	v := midway()
	for range 40 {
		v.shards = append(v.shards, shardView{name: strings.Repeat("x", 90), keys: []string{strings.Repeat("ä", 100)}})
		v.happenings = append(v.happenings, happening{99999, moved, strings.Repeat("y", 90)})
	}
	lines := v.render(1e9)
	fits(t, lines)
	golden(t, "view-full.txt", strings.Join(lines, "\n")+"\n")
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -999: "-999", -1000: "-1,000"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s", n, got)
		}
	}
}

func TestLiveScreenGivesTheTerminalBack(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := &live{out: &out}
	l.draw(midway())
	l.draw(midway())
	l.close()
	text := out.String()
	if strings.Count(text, enterScreen) != 1 || !strings.HasPrefix(text, enterScreen) || !strings.HasSuffix(text, leaveScreen) {
		t.Errorf("%q", text)
	}
	var none strings.Builder
	(&live{out: &none}).close()
	if none.Len() > 0 {
		t.Errorf("a screen that was not used writes %q", none.String())
	}
}

func TestPlainTextTellsEverythingOnce(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := &plainText{out: &out}
	v := midway()
	all := v.happenings
	for i := range all {
		v.happenings = all[:i+1]
		p.draw(v)
	}
	p.draw(v)
	for _, h := range all {
		if strings.Count(out.String(), h.String()+"\n") != 1 {
			t.Errorf("%q is not told once in:\n%s", h, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("terminal control in plain text")
	}
}

func TestMeterMeasuresTheLastSeconds(t *testing.T) {
	t.Parallel()
	var m meter
	rate := 0.0
	for i := range 100 {
		n := 10 * i
		if i > 50 {
			n = 500 + 100*(i-50)
		}
		rate = m.of(snapshot{elapsed: time.Duration(i) * 100 * time.Millisecond, delivered: n})
	}
	if rate != 1000 {
		t.Errorf("%.1f records/s", rate)
	}
}
