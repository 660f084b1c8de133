//go:build linux || darwin

package process

// noNotifier leaves everything to the watcher's polling.
type noNotifier struct{}

func (noNotifier) add(*subscription, string, watchKind) bool { return false }
func (noNotifier) remove(*subscription)                      {}
func (noNotifier) close()                                    {}
