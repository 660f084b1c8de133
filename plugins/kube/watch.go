package kube

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/backoff"
)

const (
	// pageSize is how many pods a list asks for at a time.
	pageSize = 500
	// watchSeconds is how long the API server holds a watch; up to as much
	// again comes at random, so that routers do not come back all at once.
	watchSeconds = 300
	// pollInterval is how often pods are listed where watching them is
	// forbidden.
	pollInterval = 2 * time.Second

	// refusedTime is how long the API server may refuse us before Waits end
	// with that. One that has just been started does so for a moment.
	refusedTime = 15 * time.Second
)

// watch keeps pods up to date: one list, then one watch from there on, for
// however many callers. It begins when somebody first needs it.
type watch struct {
	e     *Engine
	pods  *pods
	log   hclog.Logger
	begin sync.Once

	// Of run alone.
	refusedSince time.Time
	trouble      string // as logged last
}

func newWatch(e *Engine) *watch {
	return &watch{e: e, pods: newPods(), log: e.log}
}

// start begins watching and returns at once.
func (w *watch) start() {
	w.begin.Do(func() {
		w.e.work.Go(func() { w.run(w.e.ctx) })       // ends with the engine
		w.e.work.Go(func() { w.e.oversee(w.e.ctx) }) // likewise
	})
}

// errList says that only a new list can go on: the API server has forgotten
// the version to watch from (410).
var errList = errors.New("list again")

func (w *watch) run(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		began := time.Now()
		version, err := w.list(ctx)
		if err == nil {
			w.itIsWell()
			err = w.follow(ctx, version)
			if errors.Is(err, errList) {
				continue
			}
			if isForbidden(err) { // but listing is not
				pause(ctx, pollInterval)
				continue
			}
		}
		w.unwell(ctx, err)
		if time.Since(began) > time.Minute {
			failures = 0
		}
		failures++
		pause(ctx, backoff.Watch.After(failures, rand.Int64N))
	}
}

func (w *watch) itIsWell() {
	w.pods.setWell(true)
	w.refusedSince = time.Time{}
	if w.trouble != "" {
		w.log.Info("the pods are watched again", "namespace", w.e.api.namespace)
		w.trouble = ""
	}
}

// unwell notes that the pods cannot be relied upon until the next success.
func (w *watch) unwell(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	w.pods.setWell(false)
	fault := w.e.api.fault(ctx, err)
	if w.trouble != fault.Error() {
		w.trouble = fault.Error()
		w.log.Warn("watching the pods", "namespace", w.e.api.namespace, "error", fault)
	}
	switch {
	case !errdefs.IsPermissionDenied(fault):
		w.refusedSince = time.Time{}
	case w.refusedSince.IsZero():
		w.refusedSince = time.Now()
	case time.Since(w.refusedSince) >= refusedTime:
		w.pods.refuse(fault)
	}
}

// list replaces what is known by what there is, page by page.
func (w *watch) list(ctx context.Context) (version string, err error) {
	w.pods.listing()
	all, version, err := w.e.listPods(ctx, atom.Label)
	if err != nil {
		return "", err
	}
	w.pods.replace(all, version)
	return version, nil
}

// follow watches from a version on, for as long as one watch can follow the
// other.
func (w *watch) follow(ctx context.Context, version string) error {
	failures := 0 // in a row
	for ctx.Err() == nil {
		seconds := int64(watchSeconds + rand.IntN(watchSeconds))
		events, err := w.e.api.watch(ctx, metav1.ListOptions{
			LabelSelector: atom.Label, ResourceVersion: version, AllowWatchBookmarks: true, TimeoutSeconds: &seconds,
		})
		if err == nil {
			w.itIsWell()
			began := time.Now()
			version, err = w.take(events, version)
			events.Stop()
			if err == nil {
				if time.Since(began) < time.Second { // that is no success
					failures++
					pause(ctx, backoff.Watch.After(failures, rand.Int64N))
				} else {
					failures = 0
				}
				continue
			}
		}
		switch {
		case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
			return errList
		case isForbidden(err), apierrors.IsUnauthorized(err), apierrors.IsMethodNotSupported(err):
			return err
		}
		w.unwell(ctx, err)
		failures++
		pause(ctx, backoff.Watch.After(failures, rand.Int64N))
	}
	return ctx.Err()
}

func isForbidden(err error) bool { return apierrors.IsForbidden(err) }

// take takes a watch's events until it ends, and returns the version to go on
// from.
func (w *watch) take(events kwatch.Interface, version string) (string, error) {
	for event := range events.ResultChan() {
		switch event.Type {
		case kwatch.Error:
			return version, apierrors.FromObject(event.Object)
		case kwatch.Bookmark, kwatch.Added, kwatch.Modified, kwatch.Deleted:
		default:
			continue
		}
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			return version, apierrors.NewInternalError(errors.New("a watch of pods gave something else"))
		}
		version = pod.ResourceVersion
		switch event.Type {
		case kwatch.Deleted:
			w.pods.remove(w.e.settings.recordOf(pod))
		case kwatch.Added, kwatch.Modified:
			w.pods.put(w.e.settings.recordOf(pod))
		}
	}
	return version, nil
}

// pause sleeps, or returns early with ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
