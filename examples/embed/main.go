// Command embed is a scheduler in small: it runs one job on whichever backend
// the config's rules choose.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

func main() {
	cfg, err := config.Load("examples/config.hcl")
	check(err)
	engine, err := router.New(context.Background(), cfg, router.Options{})
	check(err)
	defer engine.Close()

	a, err := engine.Create(&atom.EngineCreateRequest{Image: "none", Command: []string{"echo", "hello"}})
	check(err)
	logs, err := engine.Logs(&atom.EngineLogsRequest{ID: a.ID()})
	check(err)
	check(atom.CopyLogs(os.Stdout, os.Stderr, logs))
	a, err = engine.Wait(&atom.EngineWaitRequest{ID: a.ID()})
	check(err)
	fmt.Println(a.ID(), a.Result())
	check(engine.Delete(&atom.EngineDeleteRequest{ID: a.ID()}))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
