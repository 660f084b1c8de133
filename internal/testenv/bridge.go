package testenv

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// bridge is a network bridge of a daemon's own. With the default one, two
// daemons would share it, and with none dockerd removes that of the other.
type bridge struct{ name, address string }

// bridgeOf is the bridge of the daemon in these directories. Its addresses are
// of 198.18.0.0/15, which is for tests (RFC 2544).
func bridgeOf(run string) bridge {
	sum := sha256.Sum256([]byte(run))
	return bridge{name: "atd" + hex.EncodeToString(sum[:4]), address: fmt.Sprintf("198.%d.%d.1/24", 18+sum[4]%2, sum[5])}
}

// subnet is the network of which the bridge has the first address.
func (b bridge) subnet() string { return strings.Replace(b.address, ".1/", ".0/", 1) }

func (b bridge) exists() bool {
	_, err := os.Stat("/sys/class/net/" + b.name)
	return err == nil
}

func (b bridge) add() error {
	if b.exists() {
		return nil
	}
	return errors.Join(
		ip("link", "add", "name", b.name, "type", "bridge"),
		ip("address", "add", b.address, "dev", b.name),
		ip("link", "set", b.name, "up"))
}

func (b bridge) remove() error {
	if !b.exists() {
		return nil
	}
	return ip("link", "delete", b.name)
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}
	return nil
}
