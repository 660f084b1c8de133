package daemon

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	systemd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/atom-router/atom-router/router/config"
)

// inherited are the sockets that systemd opened before it started this process
// (sd_listen_fds(3)), and which nothing serves at yet.
type inherited []net.Listener

// inherit takes what systemd gave, once. No child gets it.
func inherit() (inherited, error) {
	var in inherited
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f)
		if err = errors.Join(err, f.Close()); err != nil {
			in.close()
			return nil, fmt.Errorf("the socket %q from systemd cannot be used: %w", f.Name(), rootOf(err))
		}
		in = append(in, l)
	}
	return in, nil
}

// listen are the listeners of a config that names none. TCP needs certificates,
// which only a config names.
func (in inherited) listen() []config.Listen {
	var all []config.Listen
	for _, l := range in {
		if at, ok := l.Addr().(*net.UnixAddr); ok {
			all = append(all, config.Listen{Path: at.Name})
		}
	}
	return all
}

// take returns the socket that is where l wants one; nil where there is none.
func (in *inherited) take(l config.Listen) net.Listener {
	i := slices.IndexFunc(*in, func(given net.Listener) bool { return isAt(given, l) })
	if i < 0 {
		return nil
	}
	taken := (*in)[i]
	*in = slices.Delete(*in, i, i+1)
	return taken
}

func isAt(given net.Listener, l config.Listen) bool {
	switch at := given.Addr().(type) {
	case *net.UnixAddr:
		return l.Path != "" && at.Name == l.Path
	case *net.TCPAddr:
		want, err := net.ResolveTCPAddr("tcp", l.Address)
		if l.Address == "" || err != nil || want.Port != at.Port {
			return false
		}
		return want.IP.Equal(at.IP) || unspecified(want.IP) && unspecified(at.IP)
	}
	return false
}

func unspecified(ip net.IP) bool { return ip == nil || ip.IsUnspecified() }

// rest says what nobody took: clients would wait there for ever.
func (in inherited) rest() error {
	if len(in) == 0 {
		return nil
	}
	var at []string
	for _, l := range in {
		at = append(at, l.Addr().String())
	}
	return fmt.Errorf("systemd listens at %s, and no listen block of the config is for that; the socket unit and the config have to name the same", strings.Join(at, ", "))
}

func (in inherited) close() {
	for _, l := range in {
		_ = l.Close()
	}
}

// tell tells systemd how the daemon is (sd_notify(3)), where systemd started it
// and wants to know.
func (d *Daemon) tell(states ...string) {
	if _, err := systemd.SdNotify(false, strings.Join(states, "\n")); err != nil {
		d.log.Warn("telling systemd", "state", states[0], "error", err)
	}
}

// status is for people who ask systemd.
func (d *Daemon) status() string { return "STATUS=Serving at " + strings.Join(d.Addresses(), ", ") }
