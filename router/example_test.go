package router_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/router"
)

// fleet is what a program that embeds a router writes, or reads from HCL with
// package router/config.
func fleet() router.Config {
	cuda, err := router.ParsePattern("*/cuda:*")
	if err != nil {
		log.Fatal(err)
	}
	return router.Config{
		Owner:      "fleet-a",
		PluginDirs: []string{"/usr/lib/atom-router"},
		Backends: []router.Backend{
			{Name: "gpu", Plugin: "kube", MaxAtoms: 100},
			{Name: "local", Plugin: "docker"},
		},
		Rules: []router.Rule{{
			Name:  "cuda",
			Match: router.Match{Image: []router.Pattern{cuda}},
			Tiers: []router.Tier{
				{Targets: []router.Target{{Backend: "gpu", Weight: 1}}},
				{Targets: []router.Target{{Backend: "local", Weight: 1}}, On: []router.Cause{router.Full}},
			},
		}},
		Default: router.Rule{Tiers: []router.Tier{{Targets: []router.Target{{Backend: "local", Weight: 1}}}}},
	}
}

// A scheduler asks where its jobs would go. That starts no plugin.
func ExampleEngine_Explain() {
	ctx := context.Background()
	engine, err := router.New(ctx, fleet(), router.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	for _, image := range []string{"nvidia/cuda:12", "alpine"} {
		d, err := engine.Explain(ctx, &atom.EngineCreateRequest{Image: image})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: rule %s, backend %s\n", image, d.Rule, d.Backend())
	}
	// Output:
	// nvidia/cuda:12: rule cuda, backend gpu
	// alpine: rule default, backend local
}

// A scheduler runs a job and shows its output. The Key makes it one job, also
// where this program dies and asks again. The backend here is an engine in this
// process; one of a fleet names a plugin.
func Example() {
	ctx := context.Background()
	local := memengine.New()
	defer local.Close()
	engine, err := router.New(ctx, router.Config{
		Backends: []router.Backend{{Name: "local", Engine: local}},
		Default:  router.Rule{Tiers: []router.Tier{{Targets: []router.Target{{Backend: "local", Weight: 1}}}}},
	}, router.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	a, err := engine.Create(&atom.EngineCreateRequest{
		Context: ctx, Key: "nightly-2026-01-02",
		Image: memengine.Image, Command: []string{"print", "hello"},
		Spec: container.Spec{Env: map[string]string{"TZ": "UTC"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	logs, err := engine.Logs(&atom.EngineLogsRequest{Context: ctx, ID: a.ID()})
	if err != nil {
		log.Fatal(err)
	}
	defer logs.Close()
	if err := atom.CopyLogs(os.Stdout, os.Stderr, logs); err != nil {
		log.Fatal(err)
	}
	if a, err = engine.Wait(&atom.EngineWaitRequest{Context: ctx, ID: a.ID()}); err != nil {
		log.Fatal(err)
	}
	backend, _, _ := strings.Cut(a.ID(), ":")
	fmt.Println(backend, a.Result())
	// Output:
	// hello
	// local success
}

// What a router cannot do says which operation, backend and atom it was about,
// and why.
func ExampleEngine_Get() {
	ctx := context.Background()
	engine, err := router.New(ctx, fleet(), router.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	_, err = engine.Get(&atom.EngineGetRequest{Context: ctx, ID: "lokal:1"})
	fmt.Println(err, errdefs.IsNotFound(err))
	// Output:
	// get lokal:1: there is no backend "lokal"; did you mean "local"? true
}
