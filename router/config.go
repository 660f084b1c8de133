package router

import (
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
)

// Config is what a router routes by. Package router/config reads it from HCL;
// Go programs may as well build one by hand. Check tells what is wrong with
// one.
type Config struct {
	// Owner is whose atoms these are; "" is atom.DefaultOwner.
	Owner string
	// PluginDirs are searched in order for plugin binaries.
	PluginDirs []string
	Backends   []Backend
	// Rules are tried in order; the first that matches decides.
	Rules []Rule
	// Default decides where no rule matched; its Match and When are not
	// asked. The zero Default rejects.
	Default Rule
}

// Backend is one place that atoms can run: a plugin with a config of its own.
type Backend struct {
	// Name is the first part of the IDs of its atoms: [a-z][a-z0-9-]*.
	Name string
	// Plugin names the binary atom-plugin-<Plugin>.
	Plugin string
	// Address, where set, is another router's daemon, which serves the
	// backend in place of a plugin; see Endpoint. IDs nest: "edge:docker:…".
	Address string
	// TLS is for an Address that takes it.
	TLS *ClientTLS
	// Engine, where set, serves the backend inside this process, and Plugin
	// and all that concerns the plugin is not used. The router does not
	// close it.
	Engine atom.Engine
	// Attach is the socket of a plugin that was started by hand with --debug.
	// The router connects to it instead of launching one, and does not end
	// it; SHA256 and Env are not used. See Options.AllowAttach.
	Attach string
	// Aliases are earlier names, whose IDs still lead here.
	Aliases []string
	// SHA256 pins the plugin binary: 64 hexadecimal digits, "" for none.
	SHA256 string
	// Env names further variables of this process's environment that the
	// plugin gets.
	Env []string
	// Settings decodes the backend's own config against what its plugin
	// publishes. nil is an empty config.
	Settings Settings
	// MaxAtoms is how many of the owner's atoms may run or wait to run
	// before the backend counts as full; 0 is no limit.
	MaxAtoms int
	// Drain lets no new atoms in; everything else works.
	Drain bool
	// Retention is how long stopped atoms are kept; 0 is for ever.
	Retention time.Duration
}

// endpoint is where another router's daemon is.
func (b *Backend) endpoint() Endpoint { return Endpoint{Address: b.Address, TLS: b.TLS} }

// Settings is the config of one backend, not yet decoded: only its plugin
// knows what may stand in it.
type Settings interface {
	// Decode checks the config against schema and returns it as a JSON
	// object of the schema's shape, absent attributes left out. Its error
	// tells all that is wrong, with positions.
	Decode(schema plugin.Schema) ([]byte, error)
	// Equal reports whether other says the same, so that a plugin that was
	// given this need not be given that.
	Equal(other Settings) bool
	// Explain adds positions to what the plugin itself found wrong: err is
	// that of the plugin's Configure, with atom.FieldErrors naming paths
	// into the config ("tls.ca", "registry_auth[0].server").
	Explain(err error) error
}
