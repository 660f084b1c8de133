// Package tracing sends a process's part of OpenTelemetry traces to whoever
// receives them over OTLP, where the environment asks for it. The router and
// the SDK for plugins know nothing of it: main functions set it up and hand
// them options of gRPC's.
package tracing

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.39.0"
	"go.opentelemetry.io/otel/trace"
)

// Tracer sends this process's part of traces to where OpenTelemetry's
// environment variables say. A nil Tracer, which Start returns where they say
// nothing, traces nothing and costs nothing. All methods may be called from
// any number of goroutines.
type Tracer struct {
	provider   *sdktrace.TracerProvider
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	stopping   sync.Once
}

// stopTimeout bounds the sending of what is left when a process ends: nobody
// waits long for a receiver that is not there.
const stopTimeout = 700 * time.Millisecond

// enabled reports whether the environment asks for traces, as
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
// has it, but that nothing is sent where no variable names a receiver or the
// exporter.
func enabled() (bool, error) {
	switch exporter := os.Getenv("OTEL_TRACES_EXPORTER"); {
	case os.Getenv("OTEL_SDK_DISABLED") == "true", exporter == "none":
		return false, nil
	case exporter == "otlp":
		return true, nil
	case exporter != "":
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is neither otlp nor none: no traces are sent", exporter)
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "", nil
}

// Start begins to trace, where the environment asks for it. service names this
// process where OTEL_SERVICE_NAME does not. What is wrong with the environment
// is told to log and is no error of the program; that nobody receives the
// traces is told there too.
//
// It sets OpenTelemetry's global provider, so that libraries with traces of
// their own take part, and is for main functions alone.
func Start(ctx context.Context, service, version string, log hclog.Logger) *Tracer {
	on, err := enabled()
	var exporter sdktrace.SpanExporter
	if on {
		exporter, err = newExporter(ctx)
	}
	if err != nil {
		log.Warn("traces", "error", err)
		return nil
	}
	if !on {
		return nil
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces", "error", err) }))
	// Later options win: what the environment says of this process does.
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName(service), semconv.ServiceVersion(version)),
		resource.WithFromEnv(),
	)
	if err != nil {
		log.Warn("traces", "error", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(wordless{exporter}), sdktrace.WithResource(about))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/atom-router/atom-router"), propagator: propagation.TraceContext{}}
}

// newExporter makes the exporter of the protocol that the environment names.
// The rest of its settings it reads there itself.
func newExporter(ctx context.Context) (*otlptrace.Exporter, error) {
	protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
	switch protocol {
	case "grpc":
		return otlptracegrpc.New(ctx)
	case "http/protobuf":
		return otlptracehttp.New(ctx)
	}
	return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q is neither grpc nor http/protobuf: no traces are sent", protocol)
}

// Stop sends what is left, within a second, and ends the tracing. It may be
// called more than once, and of nil.
func (t *Tracer) Stop() {
	if t == nil {
		return
	}
	t.stopping.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := t.provider.Shutdown(ctx); err != nil {
			otel.Handle(err)
		}
	})
}

// wordless exports spans without the words of their errors, which a backend
// may have quoted from a request: its class tells.
type wordless struct{ sdktrace.SpanExporter }

func (w wordless) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	plain := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, s := range spans {
		plain[i] = wordlessSpan{s}
	}
	return w.SpanExporter.ExportSpans(ctx, plain)
}

type wordlessSpan struct{ sdktrace.ReadOnlySpan }

func (s wordlessSpan) Status() sdktrace.Status {
	return sdktrace.Status{Code: s.ReadOnlySpan.Status().Code}
}

// Events are those of ours: others', exceptions, have the words as well.
func (s wordlessSpan) Events() []sdktrace.Event {
	var ours []sdktrace.Event
	for _, e := range s.ReadOnlySpan.Events() {
		if e.Name != semconv.ExceptionEventName {
			ours = append(ours, e)
		}
	}
	return ours
}
