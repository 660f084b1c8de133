package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// What spans of the router are told by.
const (
	backendKey  = attribute.Key("atom_router.backend")
	ruleKey     = attribute.Key("atom_router.rule")
	rejectedKey = attribute.Key("atom_router.rejected")
	causeKey    = attribute.Key("atom_router.cause")
	atomKey     = attribute.Key("atom_router.atom")
	classKey    = attribute.Key("error.type")
	exitKey     = attribute.Key("process.exit.code")
)

// Span is one of the router's; the zero Span is none.
type Span struct{ of trace.Span }

// SpanOf is the span that a context carries.
func SpanOf(ctx context.Context) Span {
	if s := trace.SpanFromContext(ctx); s.IsRecording() {
		return Span{s}
	}
	return Span{}
}

// Begin begins the span of a call of the router.
func (t *Tracer) Begin(ctx context.Context, operation string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, s := t.tracer.Start(ctx, "router "+operation)
	return ctx, Span{s}
}

// Verb begins the span of a command line's verb, in which all that it asks
// for stands. exited ends it. Of a nil Tracer both do nothing.
func (t *Tracer) Verb(ctx context.Context, verb string) (_ context.Context, exited func(code int)) {
	if t == nil {
		return ctx, func(int) {}
	}
	ctx, s := t.tracer.Start(ctx, "atom-router "+verb)
	return ctx, func(code int) {
		s.SetAttributes(exitKey.Int(code))
		s.End()
	}
}

// End ends the span of a call: on which backend, of which atom, and how it
// went; of an error it says the class and nothing else.
func (s Span) End(backend, id string, err error) {
	if s.of == nil {
		return
	}
	if backend != "" {
		s.of.SetAttributes(backendKey.String(backend))
	}
	if id != "" {
		s.of.SetAttributes(atomKey.String(id))
	}
	if err != nil {
		s.of.SetAttributes(classKey.String(ClassOf(err)))
		s.of.SetStatus(codes.Error, "")
	}
	s.of.End()
}

// Decided notes the rule that decided.
func (s Span) Decided(rule string, rejected bool) {
	if s.of != nil {
		s.of.SetAttributes(ruleKey.String(rule), rejectedKey.Bool(rejected))
	}
}

// FellBack notes that a backend was passed over.
func (s Span) FellBack(backend string, cause string) {
	if s.of != nil {
		s.of.AddEvent("passed over", trace.WithAttributes(backendKey.String(backend), causeKey.String(cause)))
	}
}

// Resumed notes that the call goes on with another plugin process.
func (s Span) Resumed(backend string) {
	if s.of != nil {
		s.of.AddEvent("resumed", trace.WithAttributes(backendKey.String(backend)))
	}
}
