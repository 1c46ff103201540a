package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// recordFile is where the record stands, beside the patches.
const recordFile = "caught.txt"

// inTurn is how many runs it takes, in the mean, until a patch whose record holds is run again.
const inTurn = 10

// record says which patches were caught, and on which sources: for each name, the fingerprints that had the test fail. A line is added by whoever
// caught the patch, and git joins the lines of two branches (merge=union in .gitattributes), so that a name may have several fingerprints; at most one
// of them is that of the sources as they are.
type record map[string][]string

const recordHead = `# The patches that their tests caught: name, fingerprint of the sources on which that was. Written by: go run ./internal/mutants -unrecorded -record
`

func readRecord(file string) (record, error) {
	text, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer text.Close()
	r := record{}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		name, fingerprint, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			return nil, fmt.Errorf("%s: %q is not \"name fingerprint\"", file, lines.Text())
		}
		r[name] = append(r[name], fingerprint)
	}
	return r, lines.Err()
}

// write leaves one line for each name, in order.
func (r record) write(file string) error {
	var text strings.Builder
	text.WriteString(recordHead)
	for _, name := range slices.Sorted(maps.Keys(r)) {
		for _, fingerprint := range r[name] {
			fmt.Fprintf(&text, "%s %s\n", name, fingerprint)
		}
	}
	return os.WriteFile(file, []byte(text.String()), 0o644)
}

// selection returns the patches that have to be run: those of which the record does not say that they were caught on these very sources, and by turns one
// in inTurn of the others, which turn chooses. The others are those whose sources have not changed but whose test may run through something that has: the
// fingerprint does not follow imports, or one line in kinesistest would make every patch run again. No turn: only the first.
func selection(patches []patch, prints map[string]string, r record, turn string) []patch {
	var chosen []patch
	for _, p := range patches {
		if !slices.Contains(r[p.name], prints[p.name]) || (turn != "" && isTurnOf(p.name, turn)) {
			chosen = append(chosen, p)
		}
	}
	return chosen
}

func isTurnOf(name, turn string) bool {
	sum := sha256.Sum256([]byte(turn + "\n" + name))
	return binary.BigEndian.Uint64(sum[:8])%inTurn == 0
}

// update returns the record after a run: what was caught stands with its fingerprint; what was run and not caught, what is recorded of other sources, and
// what is no patch any more is gone.
func (r record) update(prints map[string]string, caught map[string]bool) record {
	next := record{}
	for name, fingerprint := range prints {
		ok, ran := caught[name]
		if ok || !ran && slices.Contains(r[name], fingerprint) {
			next[name] = []string{fingerprint}
		}
	}
	return next
}

// fingerprints returns what each patch's verdict rests on, as a hash: the patch with its header, the package it changes (without its tests), and the
// package of its test with all tests and helpers.
func fingerprints(root, dir string, patches []patch) (map[string]string, error) {
	sources := sources{root: root, digests: map[string]string{}}
	prints := map[string]string{}
	for _, p := range patches {
		text, err := os.ReadFile(filepath.Join(dir, p.name+".patch"))
		if err != nil {
			return nil, err
		}
		test := path.Clean(p.pkg)
		parts := []string{string(text)}
		for _, pkg := range p.packages() {
			digest, err := sources.digest(pkg, pkg == test)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			parts = append(parts, pkg, digest)
		}
		prints[p.name] = hash(parts...)[:16]
	}
	return prints, nil
}

// packages returns the directories of the files that p changes and of its test, in order.
func (p *patch) packages() []string {
	dirs := []string{path.Clean(p.pkg)}
	for _, e := range p.edits {
		dirs = append(dirs, path.Dir(path.Clean(e.path)))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// sources hashes the Go files of directories, each directory once.
type sources struct {
	root    string
	digests map[string]string
}

func (s *sources) digest(dir string, tests bool) (string, error) {
	key := fmt.Sprint(dir, tests)
	if d, ok := s.digests[key]; ok {
		return d, nil
	}
	if !filepath.IsLocal(filepath.FromSlash(dir)) {
		return "", nil // such a patch is refused when it is run
	}
	files, err := filepath.Glob(filepath.Join(s.root, filepath.FromSlash(dir), "*.go"))
	if err != nil {
		return "", err
	}
	var parts []string
	for _, file := range files {
		if !tests && strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		parts = append(parts, filepath.Base(file), string(text))
	}
	s.digests[key] = hash(parts...)
	return s.digests[key], nil
}

// hash is one hash over the parts; no two lists of parts run into each other.
func hash(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d\n%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}
