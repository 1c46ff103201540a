package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// directory is where files are published. They are staged in a directory inside, from which they are moved: a file is there as a whole or not at all.
type directory struct{ path string }

func newDirectory(path string) (directory, error) {
	d := directory{path}
	return d, os.MkdirAll(d.staging(""), 0o700)
}

func (d directory) staging(name string) string { return filepath.Join(d.path, "staging", name) }

func (d directory) stage(name string, lines []string) error {
	return os.WriteFile(d.staging(name), []byte(strings.Join(lines, "\n")), 0o600)
}

// publish is done when the file is there, whoever has moved it.
func (d directory) publish(name string) error {
	err := os.Rename(d.staging(name), filepath.Join(d.path, name))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(filepath.Join(d.path, name))
	}
	return err
}

// discard removes what was staged for a shard and not announced.
func (d directory) discard(shard string) error {
	left, err := filepath.Glob(d.staging(shard + "_*"))
	for _, file := range left {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// count reads what is published.
func (d directory) count() (records, files, twice int, err error) {
	entries, err := filepath.Glob(filepath.Join(d.path, "*_*"))
	if err != nil {
		return 0, 0, 0, err
	}
	seen := map[string]bool{}
	for _, file := range entries {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, 0, 0, err
		}
		files++
		for line := range strings.SplitSeq(string(text), "\n") {
			records++
			if seen[line] {
				twice++
			}
			seen[line] = true
		}
	}
	return len(seen), files, twice, nil
}
