package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// loadState reads the state from a file. found is false if there is no file, which is how a state begins. What cannot be read is an error and
// not an empty server, which would overwrite it at its end.
func loadState(s *kinesistest.Server, path string) (found bool, err error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err == nil:
		err = errors.Join(s.Load(f), f.Close())
	}
	if err != nil {
		return false, fmt.Errorf("read state from %s: %w", path, err)
	}
	return true, nil
}

// saveState writes the state to a file, which keeps its permissions. Of a symbolic link, what it leads to is replaced.
func saveState(s *kinesistest.Server, path string) error {
	mode := fs.FileMode(0o600)
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := replaceFile(path, mode, s.Save); err != nil {
		return fmt.Errorf("write state to %s: %w", path, err)
	}
	return nil
}

// replaceFile writes a file beside path and renames it: path is the old file or the new one, never a part. That holds against others too: the
// new file's name is nobody's yet, and in a directory for temporary files nobody else's file is replaced or followed.
func replaceFile(path string, mode fs.FileMode, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
