// Package spool keeps what a job prints in memory, for engines whose backend
// keeps no logs of its own: writers for stdout and stderr on one side, and on
// the other everything that an atom.EngineLogsRequest may ask for.
//
//	s := spool.New(0)
//	cmd.Stdout, cmd.Stderr = s.Writer(atom.Stdout), s.Writer(atom.Stderr)
//	…
//	s.End() // when the job has ended
//
// An engine's Logs is then s.Read(r). Of the capabilities it gives
// atom.CapExactBytes and atom.CapLogStreams.
package spool
