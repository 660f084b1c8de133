package atomtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// prompt is how soon "promptly" and "at once" are: long for a machine under
// load, and short beside the sleeps of the jobs that are waited for.
const prompt = 10 * time.Second

// long is how long jobs sleep that must not end on their own.
const long = "300s"

// describe says how an atom stands.
func describe(a atom.Atom) string {
	if a == nil {
		return "no atom"
	}
	info := atom.InfoOf(a)
	s := fmt.Sprintf("%s/%s", info.State, info.Result)
	if info.ExitCode != nil {
		s += fmt.Sprintf(" with exit code %d", *info.ExitCode)
	}
	if info.Message != "" {
		s += fmt.Sprintf(" (%s)", info.Message)
	}
	return s
}

// short is what an error shows of an output.
func short(b []byte) []byte {
	if len(b) <= 300 {
		return b
	}
	return append(append(bytes.Clone(b[:150]), " … "...), b[len(b)-150:]...)
}

// same compares outputs and says where they part.
func same(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	n := 0
	for n < len(got) && n < len(want) && got[n] == want[n] {
		n++
	}
	from := max(n-20, 0)
	return fmt.Errorf("the output of %d bytes should be of %d and differs from byte %d on: got %q, want %q",
		len(got), len(want), n, short(got[from:]), short(want[from:]))
}

// ended says whether an atom ended as it should have.
func ended(a atom.Atom, result atom.Result, code int) error {
	info := atom.InfoOf(a)
	if info.State != atom.Stopped || info.Result != result || info.ExitCode == nil || *info.ExitCode != code {
		return fmt.Errorf("the atom is %s; want stopped/%s with exit code %d", describe(a), result, code)
	}
	return nil
}

// class says whether err is what it should be.
func class(err error, what string, is func(error) bool) error {
	switch {
	case err == nil:
		return fmt.Errorf("no error; want %s", what)
	case !is(err):
		return fmt.Errorf("the error %q is not %s", err, what)
	}
	return nil
}

func notFound(err error) error { return class(err, "NotFound", errdefs.IsNotFound) }

func invalid(err error) error { return class(err, "InvalidArgument", errdefs.IsInvalidArgument) }

// noSuch is what an ID that no engine ever gave out gets.
func noSuch(err error) error {
	return class(err, "NotFound or InvalidArgument", func(err error) bool {
		return errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err)
	})
}

// of says whether err is the end of a context.
func of(cause, err error) error {
	return class(err, fmt.Sprintf("%q", cause), func(err error) bool { return errors.Is(err, cause) })
}

// within runs f and fails where it takes longer than it may. An f that hangs
// is given up; its context's end should end it.
func within(d time.Duration, what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }() // ends with f
	select {
	case err := <-done:
		return err
	case <-time.After(d):
		return fmt.Errorf("%s has not returned after %v", what, d)
	}
}

// poll asks until the answer is yes.
func poll(ctx context.Context, what string, ask func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := ask()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
}

// together runs n calls at the same time and returns their errors joined.
func together(n int, f func(i int) error) error {
	errs := make([]error, n)
	done := make(chan struct{})
	for i := range n {
		go func() { // ends with f
			defer func() { done <- struct{}{} }()
			defer func() {
				if r := recover(); r != nil {
					errs[i] = fmt.Errorf("panic: %v", r)
				}
			}()
			errs[i] = f(i)
		}()
	}
	for range n {
		<-done
	}
	return errors.Join(errs...)
}

// index finds an atom in a list.
func index(atoms []atom.Atom, id string) int {
	for i, a := range atoms {
		if a.ID() == id {
			return i
		}
	}
	return -1
}

func isRefusal(err error) bool {
	return errdefs.IsNotImplemented(err) || errdefs.IsInvalidArgument(err) || errdefs.IsFailedPrecondition(err)
}
