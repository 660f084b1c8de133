package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// policies is a process that decides by the same 10,000 rules with cel-go and
// with OPA's Rego. It has a module of its own.
type policies struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

func startPolicies(ctx context.Context) (*policies, error) {
	cmd := exec.CommandContext(ctx, "go", "run", ".")
	cmd.Dir, cmd.Stderr = "internal/bench/policies", os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &policies{cmd, in, out}, cmd.Start()
}

// decide has it decide for a while, and returns what a decision took in
// nanoseconds.
func (p *policies) decide() (cel, rego float64, err error) {
	if _, err := fmt.Fprintln(p.in); err != nil {
		return 0, 0, fmt.Errorf("asking cel-go and Rego: %w", err)
	}
	if _, err := fmt.Fscanln(p.out, &cel, &rego); err != nil {
		return 0, 0, fmt.Errorf("reading what cel-go and Rego took: %w", err)
	}
	return cel, rego, nil
}

// close ends it, which it does when nobody asks any more.
func (p *policies) close() error {
	p.in.Close()
	return p.cmd.Wait()
}
