package main

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
)

// Exit codes; `help exit-codes` and docs/command-line.md tell them to users.
const (
	codeOK       = 0
	codeError    = 1
	codeUsage    = 2
	codeRejected = 3
	// codeRouter is of `run` where the job's code is not to be had.
	codeRouter = 125
	// codeNotRun and codeNotFound are of a program that is there and cannot
	// be run, and of one that is not there, as in shells.
	codeNotRun    = 126
	codeNotFound  = 127
	codeInterrupt = 130
	// codePipe is what shells give a program whose reader went away.
	codePipe = 128 + 13
)

// usageError is bad input: the command line is to be changed.
type usageError struct{ err error }

func usage(err error) error         { return &usageError{err} }
func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// exitError ends the program with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// silent is an error about which everything has been printed.
type silent struct{}

func (*silent) Error() string { return "" }

// exit ends the program with a code, nothing more to be said.
func exit(code int) error {
	if code == codeOK {
		return nil
	}
	return &exitError{code: code, err: &silent{}}
}

// codeOf is the exit code of a command that ended with err.
func codeOf(cmd *cobra.Command, err error) int {
	var own *exitError
	if errors.As(err, &own) {
		return own.code
	}
	var bad *usageError
	var rejected *atom.Rejection
	switch {
	case errors.As(err, &bad), malformedID(err), isCobraUsage(err):
		return codeUsage
	case errors.As(err, &rejected):
		return codeRejected
	case errors.Is(err, context.Canceled):
		return codeInterrupt // nothing but an interrupt cancels
	case cmd != nil && cmd.Name() == "run":
		return startCode(err)
	case errors.Is(err, syscall.EPIPE):
		return codePipe
	}
	return codeError
}

// startCode is the code of a run that failed with err: that of a program which
// could not be started, where err says so.
func startCode(err error) int {
	if errdefs.IsFailedPrecondition(err) || errdefs.IsInvalidArgument(err) {
		return runtimeCode(err.Error())
	}
	return codeRouter
}

// runtimeCode is the code of a program that a container runtime could not
// start, for what it says of it. Neither Docker's API nor Kubernetes' has a
// field for that; Docker's own command line knows it by the same words.
func runtimeCode(text string) int {
	if !strings.Contains(text, "exec: ") {
		return codeRouter
	}
	text = strings.TrimSuffix(text, ": unknown") // containerd's class of the error
	for end, code := range map[string]int{
		"executable file not found in $PATH": codeNotFound,
		"no such file or directory":          codeNotFound,
		"permission denied":                  codeNotRun,
		"is a directory":                     codeNotRun,
		"exec format error":                  codeNotRun,
		"argument list too long":             codeNotRun,
	} {
		if strings.HasSuffix(text, end) {
			return code
		}
	}
	return codeRouter
}

// malformedID reports whether err is about an ID that no router could have
// given out.
func malformedID(err error) bool {
	fields := atom.AsFieldErrors(err)
	return len(fields) == 1 && fields[0].Field == "id"
}

// isCobraUsage tells cobra's own errors, which have no type
// (https://github.com/spf13/cobra/issues/340).
func isCobraUsage(err error) bool {
	text := err.Error()
	for _, prefix := range []string{"unknown command", "unknown flag", "accepts ", "requires at least", "invalid argument", "required flag"} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

// jobCode is the exit code that tells of a job what there is to tell: its own
// where it has one.
func jobCode(a atom.Atom) int {
	info := atom.InfoOf(a)
	if info.ExitCode != nil && *info.ExitCode >= 0 && *info.ExitCode <= 255 {
		// A job that ended well for all its code says, and yet did not (an
		// eviction that it trapped), is no success.
		if *info.ExitCode != 0 || info.Result == atom.Success {
			return *info.ExitCode
		}
	}
	switch info.Result {
	case atom.Killed:
		return 128 + 9
	case atom.Terminated:
		return 128 + 15
	case atom.StartupFailure:
		return runtimeCode(info.Message)
	}
	return codeRouter
}
