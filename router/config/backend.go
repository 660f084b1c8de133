package config

import (
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/atom-router/atom-router/router"
)

func (d *decoder) backend(block *hclsyntax.Block, path string) router.Backend {
	b := router.Backend{}
	d.in = "backend"
	if len(block.Labels) > 0 {
		d.in = fmt.Sprintf("backend %q", block.Labels[0])
	}
	d.at(path, block.DefRange())
	before := len(d.diags)
	b.Name = d.label(block, `backend "name" { … }`)
	if len(block.LabelRanges) > 0 {
		d.at(path+".name", block.LabelRanges[0])
	}
	d.misses(path+".name", before)
	body := block.Body
	d.check(body, "a backend", shape{
		attributes: []string{"plugin", "address", "attach", "aliases", "sha256", "env", "max_atoms", "drain", "retention"},
		blocks:     []string{"config", "tls"},
		once:       []string{"config", "tls"},
		unknown: func(name string) string {
			if isSetting(body, name) {
				return fmt.Sprintf("If it is for the plugin, it stands in a config block: config { %s = … }.", name)
			}
			return ""
		},
	})
	settings := &settings{decoder: d, in: d.in, body: &hclsyntax.Body{}, header: block.DefRange()}
	b.Settings = settings
	for _, inner := range body.Blocks {
		if inner.Type == "config" && settings.block == nil {
			d.noLabels(inner)
			settings.block, settings.body, settings.header = inner, inner.Body, inner.DefRange()
		}
		if inner.Type == "tls" && b.TLS == nil {
			b.TLS = d.clientTLS(inner, path+".tls")
		}
	}
	for _, a := range attributesOf(body) {
		path := path + "." + a.Name
		d.at(path, a.Expr.Range())
		before := len(d.diags)
		switch a.Name {
		case "plugin":
			b.Plugin, _ = d.text(a)
		case "address":
			var ok bool
			if b.Address, ok = d.text(a); ok && b.Address == "" {
				d.fail(a.Expr.Range(), "address is empty", "Where another router's daemon listens: \"unix:///run/edge.sock\", or HOST:PORT.")
			}
		case "aliases":
			b.Aliases = d.texts(a, path)
		case "sha256":
			b.SHA256, _ = d.text(a)
		case "env":
			b.Env = d.texts(a, path)
		case "max_atoms":
			if v, ok := d.value(a.Expr); ok {
				b.MaxAtoms, _ = d.whole(a.Name, item{v, a.Expr.Range()})
			}
		case "drain":
			b.Drain, _ = d.boolean(a)
		case "attach":
			if socket, ok := d.text(a); ok && socket != "" {
				b.Attach = d.path(socket)
			}
		case "retention":
			b.Retention = d.duration(a)
		}
		d.misses(path, before)
	}
	if a := body.Attributes["address"]; a != nil && settings.block != nil {
		d.fail(settings.header, "config is for plugins", "The daemon at the address has a config of its own.")
	} else if a == nil && b.TLS != nil {
		at, _ := d.place(path + ".tls")
		d.fail(at, "tls is for an address", "A plugin's own TLS stands in its config block.")
	}
	return b
}

// clientTLS decodes how a daemon at an address is asked.
func (d *decoder) clientTLS(block *hclsyntax.Block, path string) *router.ClientTLS {
	t := &router.ClientTLS{}
	d.at(path, block.DefRange())
	d.noLabels(block)
	d.check(block.Body, "a tls block", shape{attributes: []string{"cert", "key", "ca", "server_name"}})
	files := map[string]*string{"cert": &t.Cert, "key": &t.Key, "ca": &t.CA}
	for _, a := range attributesOf(block.Body) {
		path := path + "." + a.Name
		d.at(path, a.Expr.Range())
		before := len(d.diags)
		text, ok := d.text(a)
		switch to := files[a.Name]; {
		case !ok:
		case to != nil && text != "":
			*to = d.path(text)
		case to == nil:
			t.ServerName = text
		}
		d.misses(path, before)
	}
	return t
}

// isSetting guesses that an unknown attribute of a backend was meant for its
// plugin: it is near none of ours.
func isSetting(body *hclsyntax.Body, name string) bool {
	_, ok := body.Attributes[name]
	near := router.Nearest(name, []string{"plugin", "aliases", "sha256", "env", "max_atoms", "drain", "retention", "config", "address", "tls", "attach"})
	return ok && near == ""
}

// duration is a text like "24h", or "0".
func (d *decoder) duration(a *hclsyntax.Attribute) time.Duration {
	s, ok := d.text(a)
	if !ok {
		return 0
	}
	t, err := time.ParseDuration(s)
	if err != nil {
		d.fail(a.Expr.Range(), fmt.Sprintf("%q is no duration", s), "Write a number and a unit, as in \"90m\" or \"24h\"; days are 24h each.")
	}
	return t
}
