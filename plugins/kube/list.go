package kube

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
)

// firstPage is how many pods a list asks for that somebody waits for the first
// of.
const firstPage = 50

// List returns the owner's atoms created in [Since, Before), oldest first: as
// the watch has them, and as the API server has them where that cannot be
// relied upon.
func (e *Engine) List(r *atom.EngineListRequest) ([]atom.Atom, error) {
	return atom.SortedList(e, r)
}

// StreamList is List, page by page where it is the API server that is asked.
func (e *Engine) StreamList(r *atom.EngineListRequest, found func(atom.Atom) error) error {
	ctx, cancel := e.bound(atom.ContextOr(r.Context))
	defer cancel()
	if err := atom.ValidateOwner(r.Owner); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return endOf(ctx)
	}
	pass := func(p *record) bool {
		at := p.info.CreatedAt
		return p.ours(r.Owner) && (r.Since.IsZero() || !at.Before(r.Since)) && (r.Before.IsZero() || at.Before(r.Before))
	}
	if known, current := e.watch.pods.all(pass); current {
		for _, p := range known {
			if err := found(e.atomOf(p)); err != nil {
				return err
			}
		}
		return nil
	}
	var enough error               // found's
	given := make(map[string]bool) // by uid: a list may have to start over
	_, err := e.eachPage(ctx, atom.LabelOwner+"="+atom.OwnerOr(r.Owner), firstPage, func(page []*record) error {
		for _, p := range page {
			if given[p.uid] || !pass(p) {
				continue
			}
			given[p.uid] = true
			if enough = found(e.atomOf(p)); enough != nil {
				return enough
			}
		}
		return nil
	}, func() {})
	switch {
	case enough != nil:
		return enough
	case err != nil:
		return e.api.fault(ctx, err)
	}
	e.watch.start() // for the next
	return nil
}

// listPods lists the pods that a label selector selects.
func (e *Engine) listPods(ctx context.Context, selector string) (all []*record, version string, err error) {
	version, err = e.eachPage(ctx, selector, pageSize, func(page []*record) error {
		all = append(all, page...)
		return nil
	}, func() { all = nil })
	return all, version, err
}

// eachPage lists the pods that a label selector selects, first so many and then
// pageSize at a time. It starts over when the API server has forgotten the pages
// to come (410), which over tells of. An error of take ends it.
func (e *Engine) eachPage(ctx context.Context, selector string, first int64, take func([]*record) error, over func()) (version string, err error) {
	o := metav1.ListOptions{LabelSelector: selector, Limit: first}
	for restarts := 0; ; {
		page, err := e.api.list(ctx, o)
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			if restarts++; restarts > 5 {
				return "", err
			}
			over()
			o.Continue = ""
			continue
		}
		if err != nil {
			return "", err
		}
		records := make([]*record, len(page.Items))
		for i := range page.Items {
			records[i] = e.settings.recordOf(&page.Items[i])
		}
		if err := take(records); err != nil {
			return "", err
		}
		if page.Continue == "" {
			return page.ResourceVersion, nil
		}
		o.Continue, o.Limit = page.Continue, pageSize
	}
}
