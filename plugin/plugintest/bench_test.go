package plugintest

import (
	"io"
	"testing"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
)

// BenchmarkPing is what a Get is measured against: a bare health check over
// the same connection.
func BenchmarkPing(b *testing.B) {
	p := launch(b, "as-plugin")
	for b.Loop() {
		if err := p.Ping(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	p := launch(b, "as-plugin")
	a, err := p.Engine().Create(&atom.EngineCreateRequest{Image: memengine.Image, Command: []string{"exit", "0"}})
	if err != nil {
		b.Fatal(err)
	}
	get := &atom.EngineGetRequest{ID: a.ID(), Context: b.Context()}
	for b.Loop() {
		if _, err := p.Engine().Get(get); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLogs is lines of 200 bytes from an engine that makes them up.
func BenchmarkLogs(b *testing.B) {
	for name, timestamps := range map[string]bool{"plain": false, "timestamps": true} {
		b.Run(name, func(b *testing.B) {
			p := launch(b, "as-plugin")
			b.SetBytes(int64(len(floodLine)))
			b.ReportAllocs()
			b.ResetTimer()
			logs, err := p.Engine().Logs(&atom.EngineLogsRequest{ID: "flood", Tail: b.N, Timestamps: timestamps})
			if err != nil {
				b.Fatal(err)
			}
			defer logs.Close()
			if err := atom.CopyLogs(io.Discard, io.Discard, logs); err != nil {
				b.Fatal(err)
			}
		})
	}
}
