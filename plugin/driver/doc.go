// Package driver makes an engine of whatever can start a job, end it, and
// tell how it ended: the author of a Driver writes that and nothing else. New
// keeps the rest of the contract: atoms and their IDs, owners, keys, states,
// lists, waits, graces, logs, deletes and contexts.
//
//	func main() {
//		plugin.Serve(plugin.Plugin[config]{
//			Name: "mine", Version: "1.0.0", Capabilities: driver.Capabilities(),
//			New: func(ctx context.Context, c config, log plugin.Logger) (atom.Engine, error) {
//				return driver.New(mine{c}, driver.Options{}), nil
//			},
//		})
//	}
//
// Such an engine keeps its atoms in memory, so that they end with its process:
// Close, which plugin.Serve calls, kills what runs; atom.CapDurable is not
// among its capabilities. It is right for what
// cannot outlive the process anyhow, and for a beginning. An engine over a
// daemon that remembers is an atom.Engine of its own, which asks the daemon.
package driver
