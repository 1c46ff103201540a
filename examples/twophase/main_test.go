package main

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// Whichever phase a worker dies in, each record is in one file.
func TestEachRecordIsInOneFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		server := kinesistest.New()
		defer func() { _ = server.Close() }()
		server.CreateStream(stream, 2)
		var out strings.Builder
		if err := archive(t.Context(), server, dir, &out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"died when its file was staged", "died when its file was announced", "died when its file was published",
			"1000 records were written, 1000 are in ", ", 0 of them twice\n",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is missing in\n%s", want, out.String())
			}
		}
	})
	if left, err := filepath.Glob(filepath.Join(dir, "staging", "*")); err != nil || len(left) > 0 {
		t.Errorf("staged and never published or discarded: %q, %v", left, err)
	}
}
