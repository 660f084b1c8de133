package config

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

// Serve is what a config says of the daemon. Other programs read past it.
type Serve struct {
	// Listen is where the daemon listens, in the file's order; empty for its
	// default.
	Listen []Listen
	// Access says who may do what; the first entry that fits a client counts.
	// Without any, whoever can connect may do everything.
	Access  []Access
	Metrics Metrics
	// DrainTimeout is how long Waits and Logs go on when the daemon ends.
	DrainTimeout time.Duration
	// AuditLog is the file of the audit log; "" for none.
	AuditLog string
}

// Metrics is the metrics listener.
type Metrics struct {
	// Listen is HOST:PORT; "" for none.
	Listen string
}

// DefaultDrainTimeout is the drain_timeout of a config that has none.
const DefaultDrainTimeout = 10 * time.Second

// Listen is one listener: a Unix socket by Path, or TCP by Address, where
// clients show certificates that ClientCA signed.
type Listen struct {
	Path    string
	Address string
	// PEM files; certificate and key are read again when they change.
	Cert, Key, ClientCA string
}

// String is the listener's address as clients write it.
func (l Listen) String() string {
	if l.Path != "" {
		return "unix://" + l.Path
	}
	return l.Address
}

// Access is what some clients may do.
type Access struct {
	Name string
	// Users are those of this machine's Unix sockets, by name or number, and
	// Certificates the names of certificates. Both are patterns; one that
	// fits is enough.
	Users, Certificates []router.Pattern
	// Owner is whose atoms they see and make.
	Owner string
	// Verbs are what they may do, as the command line has it; empty is
	// all but reload.
	Verbs []string
}

// Verbs are what an access block may allow.
func Verbs() []string {
	return []string{"create", "get", "list", "logs", "wait", "stop", "delete", "explain", "backends", "reload"}
}

// serve decodes the blocks of the daemon.
func (d *decoder) serve(body *hclsyntax.Body) Serve {
	s := Serve{DrainTimeout: DefaultDrainTimeout}
	names := map[string]bool{}
	listening := map[string]bool{}
	for _, b := range body.Blocks {
		switch b.Type {
		case "listen":
			if l, ok := d.listen(b); ok {
				if listening[l.String()] {
					d.fail(b.DefRange(), fmt.Sprintf("%s is listened at twice", l), "Leave out one of the two blocks.")
				}
				listening[l.String()] = true
				s.Listen = append(s.Listen, l)
			}
		case "access":
			a := d.access(b)
			if names[a.Name] && a.Name != "" {
				d.fail(b.LabelRanges[0], fmt.Sprintf("access %q is defined twice", a.Name), "The audit log names the block that let a client in, so no two may share one name.")
			}
			names[a.Name] = true
			s.Access = append(s.Access, a)
		case "metrics":
			s.Metrics = d.metrics(b)
		}
		d.in = ""
	}
	if a := body.Attributes["drain_timeout"]; a != nil {
		before := len(d.diags)
		s.DrainTimeout = d.duration(a)
		if len(d.diags) == before && s.DrainTimeout < 0 {
			d.fail(a.Expr.Range(), "drain_timeout is negative", "Write \"0\" to end Waits and Logs at once.")
		}
	}
	if a := body.Attributes["audit_log"]; a != nil {
		if path, ok := d.text(a); ok && path == "" {
			d.fail(a.Expr.Range(), "audit_log is empty", "Name a file, or leave it out.")
		} else if ok {
			s.AuditLog = d.path(path)
		}
	}
	return s
}

func (d *decoder) listen(b *hclsyntax.Block) (l Listen, ok bool) {
	before := len(d.diags)
	kind := d.label(b, `listen "unix" { … } or listen "tcp" { … }`)
	d.in = fmt.Sprintf("listen %q", kind)
	texts := map[string]*string{"path": &l.Path}
	switch kind {
	case "unix":
	case "tcp":
		texts = map[string]*string{"address": &l.Address, "cert": &l.Cert, "key": &l.Key, "client_ca": &l.ClientCA}
	case "":
		return l, false
	default:
		d.fail(b.LabelRanges[0], fmt.Sprintf("there is no listener %q", kind), didYouMean(kind, "The listeners are %s.", []string{"unix", "tcp"}))
		return l, false
	}
	names := []string{"path"}
	if kind == "tcp" {
		names = []string{"address", "cert", "key", "client_ca"}
	}
	d.check(b.Body, fmt.Sprintf("listen %q", kind), shape{attributes: names})
	for _, name := range names {
		a := b.Body.Attributes[name]
		if a == nil {
			what := map[string]string{
				"path": "Where the socket is to be: path = \"/run/atom-router/engine.sock\".", "address": "Where to listen: address = \":7443\".",
				"cert": "TCP is served with TLS alone.", "key": "TCP is served with TLS alone.",
				"client_ca": "Clients are known by certificates that this CA signed.",
			}
			d.fail(b.DefRange(), fmt.Sprintf("%s is missing", name), what[name])
			continue
		}
		text, ok := d.text(a)
		if ok && text == "" {
			d.fail(a.Expr.Range(), fmt.Sprintf("%s is empty", name), "")
			continue
		}
		*texts[name] = text
		if name == "address" && ok {
			d.hostPort(a, text)
		} else if ok {
			*texts[name] = d.path(text)
		}
	}
	if l.Path != "" {
		// Of a file that was named relatively, as ./atom-router.hcl is.
		if abs, err := filepath.Abs(l.Path); err == nil {
			l.Path = abs
		}
		if err := (router.Endpoint{Address: "unix://" + l.Path}).Check(); err != nil {
			d.fail(b.Body.Attributes["path"].Expr.Range(), "this cannot be a socket's path", err.Error())
		}
	}
	return l, len(d.diags) == before
}

func (d *decoder) access(b *hclsyntax.Block) (a Access) {
	a.Name = d.label(b, `access "name" { … }`)
	d.in = fmt.Sprintf("access %q", a.Name)
	d.check(b.Body, "an access block", shape{attributes: []string{"users", "certificates", "owner", "verbs"}})
	for _, attr := range attributesOf(b.Body) {
		switch attr.Name {
		case "users":
			a.Users = d.names(attr)
		case "certificates":
			a.Certificates = d.names(attr)
		case "owner":
			var ok bool
			if a.Owner, ok = d.text(attr); ok && (a.Owner == "" || atom.ValidateOwner(a.Owner) != nil) {
				d.fail(attr.Expr.Range(), fmt.Sprintf("%q is not an owner", a.Owner), "An owner is 1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends.")
			}
		case "verbs":
			a.Verbs = d.texts(attr, "verbs")
			if len(a.Verbs) == 0 {
				d.fail(attr.Expr.Range(), "verbs lists nothing", "Leave it out to allow all but reload.")
			}
			for _, one := range a.Verbs {
				if !slices.Contains(Verbs(), one) {
					d.fail(attr.Expr.Range(), fmt.Sprintf("there is no verb %q", one), didYouMean(one, "The verbs are %s.", Verbs()))
				}
			}
		}
	}
	if b.Body.Attributes["users"] == nil && b.Body.Attributes["certificates"] == nil {
		d.fail(b.DefRange(), "it says of nobody what they may do", "Add users = […] for those of this machine, or certificates = […]; [\"*\"] is all of them.")
	}
	if b.Body.Attributes["owner"] == nil {
		d.fail(b.DefRange(), "owner is missing", "It says whose atoms these clients see and make: owner = \"team-a\".")
	}
	return a
}

// names are the patterns of an access block.
func (d *decoder) names(a *hclsyntax.Attribute) []router.Pattern {
	items, ok := d.items(a.Expr)
	if ok && len(items) == 0 {
		d.fail(a.Expr.Range(), a.Name+" lists nothing", "Write [\"*\"] for all of them, or leave it out.")
	}
	return d.patterns(a.Name, items)
}

func (d *decoder) metrics(b *hclsyntax.Block) (m Metrics) {
	d.in = "metrics"
	d.noLabels(b)
	d.check(b.Body, "a metrics block", shape{attributes: []string{"listen"}})
	a := b.Body.Attributes["listen"]
	if a == nil {
		d.fail(b.DefRange(), "listen is missing", "Where to listen: listen = \"127.0.0.1:9464\".")
		return m
	}
	var ok bool
	if m.Listen, ok = d.text(a); ok {
		d.hostPort(a, m.Listen)
	}
	return m
}

// hostPort checks an address to listen at.
func (d *decoder) hostPort(a *hclsyntax.Attribute, text string) {
	if _, port, err := net.SplitHostPort(text); err != nil || port == "" {
		d.fail(a.Expr.Range(), fmt.Sprintf("%q is no address to listen at", text), "Write HOST:PORT, or :PORT for all of this machine's addresses.")
	}
}
