package router

import "context"

// Client is who asks a router that serves many: what rules see as client.name
// and client.owner.
type Client struct {
	Name string
	// Owner is whose atoms are the client's.
	Owner string
}

type clientKey struct{}

// WithClient is ctx for a request that c makes. Daemons call it; rules see
// nothing of a client where nobody did but the request's owner.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientOf is who makes the request of ctx, the zero Client where nobody said.
func ClientOf(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	return c
}
