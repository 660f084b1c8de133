// Command testenv starts the real engines that the tests run against, and runs
// the tests.
//
//	testenv up           start them, write .testenv/env
//	testenv down         stop them, leave nothing
//	testenv test [ARG…]  go test ARG… with them; down afterwards if they were
//	testenv run CMD…     any command with them, likewise
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/atom-router/atom-router/internal/testenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 {
		return 2, errors.New("usage: testenv up | down | test [ARG…] | run CMD…")
	}
	env, err := testenv.New(".", os.Stderr)
	if err != nil {
		return 1, err
	}
	switch args[0] {
	case "up":
		up, err := env.Up(ctx)
		if err == nil {
			err = excuse(up)
		}
		if err != nil {
			return 1, err
		}
		path, err := env.Write(up.Vars)
		if err != nil {
			return 1, err
		}
		if wd, err := os.Getwd(); err == nil {
			if rel, err := filepath.Rel(wd, path); err == nil {
				path = rel
			}
		}
		fmt.Printf("The engines run: source %s (make testenv-down stops them)\n", path)
		return 0, nil
	case "down":
		return 0, env.Down()
	case "test":
		return with(ctx, env, func(vars []string) (int, error) { return goTest(ctx, args[1:], vars) })
	case "run":
		if len(args) < 2 {
			return 2, errors.New("run takes a command")
		}
		return with(ctx, env, func(vars []string) (int, error) { return command(ctx, args[1:], vars) })
	}
	return 2, fmt.Errorf("unknown command %q", args[0])
}

// with calls do with the engines up, without those that cannot be had and are
// not required, and leaves things as they were.
func with(ctx context.Context, env *testenv.Env, do func(vars []string) (int, error)) (code int, err error) {
	up, err := env.Up(ctx)
	if up.Started {
		defer func() { err = errors.Join(err, env.Down()) }()
	}
	if err == nil {
		err = excuse(up)
	}
	if err != nil {
		return 1, err
	}
	return do(up.Vars)
}

// excuse says which engines are missing, which is an error where they are
// required.
func excuse(up testenv.Up) error {
	var errs []error
	for engine, why := range up.Missing {
		if testenv.Required(engine) {
			errs = append(errs, fmt.Errorf("%s is required: %w", engine, why))
			continue
		}
		fmt.Fprintf(os.Stderr, "testenv: going on without %s: %v\n", engine, why)
	}
	return errors.Join(errs...)
}

func command(ctx context.Context, args, vars []string) (int, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), vars...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}
