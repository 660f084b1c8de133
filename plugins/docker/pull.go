package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"

	"github.com/atom-router/atom-router/atom"
	spec "github.com/atom-router/atom-router/atom/container"
)

// ensureImage makes sure that the daemon has the image, by the policy.
func (e *Engine) ensureImage(ctx context.Context, r *atom.EngineCreateRequest, ref reference.Reference) error {
	name, policy := r.Image, r.Spec.PullPolicy
	if policy != spec.PullAlways {
		api, err := e.daemon.connect(ctx)
		if err != nil {
			return err
		}
		_, err = api.ImageInspect(ctx, name)
		if err == nil {
			return nil
		}
		if !errdefs.IsNotFound(err) {
			return e.daemon.fault(ctx, err)
		}
		if policy == spec.PullNever {
			return atom.Errorf(errdefs.ErrNotFound, "image %q is not on the Docker daemon, and the pull policy is never", name)
		}
	}
	named, ok := ref.(reference.Named)
	if !ok {
		return atom.Errorf(errdefs.ErrNotFound, "image %q is not on the Docker daemon, and an image cannot be pulled by its ID", name)
	}
	if err := e.pulls.get(ctx, named, r.Progress); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("image %q: %w", name, err)
	}
	return nil
}

// pulls shares the pulls in progress: Creates of one image at the same time
// cause one. A pull goes on while any of them wants it.
type pulls struct {
	e  *Engine
	mu sync.Mutex
	on map[string]*pull
}

type pull struct {
	cancel context.CancelFunc
	wanted int // guarded by pulls.mu
	done   chan struct{}
	err    error // set before done is closed

	// latest is how it gets on, and moved is closed when there is a later
	// one; both guarded by pulls.mu.
	latest atom.Progress
	moved  chan struct{}
}

func newPulls(e *Engine) *pulls { return &pulls{e: e, on: make(map[string]*pull)} }

// get returns when the image was pulled, or with ctx's error. tell, unless it is
// nil, is told how it gets on, from this goroutine.
func (ps *pulls) get(ctx context.Context, named reference.Named, tell func(atom.Progress)) error {
	name := reference.TagNameOnly(named).String()
	ps.mu.Lock()
	p := ps.on[name]
	if p == nil {
		pullCtx, cancel := context.WithCancel(ps.e.ctx)
		p = &pull{cancel: cancel, done: make(chan struct{}), moved: make(chan struct{})}
		p.latest = atom.Progress{Phase: atom.PhasePulling, Text: "pulling " + name}
		ps.on[name] = p
		ps.e.work.Add(1) // ends with the pull, which ends with pullCtx
		go func() {
			defer ps.e.work.Done()
			defer cancel()
			p.err = ps.e.pullImage(pullCtx, named, name, func(now atom.Progress) { ps.note(p, now) })
			ps.drop(name, p)
			close(p.done)
		}()
	}
	p.wanted++
	ps.mu.Unlock()

	if ps.follow(ctx, p, tell) {
		return p.err
	}
	ps.mu.Lock()
	p.wanted--
	last := p.wanted == 0
	if last && ps.on[name] == p {
		// A Create that comes now begins a pull of its own rather than
		// joining one that is being ended.
		delete(ps.on, name)
	}
	ps.mu.Unlock()
	if last {
		p.cancel()
	}
	return endOf(ctx)
}

// follow reports whether the pull ended before ctx did.
func (ps *pulls) follow(ctx context.Context, p *pull, tell func(atom.Progress)) bool {
	for {
		var moved chan struct{} // nil where nobody is told
		if tell != nil {
			ps.mu.Lock()
			now := p.latest
			moved = p.moved
			ps.mu.Unlock()
			tell(now)
		}
		select {
		case <-p.done:
			return true
		case <-ctx.Done():
			return false
		case <-moved:
		}
	}
}

// note tells all who follow the pull.
func (ps *pulls) note(p *pull, now atom.Progress) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p.latest = now
	close(p.moved)
	p.moved = make(chan struct{})
}

func (ps *pulls) drop(name string, p *pull) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.on[name] == p {
		delete(ps.on, name)
	}
}

// pullImage has the daemon pull an image and reads its report to the end: an
// error may stand in it.
func (e *Engine) pullImage(ctx context.Context, named reference.Named, name string, tell func(atom.Progress)) error {
	auth, err := e.creds.header(ctx, named)
	if err != nil {
		return err
	}
	api, err := e.daemon.connect(ctx)
	if err != nil {
		return err
	}
	e.log.Info("pulling", "image", name)
	began := time.Now()
	body, err := api.ImagePull(ctx, name, image.PullOptions{RegistryAuth: auth})
	if err != nil {
		return e.pullFault(ctx, err)
	}
	defer body.Close()
	layers := newLayers(name)
	decoder := json.NewDecoder(body)
	for {
		var m pullMessage
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			e.log.Info("pulled", "image", name, "took", time.Since(began).Round(time.Millisecond).String())
			return nil
		}
		if err != nil {
			if ctx.Err() == nil && !isConnectionError(err) {
				return atom.Errorf(errdefs.ErrInternal, "pull: the daemon's report makes no sense: %w", err)
			}
			return e.daemon.fault(ctx, err)
		}
		if m.Error != nil {
			return e.pullFault(ctx, m.Error)
		}
		if layers.note(m) {
			tell(layers.progress())
		}
		if text, ok := layers.logged(); ok {
			e.log.Info("pulling", "image", name, "progress", text)
		}
	}
}

// pullMessage is one line of the daemon's report on a pull.
type pullMessage struct {
	ID       string         `json:"id"`
	Status   string         `json:"status"`
	Progress *layerProgress `json:"progressDetail"`
	Error    *pullError     `json:"errorDetail"`
}

type pullError struct {
	Message string `json:"message"`
}

func (e *pullError) Error() string { return e.Message }

// pullFault says why an image could not be pulled, in the registry's words.
// The daemon passes them on in no fixed form, and with status 500 or inside a
// stream that began well, so the class is read out of the words.
func (e *Engine) pullFault(ctx context.Context, err error) error {
	var streamed *pullError
	if ctx.Err() != nil || !errors.As(err, &streamed) && isConnectionError(err) {
		return e.daemon.fault(ctx, err)
	}
	text := daemonText(err)
	lower := strings.ToLower(text)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(lower, w) {
				return true
			}
		}
		return false
	}
	var class error = errdefs.ErrInternal
	switch {
	case has("pull access denied"): // Docker's answer also where there is no such repository
		class = errdefs.ErrNotFound
	case has("toomanyrequests", "too many requests", "429"):
		class = errdefs.ErrUnavailable
	case has("unauthorized", "authentication required", "no basic auth credentials", "incorrect username or password", "denied", "forbidden"):
		class = errdefs.ErrPermissionDenied
	case has("manifest unknown", "name unknown", "not found", "no matching manifest", "does not exist"):
		class = errdefs.ErrNotFound
	case isExhausted(text):
		class = errdefs.ErrResourceExhausted
	case has("dial tcp", "connection refused", "connection reset", "i/o timeout", "no such host", "network is unreachable", "tls handshake",
		"request canceled", "deadline exceeded", "unexpected eof", ": eof", "server misbehaving", "bad gateway", "service unavailable",
		"internal server error", "gateway timeout", "http response to https client", "x509:", "502", "503", "504"):
		class = errdefs.ErrUnavailable
	case errdefs.IsInvalidArgument(err):
		class = errdefs.ErrInvalidArgument
	}
	return atom.Errorf(class, "pull: %s", text)
}
