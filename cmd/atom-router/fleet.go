package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/pflag"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

// Environment variables that say which daemon to ask.
const (
	addressVariable    = "ATOM_ROUTER_ADDRESS"
	certVariable       = "ATOM_ROUTER_TLS_CERT"
	keyVariable        = "ATOM_ROUTER_TLS_KEY"
	caVariable         = "ATOM_ROUTER_TLS_CA"
	serverNameVariable = "ATOM_ROUTER_TLS_SERVER_NAME"
)

// fleet is the router that a verb works with: one in this process, or a
// daemon's.
type fleet interface {
	atom.Engine
	atom.Deleter
	atom.Lookuper
	Explain(context.Context, *atom.EngineCreateRequest) (router.Decision, error)
	ProbeBackends(ctx context.Context, names ...string) ([]router.BackendStatus, error)
	ListBackends(req *atom.EngineListRequest, names ...string) ([]atom.Atom, error)
	StreamBackends(req *atom.EngineListRequest, found func(atom.Atom) error, names ...string) error
}

var (
	_ fleet = (*router.Engine)(nil)
	_ fleet = (*router.Remote)(nil)
)

func (a *app) addressFlags(flags *pflag.FlagSet) {
	flags.StringVar(&a.address, "address", "", "ask the daemon at `ADDRESS`, unix:///PATH or HOST:PORT, and read no config ($"+addressVariable+")")
	flags.StringVar(&a.tls.Cert, "tls-cert", "", "certificate `FILE` to show the daemon ($"+certVariable+")")
	flags.StringVar(&a.tls.Key, "tls-key", "", "its key `FILE` ($"+keyVariable+")")
	flags.StringVar(&a.tls.CA, "tls-ca", "", "`FILE` of the CA that signed the daemon's certificate ($"+caVariable+")")
	flags.StringVar(&a.tls.ServerName, "tls-server-name", "", "`NAME` in the daemon's certificate, where it is not the address's host ($"+serverNameVariable+")")
}

// endpoint is the daemon that is meant; false where none is. A config that is
// named on the command line is meant rather than a variable's daemon.
func (a *app) endpoint() (router.Endpoint, bool) {
	if a.address == "" && a.configPath != "" {
		return router.Endpoint{}, false
	}
	or := func(flag, variable string) string {
		if flag != "" {
			return flag
		}
		return os.Getenv(variable)
	}
	e := router.Endpoint{Address: or(a.address, addressVariable)}
	t := router.ClientTLS{
		Cert: or(a.tls.Cert, certVariable), Key: or(a.tls.Key, keyVariable),
		CA: or(a.tls.CA, caVariable), ServerName: or(a.tls.ServerName, serverNameVariable),
	}
	// Variables that are there for another address are no mistake at a socket.
	if given := a.tls != (router.ClientTLS{}); given || t != (router.ClientTLS{}) && !isSocket(e.Address) {
		e.TLS = &t
	}
	return e, e.Address != ""
}

func isSocket(address string) bool { return len(address) > 5 && address[:5] == "unix:" }

// withFleet calls do with the daemon that is meant, or with a router for the
// config, and ends it afterwards.
func (a *app) withFleet(ctx context.Context, do func(fleet) error) error {
	e, far := a.endpoint()
	if far {
		return a.withRemote(ctx, e, func(r *router.Remote) error { return do(r) })
	}
	file, err := a.read()
	if err != nil {
		return err
	}
	return a.withRouterOf(ctx, file, func(r *router.Engine) error { return do(r) })
}

func (a *app) withRemote(ctx context.Context, e router.Endpoint, do func(*router.Remote) error) error {
	if err := e.Check(); err != nil {
		return usage(addressError(err))
	}
	r, err := router.Dial(ctx, e, router.Options{Logger: a.logger(), DialOptions: a.tracer.DialOptions()})
	if err != nil {
		return err
	}
	return errors.Join(do(r), r.Close())
}

// addressError is err in terms of flags.
func addressError(err error) error {
	var f *atom.FieldError
	if !errors.As(err, &f) {
		return err
	}
	flag := map[string]string{
		"address": "--address", "tls": "--address", "tls.cert": "--tls-cert", "tls.key": "--tls-key",
	}[f.Field]
	return &atom.FieldError{Field: flag, Reason: f.Reason}
}
