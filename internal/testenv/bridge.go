package testenv

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// bridge is a network bridge of a daemon's own. With the default one, two
// daemons would share it, and with none dockerd removes that of the other.
type bridge struct{ name string }

// bridgeOf is the bridge of the daemon in these directories.
func bridgeOf(run string) bridge {
	sum := sha256.Sum256([]byte(run))
	return bridge{"atb" + hex.EncodeToString(sum[:4])}
}

// address is the bridge's own, with the length of its network's prefix.
func (b bridge) address() (netip.Prefix, error) {
	i, err := net.InterfaceByName(b.name)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("bridge %s: %w", b.name, err)
	}
	addresses, err := i.Addrs()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("bridge %s: %w", b.name, err)
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("bridge %s has no IPv4 address", b.name)
}

func (b bridge) exists() bool {
	_, err := os.Stat("/sys/class/net/" + b.name)
	return err == nil
}

// add makes the bridge where there is none. Its network is one that no other
// interface has: of two with the same, only the first would be routed to.
func (b bridge) add() error {
	unlock, err := lockMachine()
	if err != nil {
		return err
	}
	defer unlock()
	if b.exists() {
		return nil
	}
	address, err := freeNetwork()
	if err != nil {
		return err
	}
	return errors.Join(
		ip("link", "add", "name", b.name, "type", "bridge"),
		ip("address", "add", address.String(), "dev", b.name),
		ip("link", "set", b.name, "up"))
}

// freeNetwork is the first address of a /24 that no interface has an address
// of. It is of 198.18.0.0/15, which is for tests (RFC 2544).
func freeNetwork() (netip.Prefix, error) {
	taken, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Prefix{}, err
	}
	for n := range 512 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, byte(18 + n/256), byte(n), 1}), 24)
		if !slices.ContainsFunc(taken, func(a net.Addr) bool {
			other, err := netip.ParsePrefix(a.String())
			return err == nil && other.Overlaps(p)
		}) {
			return p, nil
		}
	}
	return netip.Prefix{}, errors.New("every network of 198.18.0.0/15 is some interface's")
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
