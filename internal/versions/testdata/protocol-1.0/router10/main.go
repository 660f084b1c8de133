// Command router10 is a router's end of the wire as it was built with protocol
// 1.0: it launches the plugin that its arguments say and prints a transcript.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/atom-router/atom-router/plugin"
)

func main() {
	p, err := plugin.Launch(context.Background(), plugin.LaunchOptions{Name: "old", Path: os.Args[1], Args: os.Args[2:], Env: []string{"GORACE"}})
	if err == nil {
		defer p.Close()
		err = p.Configure(context.Background(), []byte(`{"word": "hello"}`))
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	d := p.Description()
	fmt.Println(len(d.Schema.Attributes), "setting, ping", p.Ping(context.Background()))
	transcript(os.Stdout, p.Engine())
}
