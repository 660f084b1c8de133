package plugintest

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/atom-router/atom-router/atom/atomtest"
)

func (c Candidate) endPromises() []atomtest.Promise {
	return []atomtest.Promise{
		{Name: "it ends when its stdin does, with calls under way", Check: c.with(func(ctx context.Context, p *process, e *atomtest.Env) error {
			a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			logs, err := e.Logs(ctx, a.ID(), nil)
			if err != nil {
				return err
			}
			defer func() { _ = logs.Close() }()
			if _, err := logs.Read(make([]byte, 1)); err != nil { // then they are under way
				return err
			}
			inner, cancel := context.WithCancel(ctx)
			defer cancel()
			go func() { _, _ = e.Wait(inner, a.ID()) }() // ends with inner
			return p.endsWithStdin(ctx)
		})},
		{Name: "it ends when its stdin does, before it is configured", Check: c.unconfigured(func(ctx context.Context, p *process, _ *atomtest.Env) error {
			return p.endsWithStdin(ctx)
		})},
		{Name: "one that stood still while its host went ends when it goes on", Check: c.with(func(ctx context.Context, p *process, _ *atomtest.Env) error {
			if err := p.standStill(ctx); err != nil {
				return err
			}
			_ = p.stdin.Close()
			if err := p.signal(syscall.SIGCONT); err != nil {
				return err
			}
			return p.endsSoon(ctx, "the end of its stdin, during which it stood still")
		})},
		{Name: "a plugin that is asked to end does so", Check: c.with(func(ctx context.Context, p *process, _ *atomtest.Env) error {
			asking, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			// Whoever does not serve it ends by its stdin.
			_ = p.conn.Invoke(asking, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
			return p.endsWithStdin(ctx)
		})},
		{Name: "what it started in its process group ends with it", Check: c.with(func(ctx context.Context, p *process, e *atomtest.Env) error {
			if _, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long); err != nil {
				return err
			}
			if err := p.endsWithStdin(ctx); err != nil {
				return err
			}
			if err := until(ctx, soon, "the end of its process group", func() bool { return !inGroup(p.pid()) }); err != nil {
				return fmt.Errorf("processes that it started in its group outlive it: %w", err)
			}
			return nil
		})},
	}
}

// endsWithStdin takes the plugin its stdin, as the end of its host does.
func (p *process) endsWithStdin(ctx context.Context) error {
	_ = p.stdin.Close() // it has ended already where this fails
	return p.endsSoon(ctx, "the end of its stdin")
}
