package config

import (
	"fmt"
	"path/filepath"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/atom-router/atom-router/router"
)

// file decodes the whole file. Blocks that are wrong stand in the result as
// far as they were understood, so that others can refer to them.
func (d *decoder) file(body *hclsyntax.Body) (router.Config, Serve) {
	var c router.Config
	d.check(body, "a config", shape{
		attributes: []string{"owner", "plugin_dir", "drain_timeout", "audit_log"},
		blocks:     []string{"backend", "rule", "default", "listen", "access", "metrics"},
		once:       []string{"default", "metrics"},
	})
	if a := body.Attributes["owner"]; a != nil {
		d.at("owner", a.Expr.Range())
		if s, ok := d.text(a); ok {
			c.Owner = s
			if s == "" {
				d.fail(a.Expr.Range(), "the owner is empty", "Leave it out for \"default\".")
			}
		} else {
			d.broken["owner"] = true
		}
	}
	if a := body.Attributes["plugin_dir"]; a != nil {
		for _, dir := range d.texts(a, "plugin_dir") {
			if dir == "" {
				d.fail(a.Expr.Range(), "plugin_dir is empty", "Name the directory that holds plugin binaries; \".\" is that of this file.")
				continue
			}
			c.PluginDirs = append(c.PluginDirs, d.path(dir))
		}
	}
	fallback := false
	for _, b := range body.Blocks {
		switch b.Type {
		case "backend":
			path := fmt.Sprintf("backend[%d]", len(c.Backends))
			c.Backends = append(c.Backends, d.backend(b, path))
		case "rule":
			path := fmt.Sprintf("rule[%d]", len(c.Rules))
			c.Rules = append(c.Rules, d.rule(b, path))
		case "default":
			if !fallback {
				c.Default = d.fallback(b)
			}
			fallback = true
		}
		d.in = ""
	}
	s := d.serve(body)
	d.at("", d.source.start())
	return c, s
}

// path is one of the file's, which are relative to its directory.
func (d *decoder) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(filepath.Dir(d.source.name), p)
}
