package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

func (c Candidate) configPromises() []atomtest.Promise {
	return []atomtest.Promise{
		{Name: "it describes itself before it is configured", Check: c.unconfigured(func(ctx context.Context, p *process, _ *atomtest.Env) error {
			d, err := p.rpc.Describe(ctx, &pb.DescribeRequest{})
			if err != nil {
				return fmt.Errorf("describe: %w", err)
			}
			var errs []error
			if strings.TrimSpace(d.Name) == "" || strings.TrimSpace(d.Version) == "" {
				errs = append(errs, fmt.Errorf("its name is %q and its version %q; want both", d.Name, d.Version))
			}
			return errors.Join(append(errs, checkSchema("", d.Schema)...)...)
		})},
		{Name: "what it can do now is among what it describes as the most", Check: c.with(func(ctx context.Context, p *process, _ *atomtest.Env) error {
			d, err := p.rpc.Describe(ctx, &pb.DescribeRequest{})
			if err != nil {
				return fmt.Errorf("describe: %w", err)
			}
			now, err := p.rpc.Probe(ctx, &pb.ProbeRequest{})
			if status.Code(err) == codes.Unimplemented {
				return nil // then it is what Describe says
			}
			if err != nil {
				return fmt.Errorf("probe: %w", err)
			}
			for _, name := range now.Capabilities {
				if !slices.Contains(d.Capabilities, name) {
					return fmt.Errorf("probe says %q, which is not among the capabilities in describe: %q", name, d.Capabilities)
				}
			}
			return nil
		})},
		{Name: "until it is configured other calls are FailedPrecondition", Check: c.unconfigured(func(ctx context.Context, p *process, e *atomtest.Env) error {
			_, err := p.engine.Get(&atom.EngineGetRequest{ID: "x", Owner: e.Owner, Context: ctx})
			_, lerr := p.engine.List(&atom.EngineListRequest{Owner: e.Owner, Context: ctx})
			return errors.Join(precondition("get", err), precondition("list", lerr))
		})},
		{Name: "a setting that there is not is refused by its name", Check: c.unconfigured(func(ctx context.Context, p *process, _ *atomtest.Env) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			config["no_such_setting"] = json.RawMessage(`"x"`)
			return p.refuses(ctx, config, "no_such_setting")
		})},
		{Name: "a setting of another type is refused by its name", Check: c.unconfigured(func(ctx context.Context, p *process, _ *atomtest.Env) error {
			d, err := p.rpc.Describe(ctx, &pb.DescribeRequest{})
			if err != nil {
				return fmt.Errorf("describe: %w", err)
			}
			for _, a := range d.GetSchema().GetAttributes() {
				config, err := c.settings()
				if err != nil {
					return err
				}
				config[a.Name] = json.RawMessage(`{"no":{"such":["setting"]}}`)
				if t, err := ctyjson.UnmarshalType([]byte(a.Type)); err == nil && !t.IsPrimitiveType() {
					config[a.Name] = json.RawMessage(`"x"`)
				}
				if err := p.refuses(ctx, config, a.Name); err != nil {
					return err
				}
			}
			return nil
		})},
		{Name: "a good config is taken after a bad one", Check: c.unconfigured(func(ctx context.Context, p *process, e *atomtest.Env) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			config["no_such_setting"] = json.RawMessage("1")
			bad, err := json.Marshal(config)
			if err != nil {
				return err
			}
			_ = p.configure(ctx, bad) // another promise
			if err := p.configure(ctx, c.Config); err != nil {
				return fmt.Errorf("configure with a good config after a bad one: %w", err)
			}
			_, err = e.List(ctx, noTime, noTime)
			return err
		})},
	}
}

// unconfigured starts the process for a check and leaves Configure to that.
func (c Candidate) unconfigured(do check) func(context.Context, *atomtest.Env) error {
	return func(ctx context.Context, e *atomtest.Env) error {
		p, err := c.meet(ctx)
		if err != nil {
			return err
		}
		defer p.close()
		return p.why(do(ctx, p, at(e, p)))
	}
}

// settings are the good config's.
func (c Candidate) settings() (map[string]json.RawMessage, error) {
	config := make(map[string]json.RawMessage)
	if len(c.Config) == 0 {
		return config, nil
	}
	return config, json.Unmarshal(c.Config, &config)
}

// refuses says whether the plugin finds this setting wrong in a config.
func (p *process) refuses(ctx context.Context, config map[string]json.RawMessage, setting string) error {
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	err = p.configure(ctx, text)
	if code := status.Code(err); code != codes.InvalidArgument {
		return fmt.Errorf("configure with %s = %s: %v; want InvalidArgument", setting, config[setting], orNone(err))
	}
	var fields []string
	for _, detail := range status.Convert(err).Details() {
		if d, ok := detail.(*pb.ErrorDetail); ok {
			for _, f := range d.Fields {
				fields = append(fields, f.Field)
			}
		}
	}
	if !slices.ContainsFunc(fields, func(f string) bool {
		return f == setting || strings.HasPrefix(f, setting+".") || strings.HasPrefix(f, setting+"[")
	}) {
		return fmt.Errorf("configure with %s = %s: %q names the fields %q in its ErrorDetail; want %q", setting, config[setting], err, fields, setting)
	}
	return nil
}

// checkSchema finds what hosts cannot read.
func checkSchema(path string, s *pb.Schema) []error {
	var errs []error
	for _, a := range s.GetAttributes() {
		if a.Name == "" {
			errs = append(errs, fmt.Errorf("an attribute of its schema has no name"))
		}
		if t, err := ctyjson.UnmarshalType([]byte(a.Type)); err != nil || t == cty.NilType {
			errs = append(errs, fmt.Errorf("the type of %s%s in its schema is %q; want a cty type as JSON, such as %q", path, a.Name, a.Type, `"string"`))
		}
		if a.Required && a.Default != "" {
			errs = append(errs, fmt.Errorf("%s%s is required in its schema, and has the default %q; want one of them", path, a.Name, a.Default))
		}
	}
	for _, b := range s.GetBlocks() {
		if b.Type == "" {
			errs = append(errs, fmt.Errorf("a block of its schema has no type"))
		}
		errs = append(errs, checkSchema(path+b.Type+".", b.Schema)...)
	}
	return errs
}

// precondition says whether a call was refused because it came too early.
func precondition(call string, err error) error {
	if !errdefs.IsFailedPrecondition(err) {
		return fmt.Errorf("%s before configure: %s; want FailedPrecondition", call, orNone(err))
	}
	return nil
}

// orNone is an error in words.
func orNone(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}
