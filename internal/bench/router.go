package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

// routerOn is a router with one backend, named as its plugin, whose program is
// in dir. settings are the backend's own, as HCL. dir gets its config.
func routerOn(ctx context.Context, dir, plugin, settings string) (*router.Engine, error) {
	file := filepath.Join(dir, "config.hcl")
	text := fmt.Sprintf(`
		plugin_dir = %[1]q
		backend %[2]q {
		  plugin = %[2]q
		  config {
		    %[3]s
		  }
		}
		default { backend = %[2]q }
	`, dir, plugin, settings)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cfg, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	return router.New(ctx, cfg, router.Options{NoJanitor: true})
}
