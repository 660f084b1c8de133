package router

import (
	"context"
	"errors"

	"github.com/containerd/errdefs"
)

// Reload replaces the config while calls are under way; it must not be
// changed afterwards. A Create is decided by the old rules or by the new ones,
// never by some of both.
//
// Backends whose plugin and settings are the same go on, whatever else of
// them changes. Those that are new or changed are started first and have to
// answer a probe, except one that is as unreachable as what it replaces.
// Otherwise nothing is changed, and the error says why: it is
// InvalidArgument where config is wrong, and joins one *atom.OpError for each
// backend that did not get ready.
//
// Backends that are removed or changed take no new atoms. What is under way
// at them goes on, Waits and Logs to their ends, and their plugins end with
// the last of it. Until then calls for the atoms of a removed backend are
// answered; afterwards they are NotFound.
//
// ctx bounds what Reload starts. One Reload runs at a time; others wait.
func (e *Engine) Reload(ctx context.Context, config Config) error {
	select {
	case e.reloading <- struct{}{}:
		defer func() { <-e.reloading }()
	case <-ctx.Done():
		return opError("reload", "", "", ctx.Err())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)() // Close ends it
	e.mu.Lock()
	old := e.now // which only Reload replaces
	e.mu.Unlock()
	next, fresh, err := newTable(config, e.options, old)
	if err != nil {
		return opError("reload", "", "", err)
	}
	errs := make([]error, len(fresh))
	each(fresh, func(n int, b *backend) { errs[n] = tryOut(ctx, b, old.byName[b.conf.Name]) })
	err = errors.Join(errs...)
	switch {
	case e.life.Err() != nil:
		err = opError("reload", "", "", errClosed())
	case ctx.Err() != nil:
		err = opError("reload", "", "", ctx.Err())
	}
	if err == nil && !e.turnTo(next) {
		err = opError("reload", "", "", errClosed())
	}
	if err != nil {
		each(fresh, func(_ int, b *backend) { b.close() })
		return err
	}
	e.options.Logger.Info("config replaced", "backends", len(next.backends), "started", len(fresh), "rules", len(next.config.Rules))
	select {
	case e.replaced <- struct{}{}:
	default: // it has been told, and has not looked yet
	}
	return nil
}

// tryOut starts a backend and probes it. before is what it replaces, or nil.
func tryOut(ctx context.Context, b, before *backend) error {
	err := answers(ctx, b)
	if err == nil || ctx.Err() != nil {
		return opError("reload", b.conf.Name, "", err)
	}
	if before != nil && errdefs.IsUnavailable(err) && errdefs.IsUnavailable(answers(ctx, before)) {
		b.log.Warn("backend is taken in unready, as it was before", "error", err)
		return nil
	}
	return opError("reload", b.conf.Name, "", err)
}

// answers starts a backend where it is not, and asks whether what stands
// behind it is there.
func answers(ctx context.Context, b *backend) error {
	i, err := b.instance(ctx)
	if err != nil {
		return err
	}
	_, err = i.probe(ctx)
	if ctx.Err() == nil {
		b.note(i, err)
	}
	return err
}
