package main

import (
	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/internal/telemetry"
	"github.com/atom-router/atom-router/internal/tracing"
	"github.com/atom-router/atom-router/router"
)

// trace begins to trace, where the environment asks for it: what a verb asks
// of routers and plugins is one trace.
func (a *app) trace(cmd *cobra.Command) {
	if cmd.Name() == embeddedVerb {
		return // that is another process's part
	}
	a.tracer = tracing.Start(cmd.Context(), "atom-router", ownSource().version, a.logger())
	if cmd.Name() == "serve" {
		return // its clients' calls are the traces
	}
	ctx, exited := a.tracer.Verb(cmd.Context(), cmd.Name())
	cmd.SetContext(ctx)
	a.exited = exited
}

// traced ends what trace began.
func (a *app) traced(code int) {
	if a.exited != nil {
		a.exited(code)
	}
	a.tracer.Stop()
}

// observer is nil where nothing is traced.
func (a *app) observer() router.Observer {
	if a.tracer == nil {
		return nil
	}
	return telemetry.Observer(nil, a.tracer)
}
