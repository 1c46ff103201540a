package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// defaultTimeout bounds the test of one patch. A guard that needs longer says so in its header.
const defaultTimeout = 2 * time.Minute

// patch is one file of testdata/mutants: a header that says which guarantee is attacked and which test must notice, and the attack.
type patch struct {
	name    string // the file's, without extension
	guard   string
	pkg     string // as the go command names it, relative to the module: ./lease
	run     string // the -run pattern of the test that must fail
	timeout time.Duration
	edits   []edit
}

// edit is the change of one file.
type edit struct {
	path  string // relative to the module, with slashes
	hunks []hunk
}

// hunk replaces the lines of before by those of after.
type hunk struct {
	line          int // in the original, from 1
	before, after []string
}

var (
	hunkHeader = regexp.MustCompile(`^@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@`)
	identifier = regexp.MustCompile(`^\w+$`)
)

// pattern is the argument of -run. The bare name of a test means that test, and not those whose names begin with it.
func (p *patch) pattern() string {
	if identifier.MatchString(p.run) {
		return "^" + p.run + "$"
	}
	return p.run
}

// parse reads a patch: "# key: value" lines, then a unified diff of existing files.
func parse(name, text string) (patch, error) {
	p := patch{name: name, timeout: defaultTimeout}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	i := 0
	for ; i < len(lines) && (strings.HasPrefix(lines[i], "#") || lines[i] == ""); i++ {
		if err := p.header(lines[i]); err != nil {
			return patch{}, err
		}
	}
	if p.guard == "" || p.pkg == "" {
		return patch{}, errors.New("the header needs a \"# guard: …\" and a \"# test: ./package TestName\" line")
	}
	var err error
	if p.edits, err = parseDiff(lines[i:]); err != nil {
		return patch{}, err
	}
	return p, nil
}

func (p *patch) header(line string) error {
	key, value, found := strings.Cut(strings.TrimPrefix(line, "#"), ":")
	if !found {
		return nil
	}
	value = strings.TrimSpace(value)
	switch strings.TrimSpace(key) {
	case "guard":
		p.guard = value
	case "test":
		var ok bool
		if p.pkg, p.run, ok = strings.Cut(value, " "); !ok || !strings.HasPrefix(p.pkg, "./") {
			return fmt.Errorf("header: test: %q is not \"./package TestName\"", value)
		}
		p.run = strings.TrimSpace(p.run)
		if _, err := regexp.Compile(p.run); err != nil {
			return fmt.Errorf("header: test: %w", err)
		}
	case "timeout":
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return fmt.Errorf("header: timeout: %q is not a positive duration", value)
		}
		p.timeout = d
	default:
		return fmt.Errorf("header: unknown key %q", strings.TrimSpace(key))
	}
	return nil
}

func parseDiff(lines []string) ([]edit, error) {
	var edits []edit
	for i := 0; i < len(lines); {
		line := lines[i]
		switch {
		case strings.HasPrefix(line, "+++ "):
			file, _, _ := strings.Cut(strings.TrimPrefix(line, "+++ "), "\t")
			file = strings.TrimPrefix(file, "b/")
			if file == "/dev/null" {
				return nil, errors.New("diff: a patch changes files; it does not delete them")
			}
			edits = append(edits, edit{path: file})
			i++
		case strings.HasPrefix(line, "@@"):
			if len(edits) == 0 {
				return nil, fmt.Errorf("diff: %q stands before any file", line)
			}
			h, n, err := parseHunk(lines[i:])
			if err != nil {
				return nil, err
			}
			e := &edits[len(edits)-1]
			e.hunks = append(e.hunks, h)
			i += n
		case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "index "), strings.HasPrefix(line, "--- "), line == "",
			strings.HasPrefix(line, `\ No newline`):
			i++
		default:
			return nil, fmt.Errorf("diff: unexpected line %q", line)
		}
	}
	if len(edits) == 0 {
		return nil, errors.New("diff: changes no file")
	}
	for _, e := range edits {
		if len(e.hunks) == 0 {
			return nil, fmt.Errorf("diff: %s: no hunk", e.path)
		}
	}
	return edits, nil
}

// parseHunk reads one hunk and returns how many lines it took. The counts of its header say where it ends, because a removed line may look like
// the header of a file.
func parseHunk(lines []string) (hunk, int, error) {
	m := hunkHeader.FindStringSubmatch(lines[0])
	if m == nil {
		return hunk{}, 0, fmt.Errorf("diff: %q is not the header of a hunk", lines[0])
	}
	h := hunk{}
	h.line, _ = strconv.Atoi(m[1])
	before, after := count(m[2]), count(m[3])
	i := 1
	for ; i < len(lines) && (len(h.before) < before || len(h.after) < after); i++ {
		line := lines[i]
		switch {
		case line == "": // an empty context line whose space an editor has removed
			h.before, h.after = append(h.before, ""), append(h.after, "")
		case line[0] == ' ':
			h.before, h.after = append(h.before, line[1:]), append(h.after, line[1:])
		case line[0] == '-':
			h.before = append(h.before, line[1:])
		case line[0] == '+':
			h.after = append(h.after, line[1:])
		case strings.HasPrefix(line, `\ No newline`):
		default:
			return hunk{}, 0, fmt.Errorf("diff: unexpected line %q in %q", line, lines[0])
		}
	}
	if len(h.before) != before || len(h.after) != after {
		return hunk{}, 0, fmt.Errorf("diff: %q announces %d old and %d new lines, and has %d and %d", lines[0], before, after, len(h.before), len(h.after))
	}
	if before == 0 {
		return hunk{}, 0, fmt.Errorf("diff: %q has no line of the original to find its place by", lines[0])
	}
	return h, i, nil
}

func count(s string) int {
	if s == "" {
		return 1
	}
	n, _ := strconv.Atoi(s)
	return n
}

// apply returns text with the hunks applied. A hunk goes where its line number says, or, after the file has grown above it, to the only other
// place where its lines stand; when there is no such place, or more than one, the patch has to be made anew.
func (e edit) apply(text string) (string, error) {
	lines := strings.Split(text, "\n")
	shift, floor := 0, 0
	for _, h := range e.hunks {
		at, err := h.find(lines, h.line-1+shift, floor)
		if err != nil {
			return "", fmt.Errorf("%s: line %d: %w", e.path, h.line, err)
		}
		rest := append([]string{}, lines[at+len(h.before):]...)
		lines = append(append(lines[:at:at], h.after...), rest...)
		shift = at - (h.line - 1) + len(h.after) - len(h.before)
		floor = at + len(h.after)
	}
	return strings.Join(lines, "\n"), nil
}

func (h hunk) find(lines []string, stated, floor int) (int, error) {
	var places []int
	for at := floor; at+len(h.before) <= len(lines); at++ {
		if !h.matches(lines[at:]) {
			continue
		}
		if at == stated {
			return at, nil
		}
		places = append(places, at)
	}
	switch len(places) {
	case 0:
		return 0, errors.New("the lines that the patch changes are not there")
	case 1:
		return places[0], nil
	default:
		return 0, fmt.Errorf("the lines that the patch changes are not at their place, and at %d others", len(places))
	}
}

func (h hunk) matches(lines []string) bool {
	for i, want := range h.before {
		if lines[i] != want {
			return false
		}
	}
	return true
}
