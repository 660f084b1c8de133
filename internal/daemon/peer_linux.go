package daemon

import (
	"net"

	"golang.org/x/sys/unix"
)

// uidOf is who connected to a Unix socket (unix(7), SO_PEERCRED).
func uidOf(conn net.Conn) (uid uint32, err error) {
	c, err := rawConn(conn)
	if err != nil {
		return 0, err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var optErr error
	if err := raw.Control(func(fd uintptr) {
		cred, optErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if optErr != nil {
		return 0, optErr
	}
	return cred.Uid, nil
}
