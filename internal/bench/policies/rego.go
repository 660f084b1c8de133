package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// newRego prepares one query: the least of the set of rules that hold. OPA's
// index of rules knows such a set better than a chain of else.
func newRego() (func() (int, error), error) {
	var module strings.Builder
	module.WriteString("package rules\n\ndecision := min(holds)\n\n")
	for i, r := range rules() {
		fmt.Fprintf(&module, "holds contains %d if {\n%s}\n\n", i, r.rego())
	}
	ctx := context.Background()
	query, err := rego.New(rego.Query("data.rules.decision"), rego.Module("rules.rego", module.String())).PrepareForEval(ctx)
	if err != nil {
		return nil, err
	}
	input, err := ast.InterfaceToValue(map[string]any{"image": image, "env": env, "labels": labels, "gpus": 0})
	if err != nil {
		return nil, err
	}
	return func() (int, error) {
		results, err := query.Eval(ctx, rego.EvalParsedInput(input))
		if err != nil {
			return 0, err
		}
		if len(results) != 1 {
			return 0, fmt.Errorf("%d results", len(results))
		}
		n, err := results[0].Expressions[0].Value.(json.Number).Int64()
		return int(n), err
	}, nil
}

func (r rule) rego() string {
	subject := "input." + r.asks
	if r.key != "" {
		subject = fmt.Sprintf("input.%s[%q]", r.asks, r.key)
	}
	holds := ""
	switch r.kind {
	case "whole":
		holds = fmt.Sprintf("\t%s == %q\n", subject, r.a)
	case "start":
		holds = fmt.Sprintf("\tstartswith(%s, %q)\n", subject, r.a)
	case "end":
		holds = fmt.Sprintf("\tendswith(%s, %q)\n", subject, r.a)
	case "within":
		holds = fmt.Sprintf("\tcontains(%s, %q)\n", subject, r.a)
	case "ends":
		holds = fmt.Sprintf("\tstartswith(%[1]s, %[2]q)\n\tendswith(%[1]s, %[3]q)\n", subject, r.a, r.b)
	case "regexp":
		holds = fmt.Sprintf("\tregex.match(%q, %s)\n", r.a, subject)
	}
	if r.when {
		holds += "\tinput.gpus > 8\n"
	}
	return holds
}
