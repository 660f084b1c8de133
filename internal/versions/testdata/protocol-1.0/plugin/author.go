package plugin

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// author is the server of a plugin process: a server whose engine comes with
// Configure.
type author struct {
	server
	describe  *pb.DescribeResponse
	construct func(ctx context.Context, configJSON []byte) (atom.Engine, error)

	// configuring is held while the constructor runs, which may take long;
	// mu never is.
	configuring sync.Mutex
	mu          sync.Mutex
	configured  atom.Engine
	closing     sync.Once
}

func newAuthor[C any](p Plugin[C], log hclog.Logger) (*author, error) {
	var zero C
	schema, err := SchemaOf(zero)
	if err != nil {
		return nil, fmt.Errorf("its config: %w", err)
	}
	a := &author{
		describe: &pb.DescribeResponse{
			Name: p.Name, Version: p.Version, ProtocolMinor: ProtocolMinor,
			Capabilities: wire.CapabilitiesToWire(p.Capabilities), Schema: schemaToWire(schema), Environment: p.Env,
		},
		construct: func(ctx context.Context, configJSON []byte) (atom.Engine, error) {
			var config C
			if err := decodeConfig(configJSON, &config); err != nil {
				return nil, err
			}
			return p.New(ctx, config, log)
		},
	}
	a.server = server{engine: a.engine, log: log}
	return a, nil
}

func (a *author) engine() (atom.Engine, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.configured == nil {
		return nil, atom.Errorf(errdefs.ErrFailedPrecondition, "the plugin is not configured yet")
	}
	return a.configured, nil
}

func (a *author) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	return a.describe, nil
}

func (a *author) Configure(ctx context.Context, r *pb.ConfigureRequest) (resp *pb.ConfigureResponse, err error) {
	a.configuring.Lock()
	defer a.configuring.Unlock()
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("panic in the engine's constructor", "panic", p, "stack", string(debug.Stack()))
			err = wire.ErrorToWire(atom.Errorf(errdefs.ErrInternal, "the engine panicked in its constructor: %v", p))
		}
	}()
	if _, err := a.engine(); err == nil {
		return nil, wire.ErrorToWire(atom.Errorf(errdefs.ErrFailedPrecondition, "the plugin is configured already"))
	}
	for name, value := range r.Environment {
		if err := os.Setenv(name, value); err != nil {
			return nil, wire.ErrorToWire(atom.Errorf(errdefs.ErrInvalidArgument, "environment variable %q: %w", name, err))
		}
	}
	engine, err := a.construct(ctx, r.Config)
	if err == nil && engine == nil {
		err = atom.Errorf(errdefs.ErrInternal, "the plugin made no engine")
	}
	if err != nil {
		return nil, wire.ErrorToWire(err)
	}
	a.mu.Lock()
	a.configured = engine
	a.mu.Unlock()
	return &pb.ConfigureResponse{}, nil
}

// close ends the engine, within closeTime.
func (a *author) close() {
	a.closing.Do(func() {
		engine, err := a.engine()
		closer, ok := engine.(io.Closer)
		if err != nil || !ok {
			return
		}
		done := make(chan struct{})
		go func() { // ends with the process at the latest
			defer close(done)
			defer func() {
				if p := recover(); p != nil {
					a.log.Error("panic in the engine's Close", "panic", p, "stack", string(debug.Stack()))
				}
			}()
			if err := closer.Close(); err != nil {
				a.log.Warn("closing the engine", "error", err)
			}
		}()
		select {
		case <-done:
		case <-time.After(closeTime):
		}
	})
}
