package router

import (
	"fmt"
	"strings"
)

// tracer writes down what each rule made of a request. A nil tracer, which
// decisions that nobody asks about have, does nothing.
type tracer struct {
	list []RuleTrace
	why  reasons
}

// begin starts the trace of a rule and returns what its matchers report to.
func (t *tracer) begin(rule string) *reasons {
	if t == nil {
		return nil
	}
	t.list = append(t.list, RuleTrace{Rule: rule})
	t.why.list = nil
	return &t.why
}

// end tells how the rule came out; more is added to what its matchers said.
func (t *tracer) end(matched bool, more string) {
	if t == nil {
		return
	}
	if more != "" {
		t.why.list = append(t.why.list, more)
	}
	last := &t.list[len(t.list)-1]
	last.Matched, last.Reason = matched, t.why.String()
	if matched && last.Reason == "" {
		last.Reason = "matches every request"
	}
}

// finish says where the rule that decided leads, and that the rules after it
// were not asked.
func (t *tracer) finish(d Decision, rest []Rule) Decision {
	if t == nil {
		return d
	}
	t.list[len(t.list)-1].Reason += d.outcome()
	for i := range rest {
		t.list = append(t.list, RuleTrace{
			Rule:   rest[i].Name,
			Reason: fmt.Sprintf("not asked: rule %q decided", d.Rule),
		})
	}
	d.Trace = t.list
	return d
}

// outcome is what follows a deciding rule's reason.
func (d *Decision) outcome() string {
	if d.Rejected != "" {
		if d.Rejected == noRule {
			return ": rejected"
		}
		return ": rejected: " + d.Rejected
	}
	w := d.Walk()
	c := w.Next()
	passed := ""
	if p := w.Passed(); len(p) > 0 {
		passed = " (" + strings.Join(p, "; ") + ")"
	}
	switch {
	case c == nil:
		return ": no backend takes it" + passed
	case c.weight < c.total:
		return fmt.Sprintf(": to %s, weight %d of %d%s", c.Backend, c.weight, c.total, passed)
	}
	return ": to " + c.Backend + passed
}
