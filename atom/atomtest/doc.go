// Package atomtest is the exam of an atom.Engine: every line of the contract
// that an engine promises is one Promise, with a name that reads as the
// promise, the capabilities it needs and a check. Run puts an engine through
// all of them, in a subtest each; other drivers take the list from Promises
// and call Verify.
//
// The author of an engine writes a harness:
//
//	func TestConformance(t *testing.T) {
//		atomtest.Run(t, atomtest.Harness{New: func(t *testing.T) *atomtest.Env {
//			e, err := myengine.New(t.Context(), myengine.Config{})
//			if err != nil {
//				t.Fatal(err)
//			}
//			t.Cleanup(func() { e.Close() })
//			return &atomtest.Env{
//				Engine:       e,
//				Capabilities: myengine.Capabilities(),
//				Image:        "atomtest/probe:1",
//				Scratch:      t.TempDir(), // for bind mounts
//			}
//		}})
//	}
//
// The atoms of the exam run a small probe program. An engine that runs images
// needs it as one: BuildProbeFor makes the program and WriteProbeImage an
// archive for `docker load` or `ctr images import`. An engine that runs
// programs of its host takes BuildProbe's path as Env.Program.
//
// Promises are skipped for want of a declared capability and for no other
// reason, and the log says at the end how many were. What an engine cannot do
// it must refuse; that is checked too.
//
// The exam expects slow engines: it waits for what it asked for, two minutes
// at most, and measures only that things do not happen too soon, or that they
// do not take the minutes that a job would sleep. Each check removes its
// atoms; volumes stay behind (see Env.Volume).
package atomtest
