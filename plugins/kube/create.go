package kube

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/backoff"
)

const (
	// insistTime bounds how long a Create asks again an API server that
	// dropped the question: the name makes it safe.
	insistTime = 20 * time.Second
	// lingerTime is how long a cancelled Create waits for the answer that it
	// has to tidy up after.
	lingerTime = time.Second
)

// Create makes the pod. It does not wait for a node, nor for the image: what
// cannot be pulled or placed is an atom that says so. What the API server
// refuses is an error: InvalidArgument for the request's own mistakes,
// ResourceExhausted for a full quota, FailedPrecondition for admission that
// objects and for a namespace that does not exist.
//
// A Create that was cancelled leaves nothing, or, under a Key of the caller's,
// perhaps an atom: another Create may have got it.
func (e *Engine) Create(r *atom.EngineCreateRequest) (atom.Atom, error) {
	ctx, cancel := e.bound(atom.ContextOr(r.Context))
	defer cancel()
	if err := r.Validate(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, endOf(ctx)
	}
	key := r.Key
	if key == "" {
		key = atom.NewKey()
	}
	pod, err := e.podFor(r, atom.NativeName(r.Owner, key), time.Now())
	if err != nil {
		return nil, err
	}
	p := &placing{e: e, r: r, key: key, pod: pod, wanted: ctx}
	return p.run()
}

// placing is one Create past its checks.
type placing struct {
	e      *Engine
	r      *atom.EngineCreateRequest
	key    string
	pod    *corev1.Pod
	wanted context.Context // the caller's
}

type placed struct {
	record *record
	err    error
}

// run makes the pod apart from the caller's context: the API server finishes
// what it was asked for even when the asker hangs up.
func (p *placing) run() (atom.Atom, error) {
	done := make(chan placed, 1)
	p.e.work.Go(func() { // ends within insistTime and a call, and soon after Close
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.wanted), insistTime+callTimeout)
		defer cancel()
		defer context.AfterFunc(p.e.ctx, func() { time.AfterFunc(lingerTime, cancel) })() // Close does not wait for long
		r, err := p.place(ctx)
		if err == nil && p.wanted.Err() != nil && p.r.Key == "" {
			// Nobody else can know a random Key.
			if err := p.e.deletePod(ctx, r, 1); err != nil {
				p.e.log.Warn("removing the pod of a cancelled create", "pod", r.name, "error", err)
			}
			err = endOf(p.wanted)
		}
		done <- placed{r, err}
	})
	linger := make(<-chan time.Time)
	over := p.wanted.Done()
	for {
		select {
		case d := <-done:
			if d.err != nil {
				return nil, d.err
			}
			return p.e.atomOf(d.record), nil
		case <-over:
			timer := time.NewTimer(lingerTime)
			defer timer.Stop()
			linger, over = timer.C, nil
		case <-linger:
			return nil, endOf(p.wanted)
		}
	}
}

// place makes the pod, or takes up the one that is there under its name.
func (p *placing) place(ctx context.Context) (*record, error) {
	perhaps := false // one of the attempts may have made it
	deadline := time.Now().Add(insistTime)
	for failures := 1; ; failures++ {
		pod, sent, err := p.try(ctx)
		if err == nil {
			r := p.e.settings.recordOf(pod)
			p.e.watch.pods.put(r)
			return r, nil
		}
		fault := p.e.api.fault(ctx, err)
		switch {
		case errdefs.IsAlreadyExists(fault):
			r, err := p.existing(ctx)
			if !errors.Is(err, errVanished) {
				return r, err
			}
			fault = err
		case !errdefs.IsUnavailable(fault):
			return p.refusal(ctx, perhaps && ctx.Err() == nil, fault)
		case !sent && !perhaps:
			return nil, p.orEnd(fault) // never got there: others can be asked
		case sent && !refused(err):
			perhaps = true
		}
		if time.Now().After(deadline) || p.wanted.Err() != nil {
			return nil, p.outcome(perhaps, fault)
		}
		pause(p.wanted, backoff.Watch.After(failures, rand.Int64N))
	}
}

// try asks once; sent reports whether the API server may have read it.
func (p *placing) try(ctx context.Context) (pod *corev1.Pod, sent bool, err error) {
	var wrote atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { wrote.Store(true) }})
	pod, err = p.e.api.create(traced, p.pod, metav1.CreateOptions{})
	return pod, wrote.Load(), err
}

// refusal is what it means that the API server refuses to make the pod. Quota
// and admission come before the look whether there is one of that name: an
// earlier Create under the Key may have made it when there was room.
func (p *placing) refusal(ctx context.Context, perhaps bool, fault error) (*record, error) {
	r, err := p.existing(ctx)
	switch {
	case err == nil, errdefs.IsAlreadyExists(err):
		return r, err
	case errdefs.IsUnavailable(err) && !errors.Is(err, errVanished) && p.r.Key != "":
		perhaps = true // who knows
	}
	return nil, p.outcome(perhaps, fault)
}

// outcome is fault, or that it is not known whether the pod was made.
func (p *placing) outcome(perhaps bool, fault error) error {
	if perhaps {
		fault = &atom.OutcomeUnknown{Key: p.key, Err: fault}
	}
	return p.orEnd(fault)
}

// orEnd is the caller's end, where that came first.
func (p *placing) orEnd(err error) error {
	if p.wanted.Err() != nil {
		return endOf(p.wanted)
	}
	return err
}

// refused reports an answer by which the API server says that it did nothing:
// it is overloaded or not ready, or admission, which comes before storage, does
// not work.
func refused(err error) bool {
	if errors.Is(err, errNotReady) {
		return true
	}
	var status interface{ Status() metav1.Status }
	if !errors.As(err, &status) {
		return false
	}
	s := status.Status()
	return s.Code == 429 || s.Code == 503 || strings.Contains(s.Message, "failed calling webhook")
}

var errVanished = atom.Errorf(errdefs.ErrUnavailable, "the pod of that key is gone again; try again")

// existing says what the pod that stands under our name is to this request.
func (p *placing) existing(ctx context.Context) (*record, error) {
	pod, err := p.e.api.get(ctx, p.pod.Name)
	if err != nil {
		fault := p.e.api.fault(ctx, err)
		if isNotFound(fault) {
			return nil, errVanished
		}
		return nil, p.orEnd(fault)
	}
	r := p.e.settings.recordOf(pod)
	p.e.watch.pods.put(r)
	switch {
	case !r.ours(p.r.Owner):
		return nil, atom.Errorf(errdefs.ErrAlreadyExists, "the name %s is taken by a pod that is no atom of this owner", r.name)
	case r.hash != p.r.Hash():
		return nil, atom.Errorf(errdefs.ErrAlreadyExists, "key %q was used for another request, which made atom %s", p.key, r.info.ID)
	case r.doomed && !r.held:
		return nil, atom.Errorf(errdefs.ErrUnavailable, "the atom made under key %q is being removed; try again", p.key)
	}
	return r, nil
}
