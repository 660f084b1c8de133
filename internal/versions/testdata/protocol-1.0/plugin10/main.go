// Command plugin10 is a plugin as its author built it with protocol 1.0: its
// atoms print and end at once, with code 3.
package main

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
)

type config struct {
	Word string `hcl:"word"`
}

func main() {
	plugin.Serve(plugin.Plugin[config]{
		Name: "plugin10", Version: "1", Capabilities: can(),
		New: func(_ context.Context, c config, _ hclog.Logger) (atom.Engine, error) {
			if c.Word != "hello" {
				return nil, &atom.FieldError{Field: "word", Reason: "is not hello"}
			}
			return &engine{atoms: map[string]entry{}}, nil
		},
	})
}

func can() atom.Capabilities { return atom.Capabilities{atom.CapDelete, atom.CapLookup} }

type entry struct {
	owner string
	req   atom.EngineCreateRequest
	info  atom.Info
}

type engine struct {
	mu    sync.Mutex
	atoms map[string]entry // by owner and key
}

func (e *engine) Probe(context.Context) (atom.Capabilities, error) { return can(), nil }

func (e *engine) Create(r *atom.EngineCreateRequest) (atom.Atom, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	req := *r
	req.Context = nil
	id := r.Owner + "." + r.Key
	if was, ok := e.atoms[id]; ok {
		if !reflect.DeepEqual(was.req, req) {
			return nil, atom.Errorf(errdefs.ErrAlreadyExists, "another request has the key %s", r.Key)
		}
		return atom.New(was.info, e), nil
	}
	code, now := 3, time.Unix(100, 0)
	info := atom.Info{
		ID: id, Name: r.Name, Image: r.Image, Labels: r.Spec.Labels, Rule: r.Rule, State: atom.Stopped, Result: atom.Failure,
		ExitCode: &code, Message: "as always", CreatedAt: now, StartedAt: now.Add(1), StoppedAt: now.Add(2),
	}
	e.atoms[id] = entry{r.Owner, req, info}
	return atom.New(info, e), nil
}

func (e *engine) find(owner, id string) (entry, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	found, ok := e.atoms[id]
	if !ok || found.owner != owner {
		return entry{}, atom.Errorf(errdefs.ErrNotFound, "there is no atom %s", id)
	}
	return found, nil
}

func (e *engine) Get(r *atom.EngineGetRequest) (atom.Atom, error) {
	found, err := e.find(r.Owner, r.ID)
	if err != nil {
		return nil, err
	}
	return atom.New(found.info, e), nil
}

func (e *engine) Lookup(r *atom.EngineLookupRequest) (atom.Atom, error) {
	return e.Get(&atom.EngineGetRequest{Owner: r.Owner, ID: r.Owner + "." + r.Key})
}

func (e *engine) Wait(r *atom.EngineWaitRequest) (atom.Atom, error) {
	return e.Get(&atom.EngineGetRequest{Owner: r.Owner, ID: r.ID})
}

func (e *engine) Stop(r *atom.EngineStopRequest) error {
	_, err := e.find(r.Owner, r.ID)
	return err
}

func (e *engine) Delete(r *atom.EngineDeleteRequest) error {
	_, err := e.find(r.Owner, r.ID)
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.atoms, r.ID)
	return err
}

func (e *engine) List(r *atom.EngineListRequest) ([]atom.Atom, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []atom.Atom
	for _, found := range e.atoms {
		if found.owner == r.Owner && !found.info.CreatedAt.Before(r.Since) {
			all = append(all, atom.New(found.info, e))
		}
	}
	return all, nil
}

func (e *engine) Logs(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
	found, err := e.find(r.Owner, r.ID)
	if err != nil {
		return nil, err
	}
	return atom.NewLogReader(&output{left: []atom.LogChunk{
		{Stream: atom.Stdout, Time: found.info.StartedAt, Data: fmt.Appendln(nil, found.req.Command[1]), Cursor: "1"},
		{Stream: atom.Stderr, Time: found.info.StartedAt, Data: []byte("and more\n"), Cursor: "2"},
	}}, r.Timestamps), nil
}

type output struct{ left []atom.LogChunk }

func (o *output) Next() (atom.LogChunk, error) {
	if len(o.left) == 0 {
		return atom.LogChunk{}, io.EOF
	}
	next := o.left[0]
	o.left = o.left[1:]
	return next, nil
}

func (o *output) Close() error { return nil }
