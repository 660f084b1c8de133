// Package daemon serves one router to many clients: listeners and
// certificates, who may do what, the audit log, and an end that loses nothing.
// What a router does it leaves to package router, and the wire to package
// plugin; a request comes in like this:
//
//	listener ─▶ limit ─▶ credentials ─▶ tap (who, may they) ─▶ plugin's server ─▶ gate (owner, audit) ─▶ router.Engine
package daemon
