package atom_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// A program written against the first six-method interface, with its names
// alone. It has to compile as it stands, for ever: never adapt it.

type oldAtom struct {
	id      string
	state   atom.State
	result  atom.Result
	created time.Time
	engine  atom.Engine
}

func (a *oldAtom) ID() string           { return a.id }
func (a *oldAtom) State() atom.State    { return a.state }
func (a *oldAtom) Result() atom.Result  { return a.result }
func (a *oldAtom) CreatedAt() time.Time { return a.created }
func (a *oldAtom) StartedAt() time.Time { return a.created }
func (a *oldAtom) StoppedAt() time.Time { return time.Time{} }
func (a *oldAtom) Engine() atom.Engine  { return a.engine }

type oldEngine struct {
	atoms map[string]*oldAtom
}

func (e *oldEngine) Get(req *atom.EngineGetRequest) (atom.Atom, error) {
	if a, ok := e.atoms[req.ID]; ok {
		return a, nil
	}
	return nil, errors.New("no such atom")
}

func (e *oldEngine) List(req *atom.EngineListRequest) ([]atom.Atom, error) {
	var atoms []atom.Atom
	for _, a := range e.atoms {
		if a.created.Before(req.Since) || !req.Before.IsZero() && !a.created.Before(req.Before) {
			continue
		}
		atoms = append(atoms, a)
	}
	return atoms, nil
}

func (e *oldEngine) Create(req *atom.EngineCreateRequest) (atom.Atom, error) {
	if req.Spec.HasMounts() && req.Spec.Mounts[0].Type != container.MountTypeBind {
		return nil, errors.New("bind mounts only")
	}
	if req.Spec.HasEnv() && req.Spec.Env["FAIL"] != "" {
		return nil, errors.New("asked to fail")
	}
	a := &oldAtom{
		id: req.Name + "@" + req.Image + "#" + strings.Join(req.Command, ","), state: atom.Running, result: atom.Unknown,
		created: time.Now(), engine: e,
	}
	e.atoms[a.id] = a
	return a, nil
}

func (e *oldEngine) Wait(req *atom.EngineWaitRequest) (atom.Atom, error) {
	select {
	case <-req.Context.Done():
		return nil, req.Context.Err()
	default:
	}
	return e.Get(&atom.EngineGetRequest{ID: req.ID})
}

func (e *oldEngine) Stop(req *atom.EngineStopRequest) error {
	a, ok := e.atoms[req.ID]
	if !ok {
		return errors.New("no such atom")
	}
	a.state, a.result = atom.Stopped, atom.Terminated
	if req.Force || req.Timeout == time.Nanosecond {
		a.result = atom.Killed
	}
	return nil
}

func (e *oldEngine) Logs(req *atom.EngineLogsRequest) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(req.ID + req.Since.String())), nil
}

var _ atom.Engine = (*oldEngine)(nil)

func TestProgramOfTheFirstInterface(t *testing.T) {
	var engine atom.Engine = &oldEngine{atoms: map[string]*oldAtom{}}
	a, err := engine.Create(&atom.EngineCreateRequest{
		Name: "n", Image: "alpine", Command: []string{"echo", "hi"},
		Spec: container.Spec{
			Env: map[string]string{"A": "1"}, WorkDir: "/w",
			Mounts: []container.Mount{{Type: container.MountTypeBind, Source: "/a", Target: "/b", ReadOnly: true}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: context.Background()}); err != nil {
		t.Error(err)
	}
	if list, err := engine.List(&atom.EngineListRequest{Since: time.Time{}, Before: time.Now().Add(time.Hour)}); err != nil || len(list) != 1 {
		t.Errorf("list: %v, %v", list, err)
	}
	logs, err := engine.Logs(&atom.EngineLogsRequest{ID: a.ID(), Since: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	logs.Close()
	if err := engine.Stop(&atom.EngineStopRequest{ID: a.ID(), Force: true, Timeout: time.Second}); err != nil {
		t.Error(err)
	}
	if a.Result() != atom.Killed || a.Engine() != engine || atom.Label != "cloud.caesium" {
		t.Errorf("%v, %v", a.Result(), a.Engine())
	}
	// The values are written down in databases and on wires.
	for got, want := range map[string]string{
		string(atom.Created): "created", string(atom.Running): "running", string(atom.Stopping): "stopping", string(atom.Stopped): "stopped",
		string(atom.Deleting): "deleting", string(atom.Deleted): "deleted", string(atom.Invalid): "invalid",
		string(atom.Success): "success", string(atom.Failure): "failure", string(atom.StartupFailure): "startup_failure",
		string(atom.ResourceFailure): "resource_failure", string(atom.Killed): "killed", string(atom.Terminated): "terminated", string(atom.Unknown): "unknown",
		string(container.MountTypeBind): "bind",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	// An atom of the old kind tells what it can.
	if info := atom.InfoOf(a); info.ID != a.ID() || info.State != atom.Stopped || info.ExitCode != nil || info.Name != "" {
		t.Errorf("%+v", info)
	}
}
