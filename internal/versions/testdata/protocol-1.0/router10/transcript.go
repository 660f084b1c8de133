package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// engine is an engine with all optional interfaces.
type engine interface {
	atom.Engine
	atom.Deleter
	atom.Lookuper
	atom.Prober
}

// transcript goes through all calls of an engine and writes down what came of
// them.
func transcript(w io.Writer, e engine) {
	say := func(call, format string, args ...any) {
		fmt.Fprintf(w, "%-7s %s\n", call, fmt.Sprintf(format, args...))
	}
	can, err := e.Probe(context.Background())
	say("probe", "%v %v", can, err)
	create := &atom.EngineCreateRequest{
		Owner: "o", Key: "k", Name: "n", Image: "i", Command: []string{"print", "hello"}, Rule: "r",
		Spec: container.Spec{
			Env: map[string]string{"A": "1"}, WorkDir: "/", Entrypoint: []string{"sh"}, User: "u", Labels: map[string]string{"l": "v"},
			Mounts:     []container.Mount{{Type: container.MountTypeBind, Source: "/s", Target: "/t", ReadOnly: true}},
			Resources:  container.Resources{CPU: 1.5, Memory: 1 << 20, GPUs: 1},
			PullPolicy: "always", StopTimeout: 3 * time.Second,
		},
	}
	a, err := e.Create(create)
	say("create", "%s", show(a, err))
	if err != nil {
		return
	}
	again, err := e.Create(create)
	say("create", "%s", show(again, err))
	create.Image = "another"
	_, err = e.Create(create)
	say("create", "already exists: %t, %v", errdefs.IsAlreadyExists(err), err)
	found, err := e.Lookup(&atom.EngineLookupRequest{Owner: "o", Key: "k"})
	say("lookup", "%s", show(found, err))
	got, err := e.Get(&atom.EngineGetRequest{Owner: "o", ID: a.ID()})
	say("get", "%s", show(got, err))
	_, err = e.Get(&atom.EngineGetRequest{Owner: "another", ID: a.ID()})
	say("get", "not found: %t, %v", errdefs.IsNotFound(err), err)
	list, err := e.List(&atom.EngineListRequest{Owner: "o", Since: time.Unix(1, 0)})
	say("list", "%d, %v", len(list), err)
	logs, err := e.Logs(&atom.EngineLogsRequest{Owner: "o", ID: a.ID()})
	if err == nil {
		var stdout, stderr strings.Builder
		err = atom.CopyLogs(&stdout, &stderr, logs)
		logs.Close()
		say("logs", "%q %q %v", stdout.String(), stderr.String(), err)
	} else {
		say("logs", "%v", err)
	}
	waited, err := e.Wait(&atom.EngineWaitRequest{Owner: "o", ID: a.ID()})
	say("wait", "%s", show(waited, err))
	err = e.Stop(&atom.EngineStopRequest{Owner: "o", ID: a.ID(), Timeout: time.Second})
	say("stop", "%v", err)
	err = e.Delete(&atom.EngineDeleteRequest{Owner: "o", ID: a.ID()})
	say("delete", "%v", err)
	fmt.Fprintln(w, "done")
}

func show(a atom.Atom, err error) string {
	if err != nil {
		return err.Error()
	}
	i := atom.InfoOf(a)
	code := "-"
	if i.ExitCode != nil {
		code = fmt.Sprint(*i.ExitCode)
	}
	return fmt.Sprintf("%s %s %s %v %s %s %s %s %q %t", i.ID, i.Name, i.Image, i.Labels, i.Rule, i.State, i.Result, code, i.Message, i.StoppedAt.After(i.CreatedAt))
}
