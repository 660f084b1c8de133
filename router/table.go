package router

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// table is what one config makes: the backends there are, and the rules that
// lead to them. It does not change; a reload replaces it.
type table struct {
	config   Config
	backends []*backend
	byName   map[string]*backend // aliases too
	index    *index              // of config's rules
}

// newTable checks config and makes a table of it. Backends that old has and
// that config does not change go on as they are; fresh are the others, which
// nobody has started yet. old may be nil.
func newTable(config Config, o Options, old *table) (t *table, fresh []*backend, err error) {
	var wrong []error
	problems := config.Check()
	if !o.AllowAttach {
		problems = append(problems, config.CheckAttach()...)
	}
	for _, p := range problems {
		if p.Severity == SeverityError {
			wrong = append(wrong, errors.New(p.String()))
		} else {
			o.Logger.Warn("router config", "problem", p.String())
		}
	}
	if len(wrong) > 0 {
		return nil, nil, atom.Errorf(errdefs.ErrInvalidArgument, "router config: %w", errors.Join(wrong...))
	}
	config.Rules = prepared(config.Rules)
	t = &table{config: config, byName: make(map[string]*backend), index: newIndex(config.Rules)}
	l := &launcher{dirs: config.PluginDirs, builtin: o.Builtin, timeout: o.StartTimeout, dial: o.DialOptions}
	for _, conf := range config.Backends {
		b := &backend{conf: conf}
		if was := old.served(conf, l); was != nil {
			b.supervisor, b.rooms = was.supervisor, was.rooms
		} else {
			log := o.Logger.Named(conf.Name)
			b.rooms = newRooms()
			startTimeout := o.StartTimeout
			if conf.Attach != "" {
				startTimeout = attachPatience
			}
			b.supervisor = newSupervisor(log, startTimeout, func(ctx context.Context) (*instance, error) {
				if conf.Engine != nil {
					return inProcess(conf.Engine), nil
				}
				if conf.Address != "" {
					return dial(ctx, conf.endpoint(), o.DialOptions)
				}
				return l.start(ctx, conf, log)
			})
			if conf.Address != "" {
				b.patience = daemonPatience
			}
			b.dirs, b.attached = config.PluginDirs, conf.Attach != ""
			fresh = append(fresh, b)
		}
		t.backends = append(t.backends, b)
		for _, name := range append([]string{conf.Name}, conf.Aliases...) {
			t.byName[name] = b
		}
	}
	return t, fresh, nil
}

// served returns the backend of t that is started and configured as conf
// says, which l would start; nil where there is none.
func (t *table) served(conf Backend, l *launcher) *backend {
	if t == nil {
		return nil
	}
	was := t.byName[conf.Name]
	if was == nil || was.conf.Name != conf.Name {
		return nil
	}
	if conf.Engine != nil || was.conf.Engine != nil {
		if sameEngine(conf.Engine, was.conf.Engine) {
			return was
		}
		return nil
	}
	if conf.Attach != "" || was.conf.Attach != "" {
		if conf.Attach == was.conf.Attach && sameSettings(conf.Settings, was.conf.Settings) {
			return was
		}
		return nil
	}
	if conf.Address != "" || was.conf.Address != "" {
		if conf.Address == was.conf.Address && reflect.DeepEqual(conf.TLS, was.conf.TLS) {
			return was
		}
		return nil
	}
	// What is found there now is what its next launch starts.
	command, err := FindPlugin(conf.Plugin, l.dirs, l.builtin)
	before, errBefore := FindPlugin(was.conf.Plugin, was.dirs, l.builtin)
	if (err != nil || errBefore != nil) && !slices.Equal(l.dirs, was.dirs) {
		return nil
	}
	if conf.Plugin == was.conf.Plugin && conf.SHA256 == was.conf.SHA256 &&
		slices.Equal(command, before) && slices.Equal(conf.Env, was.conf.Env) &&
		sameSettings(conf.Settings, was.conf.Settings) {
		return was
	}
	return nil
}

func sameEngine(a, b atom.Engine) bool {
	return a != nil && b != nil && reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

func sameSettings(a, b Settings) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Equal(b)
}

// named returns the backends of these names, all where there are none.
func (t *table) named(names []string) ([]*backend, error) {
	if len(names) == 0 {
		return t.backends, nil
	}
	var bs []*backend
	for _, name := range names {
		b, ok := t.byName[name]
		if !ok {
			return nil, t.noBackend(name)
		}
		bs = append(bs, b)
	}
	return bs, nil
}

func (t *table) noBackend(name string) error {
	var known []string
	for _, b := range t.backends {
		known = append(known, b.conf.Name)
	}
	hint := "the backends are " + strings.Join(known, ", ")
	if near := Nearest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return atom.Errorf(errdefs.ErrNotFound, "there is no backend %s; %s", quote(name), hint)
}

// owner is whose atoms a request means.
func (t *table) owner(asked string) (string, error) {
	if asked == "" {
		return atom.OwnerOr(t.config.Owner), nil
	}
	return asked, atom.ValidateOwner(asked)
}

func (t *table) health(name string) Health { return t.byName[name].health() }
