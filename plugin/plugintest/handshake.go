package plugintest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/atom-router/atom-router/atom/atomtest"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

func (c Candidate) handshakePromises() []atomtest.Promise {
	return []atomtest.Promise{
		{Name: "a plugin that no host started says so on stderr and ends with an error", Check: func(ctx context.Context, _ *atomtest.Env) error {
			p, err := c.start(ctx)
			if err != nil {
				return err
			}
			defer p.close()
			if err := p.endsSoon(ctx, "its start without "+cookie); err != nil {
				return err
			}
			if out := p.stdout.String(); strings.Count(out, "|") >= 3 {
				return fmt.Errorf("without %s in its environment it shakes hands: %q", cookie, out)
			}
			if p.end == nil {
				return fmt.Errorf("without %s in its environment it ended with status 0; want an error", cookie)
			}
			if strings.TrimSpace(p.stderr.String()) == "" {
				return fmt.Errorf("without %s in its environment it says nothing on stderr; want why it ends", cookie)
			}
			return nil
		}},
		{Name: "the first line on stdout is the handshake", Check: func(ctx context.Context, _ *atomtest.Env) error {
			p, err := c.meet(ctx)
			if err != nil {
				return err
			}
			defer p.close()
			f := strings.Split(strings.TrimSpace(p.line), "|")
			var errs []error
			for i, want := range []string{"1", "1", "unix", "", "grpc"} {
				if want != "" && f[i] != want {
					errs = append(errs, fmt.Errorf("field %d of its handshake %.60q is %q; want %q", i+1, p.line, f[i], want))
				}
			}
			if filepath.Dir(p.socket) != p.dir {
				errs = append(errs, fmt.Errorf("its socket is %s; want one in %s, as PLUGIN_UNIX_SOCKET_DIR says", p.socket, p.dir))
			}
			return errors.Join(errs...)
		}},
		{Name: "of the versions that its host offers it chooses the one that it speaks", Check: func(ctx context.Context, _ *atomtest.Env) error {
			p, err := c.start(ctx, cookie, "PLUGIN_PROTOCOL_VERSIONS=999,1,998")
			if err != nil {
				return err
			}
			defer p.close()
			if err := p.shake(ctx); err != nil {
				return p.why(err)
			}
			if f := strings.Split(p.line, "|"); f[1] != "1" {
				return fmt.Errorf("offered the versions 999, 1 and 998 it chose %q; want 1", f[1])
			}
			return nil
		}},
		{Name: "it answers nobody but the host that started it", Check: c.checkStrangers},
		{Name: "its health service says that it serves", Check: c.with(func(ctx context.Context, p *process, _ *atomtest.Env) error {
			resp, err := grpc_health_v1.NewHealthClient(p.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "plugin"})
			if err != nil {
				return fmt.Errorf("asking grpc.health.v1.Health about %q: %w", "plugin", err)
			}
			if resp.Status != grpc_health_v1.HealthCheckResponse_SERVING {
				return fmt.Errorf("its health is %v; want SERVING", resp.Status)
			}
			return nil
		})},
	}
}

// checkStrangers tries to speak to the plugin without the certificate that it
// was given.
func (c Candidate) checkStrangers(ctx context.Context, _ *atomtest.Env) error {
	p, err := c.meet(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	stranger, err := newIdentity()
	if err != nil {
		return err
	}
	another, none := p.tls.Clone(), p.tls.Clone()
	another.Certificates, none.Certificates = nil, nil
	another.Certificates = append(another.Certificates, stranger.certificate)
	for _, s := range []struct {
		who   string
		creds credentials.TransportCredentials
	}{
		{"without TLS", insecure.NewCredentials()},
		{"without a certificate", credentials.NewTLS(none)},
		{"with another certificate than that in PLUGIN_CLIENT_CERT", credentials.NewTLS(another)},
	} {
		conn, err := connect(p.socket, s.creds)
		if err != nil {
			return err
		}
		_, err = pb.NewEngineClient(conn).Describe(ctx, &pb.DescribeRequest{})
		_ = conn.Close()
		if err == nil {
			return fmt.Errorf("it answers a client %s; want no connection", s.who)
		}
		if code := status.Code(err); code != codes.Unavailable {
			return fmt.Errorf("a client %s gets %w; want no connection", s.who, err)
		}
	}
	if _, err := p.rpc.Describe(ctx, &pb.DescribeRequest{}); err != nil {
		return p.why(fmt.Errorf("after strangers called, its host gets %w", err))
	}
	return nil
}
