package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// screen shows a run while it goes on. draw is called a few times a second, by one goroutine, which calls close in the end.
type screen interface {
	say(text string) // before the first draw
	draw(snapshot)
	close()
}

// screenFor picks what stdout can show.
func screenFor(o options, stdout *os.File) screen {
	switch {
	case o.json:
		return silent{}
	case isTerminal(stdout) && os.Getenv("TERM") != "dumb":
		return &live{out: stdout}
	default:
		return &plainText{out: stdout}
	}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// silent shows nothing.
type silent struct{}

func (silent) say(string)    {}
func (silent) draw(snapshot) {}
func (silent) close()        {}

// live draws in place, on the terminal's alternate screen, so that what was on the terminal before is there again afterwards.
type live struct {
	out    io.Writer
	isOpen bool
	rate   meter
}

// What a terminal understands since the VT100, and xterm.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J" // alternate screen, no cursor, long lines are cut
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

func (l *live) say(text string) { fmt.Fprintln(l.out, text) }

func (l *live) draw(v snapshot) {
	var b strings.Builder
	if !l.isOpen {
		l.isOpen = true
		b.WriteString(enterScreen)
	}
	b.WriteString(home)
	for _, line := range v.render(l.rate.of(v)) {
		b.WriteString(clearLine + line + "\r\n")
	}
	b.WriteString(clearBelow)
	_, _ = io.WriteString(l.out, b.String()) // a terminal that has gone is no reason to stop
}

func (l *live) close() {
	if l.isOpen {
		_, _ = io.WriteString(l.out, leaveScreen)
	}
}

// plainText writes a line for each thing that happens, and one every few seconds for the progress.
type plainText struct {
	out   io.Writer
	told  int
	spoke time.Duration
	rate  meter
}

func (p *plainText) say(text string) { fmt.Fprintln(p.out, text) }

func (p *plainText) draw(v snapshot) {
	rate := p.rate.of(v)
	for _, h := range v.happenings[p.told:] {
		fmt.Fprintln(p.out, h)
	}
	p.told = len(v.happenings)
	if v.elapsed-p.spoke >= 5*time.Second {
		p.spoke = v.elapsed
		fmt.Fprintf(p.out, "%6.1f s         round %d: %s put, %s delivered, %s records/s\n",
			v.elapsed.Seconds(), v.round, thousands(v.put), thousands(v.delivered), thousands(int(rate)))
	}
}

func (p *plainText) close() { fmt.Fprintln(p.out) }

// meter is the speed of delivery over the last seconds.
type meter struct{ at []snapshot }

const meterSpan = 2 * time.Second

func (m *meter) of(v snapshot) float64 {
	m.at = append(m.at, snapshot{elapsed: v.elapsed, delivered: v.delivered})
	for len(m.at) > 2 && v.elapsed-m.at[1].elapsed >= meterSpan {
		m.at = m.at[1:]
	}
	span := (v.elapsed - m.at[0].elapsed).Seconds()
	if span <= 0 {
		return 0
	}
	return float64(v.delivered-m.at[0].delivered) / span
}
