//go:build linux || darwin

package process

import (
	"io"
	"testing"

	"github.com/atom-router/atom-router/atom"
)

// BenchmarkLogs follows 64 MiB of 200-byte lines while they are written.
func BenchmarkLogs(b *testing.B) {
	e, err := New(b.Context(), Config{StateDir: b.TempDir()}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	const size = 64 << 20
	line := ""
	for len(line) < 199 {
		line += "x"
	}
	b.SetBytes(size)
	for b.Loop() {
		a, err := e.Create(sh("yes " + line + " | head -c 67108864"))
		if err != nil {
			b.Fatal(err)
		}
		in, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID()})
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, in)
		if err != nil || n != size {
			b.Fatal(n, err)
		}
		in.Close()
		if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCreateWait is the life of a job that does nothing.
func BenchmarkCreateWait(b *testing.B) {
	e, err := New(b.Context(), Config{StateDir: b.TempDir()}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	for b.Loop() {
		a, err := e.Create(&atom.EngineCreateRequest{Image: "none", Command: []string{"true"}})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := e.Wait(&atom.EngineWaitRequest{ID: a.ID()}); err != nil {
			b.Fatal(err)
		}
	}
}
