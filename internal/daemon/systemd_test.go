package daemon

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atom-router/atom-router/router/config"
)

// What systemd gave is used for the listener that wants it and for no other,
// and what nobody wants is told.
func TestInherited(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "atd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "engine.sock")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in := inherited{unix, tcp}
	t.Cleanup(inherited{unix, tcp}.close)
	// TCP takes certificates, which no config named.
	if got := in.listen(); len(got) != 1 || got[0].Path != path {
		t.Errorf("without listen blocks it listens at %+v, want %s", got, path)
	}
	_, port, _ := net.SplitHostPort(tcp.Addr().String())
	for _, other := range []config.Listen{{Path: path + "x"}, {Address: "127.0.0.1:1"}, {Address: "127.0.0.2:" + port}, {Address: ":" + port}} {
		if l := in.take(other); l != nil {
			t.Errorf("the socket at %s is taken for %s", l.Addr(), other)
		}
	}
	if l := in.take(config.Listen{Path: path}); l != unix {
		t.Errorf("%v is taken for %s", l, path)
	}
	if err := in.rest(); err == nil || !strings.Contains(err.Error(), "systemd listens at "+tcp.Addr().String()+", and no listen block") {
		t.Errorf("with one left over: %v", err)
	}
	if l := in.take(config.Listen{Address: "127.0.0.1:" + port}); l != tcp {
		t.Errorf("%v is taken for port %s", l, port)
	}
	if err := in.rest(); err != nil {
		t.Errorf("with none left over: %v", err)
	}
}

// Whoever could send SIGHUP may reload, whatever the access blocks say; nobody
// else may by that.
func TestOwnUserReloads(t *testing.T) {
	blocks := []config.Access{{Name: "nobody", Owner: "x"}}
	for uid, want := range map[uint32]bool{0: true, uint32(os.Geteuid()): true, 4242: false} {
		if _, err := admit(blocks, identity{uid: uid}, "reload"); (err == nil) != want {
			t.Errorf("uid %d reloads: %v, want %v", uid, err, want)
		}
		if _, err := admit(blocks, identity{uid: uid}, "list"); err == nil {
			t.Errorf("uid %d lists, and no access block lets it", uid)
		}
	}
}
