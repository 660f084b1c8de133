// Command otlp is the OpenTelemetry collector's own receiver of OTLP, and
// nothing behind it: it prints what it receives, as OTLP's JSON, a line for
// each message. First it prints where it listens, "ready GRPC-ADDRESS
// HTTP-ADDRESS", and it ends with its stdin.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func main() {
	if len(os.Args) != 1 {
		log.Fatal("usage: otlp")
	}
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

// host has nothing for the receiver.
type host struct{}

func (host) GetExtensions() map[component.ID]component.Component { return nil }

func serve() error {
	ctx := context.Background()
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	err := confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{
		"grpc": map[string]any{"endpoint": "127.0.0.1:0"},
		"http": map[string]any{"endpoint": "127.0.0.1:0"},
	}}).Unmarshal(config)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	print, err := consumer.NewTraces(func(_ context.Context, t ptrace.Traces) error {
		line, err := (&ptrace.JSONMarshaler{}).MarshalTraces(t)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		_, err = fmt.Printf("%s\n", line)
		return err
	})
	if err != nil {
		return err
	}
	// Its log alone tells which ports it was given.
	core, told := observer.New(zap.InfoLevel)
	r, err := factory.CreateTraces(ctx, receiver.Settings{
		ID: component.NewID(factory.Type()),
		TelemetrySettings: component.TelemetrySettings{
			Logger: zap.New(core), TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider(),
			Resource: pcommon.NewResource(),
		},
	}, config, print)
	if err != nil {
		return err
	}
	if err := r.Start(ctx, host{}); err != nil {
		return err
	}
	addresses := []any{"ready"}
	for _, protocol := range []string{"GRPC", "HTTP"} {
		started := told.FilterMessage("Starting " + protocol + " server").All()
		if len(started) != 1 {
			return fmt.Errorf("the receiver's log does not tell where it serves %s: %v", protocol, told.All())
		}
		addresses = append(addresses, started[0].ContextMap()["endpoint"])
	}
	fmt.Println(addresses...)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return r.Shutdown(ctx)
}
