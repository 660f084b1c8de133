// Package config reads a router's config from HCL. It finds all mistakes at
// once, each with its place, the line it stands in, and what to do about it.
//
// The language is described in docs/config.md. This is the only package that
// imports HCL.
package config

import (
	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

// Load reads the config in a file. Its error is Diagnostics with all that is
// wrong; warnings alone are no error, and Read tells them.
//
// What stands in the backends' config blocks is decoded later, by each
// Backend's Settings, since only the plugins know what may stand there.
func Load(path string) (router.Config, error) {
	f, ds := Read(path)
	if err := ds.err(); err != nil {
		return router.Config{}, err
	}
	return f.Config, nil
}

// File is a config that was read, with the places of what it says.
type File struct {
	// Config is what the file says; where it has mistakes, no router is to
	// be made of it.
	Config router.Config
	// Serve is what it says of the daemon.
	Serve Serve

	decoder *decoder
}

// Read reads the config in a file and returns all that is to be said about it,
// warnings too. The File is never nil.
func Read(path string) (*File, Diagnostics) {
	text, err := read(path)
	if err != nil {
		s := &source{name: path}
		return &File{decoder: newDecoder(s)}, Diagnostics{{
			Severity: router.SeverityError,
			Summary:  "the config cannot be read: " + err.Error(),
			Range:    s.start(),
			source:   s,
		}}
	}
	return Parse(path, text)
}

// Parse is Read of a text; paths in it are relative to the directory of
// filename.
func Parse(filename string, text []byte) (*File, Diagnostics) {
	d := newDecoder(&source{name: filename, text: text})
	f := &File{decoder: d}
	body := d.parse()
	if body == nil {
		return f, d.diags.sorted()
	}
	f.Config, f.Serve = d.file(body)
	d.problems(f.Config.Check())
	return f, d.diags.sorted()
}

// CheckAttach finds backends that are attached to plugins started by hand; see
// router.Config.CheckAttach.
func (f *File) CheckAttach() Diagnostics {
	d := *f.decoder
	d.diags = nil
	d.problems(f.Config.CheckAttach())
	return d.diags.sorted()
}

// CheckCapabilities finds rules that lead to no backend that could do what
// they match; see router.Config.CheckCapabilities.
func (f *File) CheckCapabilities(caps func(backend string) (atom.Capabilities, bool)) Diagnostics {
	d := *f.decoder
	d.diags = nil
	d.problems(f.Config.CheckCapabilities(caps))
	return d.diags.sorted()
}
