package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/health"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/tracing"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

const (
	// reloadTimeout bounds a reload, whose new backends have to start.
	reloadTimeout = time.Minute
	// flushTime is for answers to go out when the daemon ends.
	flushTime = time.Second
)

// Options say what to serve.
type Options struct {
	// ConfigPath is the config, which Reload reads again.
	ConfigPath string
	// Router is for the router; its Logger is the daemon's, too.
	Router router.Options
	// Version is this program's, for the metrics.
	Version string
	// Tracer makes the daemon's part of traces; nil makes none.
	Tracer *tracing.Tracer
}

// Daemon serves a router. Its methods may be called from any number of
// goroutines.
type Daemon struct {
	options Options
	log     hclog.Logger
	engine  *router.Engine
	gate    *gate
	health  *health.Server
	servers []*server
	metrics *metrics // nil where the config asks for none
	serving sync.WaitGroup
	failed  chan error
	life    context.Context
	end     context.CancelFunc

	turn  chan struct{} // holds one token: one reload, or end, at a time
	serve config.Serve
	ended bool
}

// read reads the config and says all that is to be said about it.
func read(o Options) (*config.File, config.Diagnostics) {
	file, diags := config.Read(o.ConfigPath)
	if !o.Router.AllowAttach {
		diags = append(diags, file.CheckAttach()...)
	}
	return file, diags
}

// Start reads the config, listens, and starts every plugin. Its error says all
// that is wrong with the config, config.Diagnostics, or what keeps it from
// listening; nothing is left behind then. ctx bounds Start alone.
func Start(ctx context.Context, o Options) (d *Daemon, err error) {
	if o.Router.Logger == nil {
		o.Router.Logger = hclog.NewNullLogger()
	}
	file, diags := read(o)
	if len(diags.Errors()) > 0 {
		return nil, diags
	}
	d = &Daemon{options: o, log: o.Router.Logger, serve: file.Serve, health: health.NewServer(), failed: make(chan error, 1), turn: make(chan struct{}, 1)}
	d.life, d.end = context.WithCancel(context.Background())
	d.warn(diags)
	if d.engine, err = router.New(ctx, file.Config, d.observed(o.Router)); err != nil {
		return nil, err
	}
	d.gate = &gate{engine: d.engine, reload: d.Reload, log: d.log}
	d.gate.access.Store(&file.Serve.Access)
	defer func() {
		if err != nil {
			d.abandon()
			d = nil
		}
	}()
	written, err := openAudit(d.serve.AuditLog, d.log)
	if err != nil {
		return d, fmt.Errorf("the audit log: %w", err)
	}
	d.gate.auditing.Store(written)
	if err := d.openMetrics(file); err != nil {
		return d, err
	}
	given, err := inherit()
	if err != nil {
		return d, err
	}
	defer func() { given.close() }() // of what is left over
	listen := d.serve.Listen
	if len(listen) == 0 {
		listen = given.listen()
	}
	if len(listen) == 0 {
		path, err := DefaultSocket()
		if err != nil {
			return d, err
		}
		listen = []config.Listen{{Path: path}}
	}
	for _, l := range listen {
		s, err := open(l, given.take(l), d.gate, d.health, d.log, o.Tracer.ServerOptions()...)
		if err != nil {
			return d, err
		}
		d.servers = append(d.servers, s)
	}
	if err := given.rest(); err != nil {
		return d, err
	}
	for _, s := range d.servers {
		d.log.Info("listening", "address", s.at.String())
		d.serving.Go(func() {
			if err := s.grpc.Serve(s.listener); err != nil {
				select {
				case d.failed <- fmt.Errorf("serving at %s: %w", s.at, err):
				default:
				}
			}
		})
	}
	d.serving.Go(func() { _, _ = d.engine.ProbeBackends(d.life) }) // the backends' states tell
	d.tell("READY=1", d.status())
	return d, nil
}

// abandon undoes what Start did so far.
func (d *Daemon) abandon() {
	d.end()
	for _, s := range d.servers {
		s.grpc.Stop()
		_ = s.listener.Close()
	}
	d.metrics.close()
	d.serving.Wait()
	_ = d.engine.Close()
	_ = d.gate.auditing.Load().close()
}

// warn tells what is odd in a config.
func (d *Daemon) warn(diags config.Diagnostics) (warnings []string) {
	for _, one := range diags {
		warnings = append(warnings, textOf(config.Diagnostics{one}))
		d.log.Warn("config", "problem", one.Summary, "line", one.Range.Start.Line)
	}
	return warnings
}

func textOf(diags config.Diagnostics) string {
	var text strings.Builder
	_ = diags.WriteText(&text, false) // a Builder takes it all
	return strings.TrimSpace(text.String())
}

// Addresses are where it listens, as clients write it.
func (d *Daemon) Addresses() []string {
	var all []string
	for _, s := range d.servers {
		if s.at.Path != "" {
			all = append(all, s.at.String())
		} else {
			all = append(all, s.listener.Addr().String())
		}
	}
	return all
}

// Failed gives the error of a listener that cannot go on.
func (d *Daemon) Failed() <-chan error { return d.failed }

// Reload reads the config again and turns to it: backends and rules, access,
// drain_timeout and the audit log, whose file is opened anew. Where anything is
// wrong nothing changes, and the error, InvalidArgument, says all that is.
func (d *Daemon) Reload(ctx context.Context) (warnings []string, err error) {
	// Not for as long as the daemon ends: that waits for calls under way.
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-d.life.Done():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if d.life.Err() != nil {
		return nil, atom.Errorf(errdefs.ErrUnavailable, "the daemon is shutting down")
	}
	d.tell("RELOADING=1")
	defer d.tell("READY=1", d.status())
	defer func() {
		if err != nil {
			d.log.Error("the config was not replaced", "error", err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	defer context.AfterFunc(d.life, cancel)()
	file, diags := read(d.options)
	if len(diags.Errors()) > 0 {
		return nil, atom.Errorf(errdefs.ErrInvalidArgument, "nothing was changed:\n%s", textOf(diags))
	}
	if !slices.Equal(file.Serve.Listen, d.serve.Listen) || file.Serve.Metrics != d.serve.Metrics {
		return nil, atom.Errorf(errdefs.ErrInvalidArgument, "nothing was changed: listeners are opened when the daemon starts; restart it for other listen and metrics blocks")
	}
	written, err := openAudit(file.Serve.AuditLog, d.log)
	if err != nil {
		return nil, atom.Errorf(errdefs.ErrInvalidArgument, "nothing was changed: the audit log: %w", err)
	}
	if err := d.engine.Reload(ctx, file.Config); err != nil {
		return nil, errors.Join(err, written.close())
	}
	d.serve = file.Serve
	d.gate.access.Store(&file.Serve.Access)
	d.metrics.count(file)
	old := d.gate.auditing.Swap(written)
	if err := old.close(); err != nil {
		d.log.Warn("closing the audit log", "error", err)
	}
	return d.warn(diags), nil
}

// Stop ends the daemon: no new atoms are taken, and calls under way go on
// until they have ended, drain_timeout has passed, or ctx ends. Then Waits and
// Logs end with Unavailable and the plugins are stopped; atoms are not touched.
// It may be called more than once.
func (d *Daemon) Stop(ctx context.Context) error {
	d.gate.draining.Store(true)
	d.health.Shutdown() // NOT_SERVING from now on
	d.end()             // a Reload under way
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if d.ended {
		return nil
	}
	d.ended = true
	d.tell("STOPPING=1", "STATUS=Shutting down")
	d.log.Info("shutting down", "drain_timeout", d.serve.DrainTimeout)
	ctx, cancel := context.WithTimeout(ctx, d.serve.DrainTimeout)
	if d.gate.settled(ctx) != nil {
		d.log.Info("calls are ended that are under way")
	}
	cancel()
	// At once: a client goes on with the next daemon when its connection has
	// ended, and a plugin that hangs may take long to be ended.
	var stopping sync.WaitGroup
	for _, s := range d.servers {
		stopping.Go(func() { s.stop(flushTime) })
	}
	err := d.engine.Close()
	stopping.Wait()
	d.metrics.close()
	d.serving.Wait()
	return errors.Join(err, d.gate.auditing.Load().close())
}
