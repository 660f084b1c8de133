package docker

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"

	"github.com/atom-router/atom-router/atom"
)

const (
	// placeTimeout bounds making and starting a container once the image is
	// there: a daemon that takes longer is not well.
	placeTimeout = 3 * time.Minute
	// tidyTimeout bounds removing what a failed Create made.
	tidyTimeout = 15 * time.Second
	// makerGrace is how long a container may stay unstarted before a Create
	// under the same Key takes its maker for dead.
	makerGrace = 5 * time.Second
	// nameGrace bounds how long a name may be taken by a container that is
	// not to be seen.
	nameGrace = 15 * time.Second
	// placeAttempts bounds how often a Create starts over because the
	// container it met under its name vanished.
	placeAttempts = 5
)

// Create pulls the image where the policy says so, makes the container and
// starts it. A container that cannot be started is removed again, and the
// error says why: InvalidArgument where the request can never work with this
// image (no such program, no such bind source, too little memory),
// FailedPrecondition where the machine could not do it, NotFound where there
// is no such image.
//
// A Create that was cancelled leaves nothing, or, under a Key of the caller's,
// perhaps a complete atom: another Create may have got it.
func (e *Engine) Create(r *atom.EngineCreateRequest) (atom.Atom, error) {
	ctx := atom.ContextOr(r.Context)
	if err := r.Validate(); err != nil {
		return nil, err
	}
	ref, err := reference.ParseAnyReference(r.Image)
	if err != nil {
		return nil, &atom.FieldError{Field: "image", Reason: fmt.Sprintf("%q: %v", r.Image, err)}
	}
	key := r.Key
	if key == "" {
		key = atom.NewKey()
	}
	p := &placing{
		e: e, r: r, key: key, wanted: ctx,
		name:     atom.NativeName(r.Owner, key),
		hash:     r.Hash(),
		throwOut: r.Key == "",
	}
	if r.Key != "" {
		// What exists needs neither registry nor image.
		c, err := e.inspect(ctx, p.name)
		if err == nil && !untouched(c.State) && (!startFailed(c.State) || startLost(c.State)) {
			return p.judge(c)
		}
		if err != nil && !errdefs.IsNotFound(err) {
			return nil, err
		}
	}
	if err := e.ensureImage(ctx, r, ref); err != nil {
		return nil, err
	}
	return p.run()
}

// placing is one Create past its pull.
type placing struct {
	e      *Engine
	r      *atom.EngineCreateRequest
	key    string
	name   string
	hash   string
	wanted context.Context // the caller's
	// throwOut removes the atom when its caller has gone: nobody else can
	// know a random Key.
	throwOut bool
}

type placed struct {
	atom atom.Atom
	err  error
}

// run makes and starts the container apart from the caller's context: the
// daemon finishes what it was asked for even when the asker hangs up, so
// somebody has to stay and tidy up.
func (p *placing) run() (atom.Atom, error) {
	done := make(chan placed, 1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.wanted), placeTimeout)
	p.e.work.Add(1) // ends with place, within placeTimeout
	go func() {
		defer p.e.work.Done()
		defer cancel()
		a, err := p.place(ctx)
		done <- placed{a, err}
	}()
	select {
	case d := <-done:
		return d.atom, d.err
	case <-p.wanted.Done():
	}
	// Usually it is over in a moment, and the caller finds things tidy.
	grace := time.NewTimer(time.Second)
	defer grace.Stop()
	select {
	case d := <-done:
		if d.err == nil {
			return d.atom, nil
		}
	case <-grace.C:
	}
	return nil, endOf(p.wanted)
}

// place makes the container, or takes up the one that is there, and starts
// it.
func (p *placing) place(ctx context.Context) (atom.Atom, error) {
	unlock, err := p.e.names.lock(p.wanted, p.name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for range placeAttempts {
		var id string
		var started bool
		if id, started, err = p.make(ctx); err != nil {
			return nil, err
		}
		if !started && p.wanted.Err() != nil {
			p.tidy(id, false)
			return nil, endOf(p.wanted)
		}
		if !started {
			err = p.start(ctx, id)
		}
		if errdefs.IsNotFound(err) {
			// Whoever made it could not start it and removed it: try for
			// ourselves.
			continue
		}
		if err != nil {
			return nil, err
		}
		c, err := p.e.inspect(ctx, id)
		switch {
		case errdefs.IsNotFound(err):
			return nil, atom.Errorf(errdefs.ErrUnavailable, "the container was removed by someone else right after its start")
		case err != nil:
			return nil, &atom.OutcomeUnknown{Key: p.key, Err: err}
		case untouched(c.State): // of all starts, the one that failed without a trace
			return nil, &atom.OutcomeUnknown{Key: p.key, Err: atom.Errorf(errdefs.ErrUnavailable, "the Docker daemon lost its containerd while it started the container")}
		}
		if p.wanted.Err() != nil && p.throwOut {
			p.tidy(id, true)
			return nil, endOf(p.wanted)
		}
		return p.judge(c)
	}
	return nil, err
}

// make gives the ID of the container under our name that is to be started: a
// new one, or one that a Create under the same Key made and perhaps started.
func (p *placing) make(ctx context.Context) (id string, started bool, err error) {
	api, err := p.e.daemon.connect(ctx)
	if err != nil {
		return "", false, err
	}
	var last error
	volumes := 0 // how often another Create was first to make one
	for deadline := time.Now().Add(nameGrace); ; {
		if last != nil && time.Now().After(deadline) {
			return "", false, atom.Errorf(errdefs.ErrUnavailable, "the container's name is being taken or let go of; try again: %w", last)
		}
		if p.r.Spec.Resources.GPUs > 0 && p.e.daemon.podman.Load() {
			return "", false, atom.Errorf(errdefs.ErrNotImplemented, "Podman gives no GPUs through Docker's API")
		}
		var reached atomic.Bool
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { reached.Store(true) }})
		made, err := api.ContainerCreate(traced, p.e.configFor(p.r, time.Now()), p.e.hostConfigFor(p.r), nil, nil, p.name)
		if err == nil {
			for _, w := range made.Warnings {
				p.e.log.Debug("the daemon warns", "container", p.name, "warning", w)
			}
			return made.ID, false, nil
		}
		last = p.createFault(ctx, err, reached.Load())
		if volumeTaken(err) && volumes < volumeTries {
			volumes++ // it is there now
			continue
		}
		if !nameTaken(err) {
			return "", false, last
		}
		c, err := p.e.inspect(ctx, p.name)
		if errdefs.IsNotFound(err) {
			// It is gone meanwhile, or not to be seen yet: Docker takes the
			// name first.
			if err := pause(p.wanted, 50*time.Millisecond); err != nil {
				return "", false, err
			}
			continue
		}
		if err != nil {
			return "", false, err
		}
		if _, err := p.judge(c); err != nil {
			return "", false, err
		}
		c, err = p.leaveToMaker(ctx, c)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return "", false, err
		}
		if startLost(c.State) {
			return c.ID, true, nil // a second start would be a second run
		}
		if startFailed(c.State) {
			// A start that failed and was not tidied up: a new one may fare
			// better, and says why if not.
			p.tidy(c.ID, false)
			continue
		}
		return c.ID, !untouched(c.State), nil
	}
}

// leaveToMaker gives another router that is just making the container the
// time to start it. Starting it too could run a short job twice: Docker
// starts again what has ended in between.
func (p *placing) leaveToMaker(ctx context.Context, c container.InspectResponse) (container.InspectResponse, error) {
	deadline := time.NewTimer(makerGrace - min(makerGrace, time.Since(createdAt(c))))
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for untouched(c.State) {
		select {
		case <-p.wanted.Done():
			return c, endOf(p.wanted)
		case <-deadline.C:
			return c, nil
		case <-tick.C:
		}
		var err error
		if c, err = p.e.inspect(ctx, c.ID); err != nil {
			return c, err
		}
	}
	return c, nil
}

// judge says what an existing container under our name is to this request.
func (p *placing) judge(c container.InspectResponse) (atom.Atom, error) {
	switch {
	case !ours(c, p.r.Owner):
		return nil, atom.Errorf(errdefs.ErrAlreadyExists, "the name %s is taken by a container that is no atom of this owner", p.name)
	case c.Config.Labels[atom.LabelHash] != p.hash:
		return nil, atom.Errorf(errdefs.ErrAlreadyExists, "key %q was used for another request, which made atom %.12s", p.key, c.ID)
	case c.State.Status == container.StateRemoving, c.State.Dead:
		return nil, atom.Errorf(errdefs.ErrUnavailable, "the atom made under key %q is being removed; try again", p.key)
	}
	return p.e.atomOf(c), nil
}

// start starts a container that has never run. One that cannot be started is
// removed.
func (p *placing) start(ctx context.Context, id string) error {
	api, err := p.e.daemon.connect(ctx)
	if err != nil {
		return &atom.OutcomeUnknown{Key: p.key, Err: err}
	}
	err = api.ContainerStart(ctx, id, container.StartOptions{})
	if err == nil {
		return nil
	}
	fault := p.e.daemon.fault(ctx, err)
	switch {
	case ctx.Err() != nil, isConnectionError(err):
		return &atom.OutcomeUnknown{Key: p.key, Err: fault}
	case errdefs.IsNotFound(err) && strings.Contains(daemonText(err), "No such container"):
		return fault
	case mayHaveProcess(daemonText(err)):
		p.e.log.Warn("the daemon has lost sight of a container's process", "container", id, "error", fault)
		return nil // what there is says so: see startLost
	}
	if !p.tidy(id, false) {
		// It is an atom for as long as it is there: the next attempt under the
		// Key clears it away, or finds that another one runs it.
		return &atom.OutcomeUnknown{Key: p.key, Err: startFault(fault)}
	}
	return startFault(fault)
}

// startFault says that a start failed. What the daemon finds wrong with the
// request stays InvalidArgument; its other complaints, NotFound of a network
// among them, are about the machine.
func startFault(err error) error {
	text := startText(err.Error())
	switch {
	case errdefs.IsResourceExhausted(err):
		return atom.Errorf(errdefs.ErrResourceExhausted, "the container could not be started: %s", text)
	case errdefs.IsInvalidArgument(err):
		return atom.Errorf(errdefs.ErrInvalidArgument, "the container could not be started: %s", text)
	}
	return atom.Errorf(errdefs.ErrFailedPrecondition, "the container could not be started: %s", text)
}

// startText leaves out the layers of runtimes that each put their name before
// the reason.
func startText(text string) string {
	for _, noise := range []string{
		"failed to create shim task: ", "failed to create shim: ", "OCI runtime create failed: ", "runc create failed: ",
		"container_linux.go:380: ", "unable to start container process: ", "starting container process caused: ",
	} {
		text = strings.ReplaceAll(text, noise, "")
	}
	return strings.TrimSuffix(text, ": unknown")
}

// createFault says why no container was made.
func (p *placing) createFault(ctx context.Context, err error, reached bool) error {
	fault := p.e.daemon.fault(ctx, err)
	text := daemonText(err)
	switch {
	case ctx.Err() != nil, isConnectionError(err) && reached:
		return &atom.OutcomeUnknown{Key: p.key, Err: fault}
	case strings.Contains(text, "memory limit"):
		return &atom.FieldError{Field: "spec.resources.memory", Reason: text}
	case strings.Contains(text, "Range of CPUs"):
		return &atom.FieldError{Field: "spec.resources.cpu", Reason: text}
	case strings.Contains(text, "bind source path does not exist"):
		return &atom.FieldError{Field: "spec.mounts", Reason: text}
	case errdefs.IsNotFound(err):
		return atom.Errorf(errdefs.ErrNotFound, "image %q: %s", p.r.Image, text)
	}
	return fault
}

// tidy removes a container that no caller will hear of, and reports whether it
// is gone. Without force one that runs by now stays: another Create under the
// same Key took it up.
func (p *placing) tidy(id string, force bool) (gone bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.wanted), tidyTimeout)
	defer cancel()
	api, err := p.e.daemon.connect(ctx)
	if err == nil {
		err = api.ContainerRemove(ctx, id, container.RemoveOptions{Force: force, RemoveVolumes: true})
	}
	if err == nil || isGone(err) {
		return true
	}
	if !errors.Is(err, context.Canceled) {
		p.e.log.Warn("a container that was not started stays behind", "container", id, "error", err)
	}
	return false
}
