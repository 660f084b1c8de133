// Package memengine is an atom.Engine that keeps its atoms in memory and runs
// the conformance suite's probe steps in goroutines instead of processes. It
// keeps every promise of the contract, within microseconds, and is what tests
// of plugins and routers put behind them.
//
// Of images it knows those it is told of (Image by default); each holds one
// program, Program, whose ENTRYPOINT it is. Of users it knows root, worker and
// numbers.
//
//	e := memengine.New()
//	defer e.Close()
//	a, err := e.Create(&atom.EngineCreateRequest{
//		Image: memengine.Image, Command: []string{"print", "hello", ";", "exit", "3"},
//	})
package memengine
