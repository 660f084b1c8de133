package telemetry

import (
	"context"

	"github.com/atom-router/atom-router/internal/tracing"
	"github.com/atom-router/atom-router/router"
)

// Observer returns what counts in m what a router does, and traces it with t.
// Either may be nil.
func Observer(m *Metrics, t *tracing.Tracer) router.Observer {
	return &observer{m, t}
}

type observer struct {
	metrics *Metrics
	tracer  *tracing.Tracer
}

func (o *observer) Call(ctx context.Context, operation, backend string) (context.Context, router.Ended) {
	if ctx.Value(ownCall{}) != nil {
		return ctx, func(string, string, error) {}
	}
	count := func(string, error) {}
	if o.metrics != nil {
		count = o.metrics.begin(operation, backend)
	}
	ctx, span := o.tracer.Begin(ctx, operation)
	return ctx, func(backend, id string, err error) {
		count(backend, err)
		span.End(backend, id, err)
	}
}

func (o *observer) Decided(ctx context.Context, rule string, rejected bool) {
	if o.metrics != nil {
		o.metrics.decided(rule, rejected)
	}
	tracing.SpanOf(ctx).Decided(rule, rejected)
}

func (o *observer) FellBack(ctx context.Context, rule, backend string, cause router.Cause) {
	if o.metrics != nil {
		o.metrics.fellBack(rule, backend, cause)
	}
	tracing.SpanOf(ctx).FellBack(backend, string(cause))
}

func (o *observer) Resumed(ctx context.Context, operation, backend string) {
	if o.metrics != nil {
		o.metrics.resumed.WithLabelValues(backend, operation).Inc()
	}
	tracing.SpanOf(ctx).Resumed(backend)
}

func (o *observer) LogBytes(backend string, n int) {
	if o.metrics != nil {
		o.metrics.logBytes.WithLabelValues(backend).Add(float64(n))
	}
}
