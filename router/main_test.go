package router

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
)

// servePlugin as the first argument makes this test binary a plugin, of the
// kind that the second says.
const servePlugin = "serve-plugin"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == servePlugin {
		beginPlugin(os.Args[2])
		return
	}
	goleak.VerifyTestMain(m)
}

func beginPlugin(kind string) {
	switch kind {
	case "garbage":
		fmt.Println("Welcome to the plugin!")
		time.Sleep(time.Minute)
	case "exits":
		os.Exit(3)
	case "silent":
		time.Sleep(time.Minute)
	case "works", "works-debug":
		if kind == "works-debug" {
			os.Args = []string{kind, "--debug"}
		}
		plugin.Serve(plugin.Plugin[pluginConfig]{Name: "works", Version: "v1.2.3", Capabilities: everything(), New: newPluginEngine})
	}
}

// pluginConfig is the config of the plugin "works".
type pluginConfig struct {
	Greeting string `hcl:"greeting,optional"`
	// Marker is a file that is made when Create ends the plugin; it does so
	// only while the file is not there.
	Marker string `hcl:"marker,optional"`
}

// newPluginEngine is an engine in memory with one atom whose Name is the
// plugin's PID. Its Get of "a/die" ends the plugin, and so does its first
// Create where the config has a Marker.
func newPluginEngine(_ context.Context, c pluginConfig, _ hclog.Logger) (atom.Engine, error) {
	if c.Greeting == "wrong" {
		return nil, &atom.FieldError{Field: "greeting", Reason: "is impolite"}
	}
	f := &fake{atoms: []*atom.Info{{ID: "pid", Name: strconv.Itoa(os.Getpid()), State: atom.Running, CreatedAt: time.Unix(1, 0)}}}
	f.after = func(*atom.EngineCreateRequest) error {
		if c.Marker != "" {
			if file, err := os.OpenFile(c.Marker, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
				file.Close()
				os.Exit(1)
			}
		}
		return nil
	}
	return f, nil
}
