package memengine_test

import (
	"fmt"
	"io"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
)

func Example() {
	e := memengine.New()
	defer e.Close()
	a, err := e.Create(&atom.EngineCreateRequest{
		Image: memengine.Image, Command: []string{"print", "hello", ";", "exit", "3"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer logs.Close()
	text, _ := io.ReadAll(logs)
	a, _ = e.Wait(&atom.EngineWaitRequest{ID: a.ID()})
	fmt.Printf("%s%s %d\n", text, a.Result(), *atom.InfoOf(a).ExitCode)
	// Output:
	// hello
	// failure 3
}
