package plugin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
	"github.com/atom-router/atom-router/plugin"
)

// The main function of a plugin. A router starts the program; by hand it tells
// its version.
func ExampleServe() {
	type config struct {
		Region string `hcl:"region" doc:"where jobs run"`
	}
	defer func(args []string) { os.Args = args }(os.Args)
	os.Args = []string{"atom-plugin-mine", "--version"}
	plugin.Serve(plugin.Plugin[config]{
		Name: "mine", Version: "1.0.0", Capabilities: memengine.AllCapabilities(),
		New: func(_ context.Context, c config, log plugin.Logger) (atom.Engine, error) {
			if c.Region == "" {
				return nil, &atom.FieldError{Field: "region", Reason: "must not be empty"}
			}
			return memengine.New(), nil
		},
	})
	// Output: atom-plugin-mine 1.0.0 (protocol 1.2)
}

// What users may write in the config block follows from the struct's tags.
func ExampleSchemaOf() {
	type account struct {
		Server   string `hcl:"server,label"`
		Password string `hcl:"password" sensitive:"true"`
	}
	type config struct {
		Region  string    `hcl:"region" doc:"where jobs run"`
		Retries int       `hcl:"retries,optional" default:"3"`
		Account []account `hcl:"account,block"`
	}
	schema, err := plugin.SchemaOf(config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range schema.Attributes {
		fmt.Printf("%s %s %t %q\n", a.Name, a.Type, a.Required, a.Default)
	}
	for _, b := range schema.Blocks {
		fmt.Println(b.Type, b.Labels, b.Repeated, b.Schema.Attributes[0].Name, b.Schema.Attributes[0].Sensitive)
	}
	// Output:
	// region "string" true ""
	// retries "number" false "3"
	// account [server] true password true
}

// A test of an engine's way over the wire needs no process.
func ExampleRegisterEngine() {
	engine := memengine.New()
	defer engine.Close()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	plugin.RegisterEngine(server, engine, nil)
	go server.Serve(listener)
	defer server.Stop()
	conn, err := grpc.NewClient("passthrough:///wire", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	client := plugin.NewClient(conn)
	a, err := client.Create(&atom.EngineCreateRequest{Image: memengine.Image, Command: []string{"exit", "3"}})
	if err == nil {
		a, err = client.Wait(&atom.EngineWaitRequest{ID: a.ID()})
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	code, _ := json.Marshal(atom.InfoOf(a).ExitCode)
	fmt.Println(a.Result(), string(code))
	// Output: failure 3
}
