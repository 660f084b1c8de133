// Package plugintest holds the tests of what only a plugin process can show:
// kills, hangs, noise on stdout, descriptors held by grandchildren, binaries
// that are no plugins.
package plugintest
