package docker

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/atom-router/atom-router/atom"
)

// listWorkers is how many containers a List inspects at a time.
const listWorkers = 8

// List returns the owner's atoms created in [Since, Before), oldest first. It
// filters times by itself: Docker's own since and before are not times.
func (e *Engine) List(r *atom.EngineListRequest) ([]atom.Atom, error) {
	ctx, cancel := context.WithCancel(atom.ContextOr(r.Context))
	defer cancel()
	if err := atom.ValidateOwner(r.Owner); err != nil {
		return nil, err
	}
	api, err := e.daemon.connect(ctx)
	if err != nil {
		return nil, err
	}
	all, err := e.containers(ctx, api, atom.LabelOwner+"="+atom.OwnerOr(r.Owner))
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(c container.Summary) bool {
		t, ok := createdLabel(c.Labels)
		return ok && (!r.Since.IsZero() && t.Before(r.Since) || !r.Before.IsZero() && !t.Before(r.Before))
	})

	found := make([]atom.Atom, len(all)) // nil where it vanished
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		next  int
		first error
	)
	for range min(listWorkers, len(all)) {
		wg.Go(func() { // ends with the last container, or with the first error
			for {
				mu.Lock()
				i := next
				next++
				stop := first != nil || i >= len(all)
				mu.Unlock()
				if stop {
					return
				}
				c, err := e.inspect(ctx, all[i].ID)
				switch {
				case err == nil && ours(c, r.Owner):
					found[i] = e.atomOf(c)
				case err != nil && !errdefs.IsNotFound(err):
					mu.Lock()
					if first == nil {
						first = err
						cancel()
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if first != nil {
		return nil, first
	}
	found = slices.DeleteFunc(found, func(a atom.Atom) bool { return a == nil })
	slices.SortFunc(found, func(a, b atom.Atom) int {
		return cmp.Or(a.CreatedAt().Compare(b.CreatedAt()), cmp.Compare(a.ID(), b.ID()))
	})
	return found, nil
}

// containers are those with a label, in any state.
func (e *Engine) containers(ctx context.Context, api *client.Client, label string) ([]container.Summary, error) {
	if e.daemon.podman.Load() {
		return e.daemon.podmanList(ctx, label)
	}
	all, err := api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", label))})
	return all, e.daemon.fault(ctx, err)
}
