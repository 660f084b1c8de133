package testenv

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
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

// lead has what comes from the bridge for an address and port go to a port of
// this machine's 127.0.0.1.
func (b bridge) lead(address string, port, to int) error {
	// Or nothing that comes from elsewhere could go there.
	local := "/proc/sys/net/ipv4/conf/" + b.name + "/route_localnet"
	if err := os.WriteFile(local, []byte("1"), 0o644); err != nil {
		return err
	}
	return iptables("--append", "PREROUTING", "--in-interface", b.name, "--destination", address, "--protocol", "tcp",
		"--dport", strconv.Itoa(port), "--jump", "DNAT", "--to-destination", "127.0.0.1:"+strconv.Itoa(to))
}

// leadNoMore undoes what lead did, in this or an earlier program.
func (b bridge) leadNoMore() error {
	if _, err := exec.LookPath("iptables"); err != nil {
		return nil // then nothing was done
	}
	rules, err := exec.Command("iptables", "--wait", "--table", "nat", "--list-rules", "PREROUTING").Output()
	if err != nil {
		return fmt.Errorf("listing the rules of iptables: %w", err)
	}
	var errs []error
	for rule := range strings.Lines(string(rules)) {
		args := strings.Fields(rule)
		if len(args) > 0 && args[0] == "-A" && slices.Contains(args, b.name) {
			args[0] = "--delete"
			errs = append(errs, iptables(args...))
		}
	}
	return errors.Join(errs...)
}

func iptables(args ...string) error {
	args = append([]string{"--wait", "--table", "nat"}, args...)
	if out, err := exec.Command("iptables", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("iptables %v: %w: %s", args, err, out)
	}
	return nil
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}
	return nil
}
