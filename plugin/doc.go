// Package plugin is both ends of the wire between a router and an engine in
// another process.
//
// # For authors of engines
//
// A plugin is a program whose main function is Serve. It hands over a Plugin:
// its name, what its engine can do, the struct of its config and the function
// that makes the engine. Whoever has no engine yet begins with package driver,
// which makes one of three functions; package spool keeps output. The tutorial
// is docs/writing-a-plugin.md, and what goes over the wire, for other
// languages, the comments of proto/atomrouter/engine/v1/engine.proto.
//
//	router ── starts ──▶ process ── Describe, Configure(config) ──▶ New ──▶ engine
//	       ── calls ───▶         ── Create, Get, Wait, Logs, … ──────────────▶
//
// The config's schema follows from the struct's hcl tags (SchemaOf), so that
// users are told of their mistakes with the place in the file; what only the
// engine knows to be wrong New says with *atom.FieldErrors.
//
// Started with --debug, a plugin waits for routers to attach.
//
// # For hosts
//
// Launch starts a plugin in a process group of its own, with an environment of
// its own, over mutual TLS; Attach connects to one that somebody is debugging.
// Either is described by its Description, gets its config with Configure, and
// has an Engine, a Client, which is an atom.Engine. Package router does all of
// this; few others need to.
//
// # Versions
//
// ProtocolMajor must be the same on both sides, and where it is not, Launch
// says which one to upgrade. Within it the protocol only grows: what a side
// does not know it ignores, and what the other side does not have is done
// without.
package plugin
