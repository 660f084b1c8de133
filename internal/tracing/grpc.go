package tracing

import (
	"context"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	noop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// DialOptions make calls of a connection part of their callers' traces: the
// other end is told of them in gRPC metadata, as a W3C traceparent.
func (t *Tracer) DialOptions() []grpc.DialOption {
	if t == nil {
		return nil
	}
	return []grpc.DialOption{grpc.WithStatsHandler(onlyIf{otelgrpc.NewClientHandler(t.options()...), inSpan})}
}

// ServerOptions make a span of each call that a server gets, in its client's
// trace or as a new one.
func (t *Tracer) ServerOptions() []grpc.ServerOption {
	if t == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(t.options()...))}
}

// pluginServerOptions leave out calls that are part of no trace: the host's
// own, as its janitor's.
func (t *Tracer) pluginServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.StatsHandler(onlyIf{otelgrpc.NewServerHandler(t.options()...), fromSpan})}
}

func (t *Tracer) options() []otelgrpc.Option {
	return []otelgrpc.Option{
		otelgrpc.WithTracerProvider(t.provider),
		otelgrpc.WithPropagators(t.propagator),
		otelgrpc.WithMeterProvider(noop.NewMeterProvider()), // Prometheus has those
		otelgrpc.WithFilter(func(i *stats.RPCTagInfo) bool { return strings.HasPrefix(i.FullMethodName, "/atomrouter.") }),
	}
}

// onlyIf is a handler of those calls for which holds.
type onlyIf struct {
	stats.Handler
	holds func(context.Context) bool
}

// TagRPC implements stats.Handler. What follows of a call that has no span
// falls to OpenTelemetry's span that does nothing.
func (o onlyIf) TagRPC(ctx context.Context, i *stats.RPCTagInfo) context.Context {
	if !o.holds(ctx) {
		return ctx
	}
	return o.Handler.TagRPC(ctx, i)
}

func inSpan(ctx context.Context) bool { return trace.SpanContextFromContext(ctx).IsValid() }

func fromSpan(ctx context.Context) bool {
	return len(metadata.ValueFromIncomingContext(ctx, "traceparent")) > 0
}
