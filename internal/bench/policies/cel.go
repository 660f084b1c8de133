package main

import (
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
)

// newCEL compiles one program for each rule; a decision is the first that
// holds.
func newCEL() (func() (int, error), error) {
	texts := cel.MapType(cel.StringType, cel.StringType)
	e, err := cel.NewEnv(cel.Variable("image", cel.StringType), cel.Variable("env", texts),
		cel.Variable("labels", texts), cel.Variable("gpus", cel.IntType))
	if err != nil {
		return nil, err
	}
	var programs []cel.Program
	for _, r := range rules() {
		ast, issues := e.Compile(r.cel())
		if issues.Err() != nil {
			return nil, issues.Err()
		}
		// Regular expressions are compiled here, not with each decision.
		p, err := e.Program(ast, cel.EvalOptions(cel.OptOptimize))
		if err != nil {
			return nil, err
		}
		programs = append(programs, p)
	}
	input, err := cel.NewActivation(map[string]any{"image": image, "env": env, "labels": labels, "gpus": int64(0)})
	if err != nil {
		return nil, err
	}
	return func() (int, error) {
		for i, p := range programs {
			held, _, err := p.Eval(input)
			if err != nil {
				return 0, err
			}
			if held.Value() == true {
				return i, nil
			}
		}
		return 0, errors.New("no rule holds")
	}, nil
}

func (r rule) cel() string {
	subject, set := r.asks, ""
	if r.key != "" {
		subject, set = fmt.Sprintf("%s[%q]", r.asks, r.key), fmt.Sprintf("%q in %s && ", r.key, r.asks)
	}
	var holds string
	switch r.kind {
	case "whole":
		holds = fmt.Sprintf("%s == %q", subject, r.a)
	case "start":
		holds = fmt.Sprintf("%s.startsWith(%q)", subject, r.a)
	case "end":
		holds = fmt.Sprintf("%s.endsWith(%q)", subject, r.a)
	case "within":
		holds = fmt.Sprintf("%s.contains(%q)", subject, r.a)
	case "ends":
		holds = fmt.Sprintf("%[1]s.startsWith(%[2]q) && %[1]s.endsWith(%[3]q)", subject, r.a, r.b)
	case "regexp":
		holds = fmt.Sprintf("%s.matches(%q)", subject, r.a)
	}
	if r.when {
		holds += " && gpus > 8"
	}
	return set + holds
}
