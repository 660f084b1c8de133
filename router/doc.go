// Package router is an atom.Engine over many backends: rules choose where an
// atom is made, and its ID says ever after where it is.
//
//	scheduler ──▶ Engine ── rules ──▶ backend "gpu" ──▶ plugin process ──▶ cluster
//	                │                 backend "dev" ──▶ plugin process ──▶ daemon
//	                └─ "dev:3f9a…": Get, Logs, Wait, Stop, Delete by what stands before the ':'
//
// A Config says what there is; package router/config reads one from HCL. New
// makes an Engine of it, which starts each backend's plugin when a call first
// needs it and again when it died. Nothing is kept about atoms: routers with
// one config are interchangeable, and may end at any time.
//
// The router does once what all backends need: it validates requests, fills in
// owner and Key, finds the backend of an ID, refuses what a backend cannot do,
// and puts one prefix before errors (*atom.OpError). The rest is the engines'.
//
// Plugins are supervised: one that dies or hangs is started again, and Waits
// and Logs go on. Reload replaces the Config while all of that is under way.
// docs/reliability.md says what holds when something dies.
//
// # Create once
//
// A backend is passed over, as the rule's tiers say, only when it certainly
// made nothing: its plugin was never reached, or its engine says so. What may
// have been made is an *atom.OutcomeUnknown, after the same backend was asked
// once more under the same Key. Where the caller gave a Key and the rule leads
// to several backends, each is first asked whether it has the atom.
package router
