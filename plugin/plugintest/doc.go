// Package plugintest is about what only a plugin process can show: how it
// comes up and goes, kills, hangs, hosts that vanish, calls that are cut short.
//
// Promises are those that any plugin must keep, in whatever language it is
// written; they are checked by a host of its own kind, which knows nothing
// but the published protocol. The package's tests are about the other side:
// what this module's host, plugin.Launch, makes of plugins that break them.
package plugintest
