package plugintest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"

	"github.com/atom-router/atom-router/atom/atomtest"
)

const (
	// pingEvery is a little less than the ten seconds at which hosts ping, so
	// that a plugin which allows just these does not live on the edge of it.
	pingEvery = 9 * time.Second
	// pings is as many as it takes: gRPC's servers forgive two that come too
	// soon, and the first one never does.
	pings = 4
)

// checkPings pings as gRPC's keepalive does. gRPC itself does not tell when it
// is turned away, but connects again; and by then calls have been lost.
func checkPings(ctx context.Context, p *process, _ *atomtest.Env) error {
	facing := p.tls.Clone()
	facing.NextProtos = []string{"h2"}
	raw, err := new(net.Dialer).DialContext(ctx, "unix", p.socket)
	if err != nil {
		return err
	}
	conn := tls.Client(raw, facing)
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	defer func() { _ = raw.Close() }()
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("connecting to it: %w", err)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		return err
	}
	away := make(chan error, 1)
	answers := make(chan struct{}, pings)
	go func() { // ends with the connection
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				away <- err
				return
			}
			switch f := frame.(type) {
			case *http2.GoAwayFrame:
				away <- fmt.Errorf("GOAWAY %v %q", f.ErrCode, f.DebugData())
				return
			case *http2.PingFrame:
				if f.IsAck() {
					answers <- struct{}{}
				}
			}
		}
	}()
	for i := range pings {
		if i > 0 {
			select {
			case <-time.After(pingEvery):
			case err := <-away:
				return tooMany(i, err)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := framer.WritePing(false, [8]byte{byte(i)}); err != nil {
			return fmt.Errorf("pinging: %w", err)
		}
		select {
		case <-answers:
		case err := <-away:
			return tooMany(i+1, err)
		case <-time.After(soon):
			return errors.New("it does not answer a ping within " + soon.String())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case err := <-away: // it comes after the answer to the ping that was one too many
		return tooMany(pings, err)
	case <-time.After(time.Second):
		return nil
	}
}

func tooMany(pings int, err error) error {
	return fmt.Errorf("after %d pings, %v apart, it turns its host away: %w; want it to allow one every ten seconds, also without calls", pings, pingEvery, err)
}
