package docker

import (
	"fmt"
	"testing"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/testenv"
)

// TestLogDriversTakeTheirOptions: each driver refuses some combination of size,
// files and compression, and only the daemon knows which.
func TestLogDriversTakeTheirOptions(t *testing.T) {
	d := &dockerd{host: testenv.Docker(t)}
	for _, driver := range []string{"local", "json-file"} {
		for _, files := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s with %d", driver, files), func(t *testing.T) {
				e := d.engine(t, Config{LogDriver: driver, LogMaxFiles: files})
				a := create(t, e, "")
				if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true}); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
