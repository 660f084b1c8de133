package docker

import (
	"context"
	"errors"
	"testing"

	"github.com/containerd/errdefs"
)

// A pull that nobody waits for any more is given up.
func TestPullCancelled(t *testing.T) {
	d := newFakeDaemon(t)
	e := d.engine(t)
	contexts := make([]context.CancelFunc, 2)
	left := make(chan error, 2)
	for i := range contexts {
		ctx, cancel := context.WithCancel(t.Context())
		contexts[i] = cancel
		go func() { left <- createFrom(ctx, e, "jobs:1") }()
	}
	if !<-d.pulling {
		t.Fatal("given up before it began")
	}
	eventually(t, "both wait for it", func() bool {
		e.pulls.mu.Lock()
		defer e.pulls.mu.Unlock()
		p := e.pulls.on["docker.io/library/jobs:1"]
		return p != nil && p.wanted == 2
	})
	contexts[0]()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case <-d.pulling:
		t.Fatal("given up while somebody waits for it")
	default:
	}
	contexts[1]()
	if <-d.pulling {
		t.Fatal("a second pull")
	}
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPullFaultClasses(t *testing.T) {
	e := newFakeDaemon(t).engine(t)
	for text, class := range map[string]func(error) bool{
		"manifest for x:1 not found: manifest unknown: manifest unknown":                            errdefs.IsNotFound,
		"pull access denied for x, repository does not exist or may require 'docker login': denied": errdefs.IsNotFound,
		"unauthorized: authentication required":                                                     errdefs.IsPermissionDenied,
		"toomanyrequests: You have reached your pull rate limit":                                    errdefs.IsUnavailable,
		"Get https://r/v2/: dial tcp: lookup r: no such host":                                       errdefs.IsUnavailable,
		"write /var/lib/docker/tmp/x: no space left on device":                                      errdefs.IsResourceExhausted,
		"unexpected": errdefs.IsInternal,
	} {
		if err := e.pullFault(t.Context(), &pullError{text}); !class(err) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
