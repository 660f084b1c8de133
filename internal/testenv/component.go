package testenv

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// component is a program of a cluster that runs.
type component struct {
	name, log string
	cmd       *exec.Cmd
	ended     chan struct{}
}

// startComponent starts a program whose output goes to the file log.
func startComponent(name string, args []string, log string) (*component, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the program has its own
	p := &component{name: name, log: log, cmd: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	// Of a session of its own, it outlives the command that started it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { p.cmd.Wait(); close(p.ended) }() // ends with the program
	return p, nil
}

// await returns when the program is ready.
func (p *component) await(ctx context.Context, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended at once; the end of its log:\n%s", p.name, p.logTail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not get ready: %w: %w; the end of its log:\n%s", p.name, ctx.Err(), err, p.logTail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (p *component) logTail() []byte {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return tail(text)
}

// kill kills the program and returns when it is gone.
func (p *component) kill() error {
	err := p.cmd.Process.Kill()
	<-p.ended
	return err
}

// ports are the ports of 127.0.0.1 that a cluster uses.
type ports struct {
	etcd, etcdPeer, apiServer, controllerManager, scheduler, kubelet, kubeletHealth int
}

// freePorts finds ports that nobody listens on.
func freePorts() (ports, error) {
	var p ports
	var err error
	// All are held until the last is found, or they would all be the same.
	for _, port := range []*int{&p.etcd, &p.etcdPeer, &p.apiServer, &p.controllerManager, &p.scheduler, &p.kubelet, &p.kubeletHealth} {
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return p, err
		}
		defer l.Close()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}
