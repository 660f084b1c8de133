package plugintest

import (
	"context"
	"slices"

	"github.com/atom-router/atom-router/atom/atomtest"
)

// Candidate is a plugin that is put to the test.
type Candidate struct {
	// Command is the command line that starts it.
	Command []string
	// Env names variables of this process's environment that it gets beside
	// those that every plugin gets.
	Env []string
	// Config is a good config, as Configure gets it; nil is an empty one.
	Config []byte
}

// Promises returns what a plugin's process promises beside what its engine
// does, in the order of its life; each check starts processes of its own. They
// are checked like the engine's, by Verify with an Env of that engine, whose
// Engine is a process too, or of the same backend: it removes the atoms.
func Promises(c Candidate) []atomtest.Promise {
	return slices.Concat(
		c.handshakePromises(), c.configPromises(), c.callPromises(), c.faultPromises(), c.endPromises(),
	)
}

// check is a promise's check with a configured process and an Env whose
// engine that is.
type check func(ctx context.Context, p *process, e *atomtest.Env) error

// with starts the process for a check, and ends it afterwards.
func (c Candidate) with(do check) func(context.Context, *atomtest.Env) error {
	return func(ctx context.Context, e *atomtest.Env) error {
		p, err := c.begin(ctx)
		if err != nil {
			return err
		}
		defer p.close()
		return p.why(do(ctx, p, at(e, p)))
	}
}

// at is e with a process's engine. What it makes is removed with what e does.
func at(e *atomtest.Env, p *process) *atomtest.Env {
	own := *e
	own.Engine = p.engine
	return &own
}
