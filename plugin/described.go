package plugin

import (
	"context"
	"fmt"
	"os"

	"github.com/atom-router/atom-router/internal/wire"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// described is a plugin that has told what it is and can be configured.
type described struct {
	engine      *Client
	description Description
}

// describe asks what the plugin is; major is the protocol that was agreed on.
func (d *described) describe(ctx context.Context, c *Client, major int) error {
	r, err := c.rpc.Describe(ctx, &pb.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("asking it to describe itself: %w", wire.ErrorFromWire(ctx, err))
	}
	c.mute, c.plain = r.ProtocolMinor < minorProgress, true
	c.options = nil // the connection's own are the same
	d.engine = c
	d.description = Description{
		Name: r.Name, Version: r.Version, Protocol: fmt.Sprintf("%d.%d", major, r.ProtocolMinor),
		Capabilities: wire.CapabilitiesFromWire(r.Capabilities), Schema: schemaFromWire(r.Schema), Env: r.Environment,
	}
	return nil
}

// Description is what the plugin told when it was launched, or attached to.
func (d *described) Description() Description { return d.description }

// Configure hands the plugin its config, a JSON object of its schema's shape,
// and may be called once. What the plugin finds wrong with it are
// *atom.FieldErrors.
func (d *described) Configure(ctx context.Context, configJSON []byte) error {
	env := make(map[string]string)
	for _, name := range d.description.Env {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	_, err := d.engine.rpc.Configure(ctx, &pb.ConfigureRequest{Config: configJSON, Environment: env}, d.engine.options...)
	return wire.ErrorFromWire(ctx, err)
}

// Engine is the plugin's engine. It serves once Configure has succeeded.
func (d *described) Engine() *Client { return d.engine }
