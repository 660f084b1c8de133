// Package atom is the contract between those who run workloads and the
// engines that run them.
//
// An Atom is one workload: a container on Docker, a pod on Kubernetes, a
// process group on a plain machine. An Engine makes atoms and finds them again
// by ID. The router of this module is an Engine too, and so is the client of
// a plugin process: programs written against Engine do not know which one
// they hold.
//
// Engine has six methods and never grows. What an engine can do beyond them
// it says with small interfaces (Deleter, Lookuper, Prober), and what an atom
// knows beyond its seven with others (ExitCoder, Messenger, Labeler), in the
// manner of io.WriterTo: ask with a type assertion.
//
// # Life of an atom
//
//	Create ──▶ created ──▶ running ──▶ stopped ──▶ Delete
//	              │           │           ▲
//	              │           └─ Stop ─▶ stopping
//	              └── never started ──────┘   (startup_failure, resource_failure)
//
// # Errors
//
// Errors carry a class of github.com/containerd/errdefs, tested with
// errdefs.IsNotFound and its sisters, also after they crossed a plugin's
// wire. A job that ends with a non-zero code is data and never an error.
//
// # Concurrency
//
// All methods of an Engine may be called from any number of goroutines. An
// Atom is an immutable snapshot.
package atom
