package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/atom-router/atom-router/atom"
)

// pipeTime is how long after the process's end its pipes may still be read. A
// grandchild may hold them for ever.
const pipeTime = 200 * time.Millisecond

// process is a plugin's process as go-plugin's runner. Its end is the end of
// the process itself, whoever holds its pipes.
type process struct {
	cmd    *exec.Cmd
	path   string
	stdin  *os.File // its end tells the plugin that the host is gone
	stdout *pipe
	stderr *pipe

	done chan struct{} // closed when the process is reaped

	mu       sync.Mutex
	running  bool
	doomed   bool // killed, perhaps before it was started
	expected bool // the host wants the end
	waitErr  error
}

var _ runner.Runner = (*process)(nil)

func newProcess(cmd *exec.Cmd, path string) *process {
	return &process{cmd: cmd, path: path, done: make(chan struct{})}
}

// Start implements runner.Runner.
func (p *process) Start(context.Context) error {
	defer closeFiles(p.cmd.ExtraFiles...)
	in, stdin, err := os.Pipe()
	if err != nil {
		return err
	}
	stdout, out, err := os.Pipe()
	if err != nil {
		closeFiles(in, stdin)
		return err
	}
	stderr, errs, err := os.Pipe()
	if err != nil {
		closeFiles(in, stdin, stdout, out)
		return err
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = in, out, errs
	p.cmd.SysProcAttr = groupOfItsOwn()
	err = p.cmd.Start()
	closeFiles(in, out, errs)
	if err != nil {
		closeFiles(stdin, stdout, stderr)
		return cannotStart(err)
	}
	p.stdout, p.stderr = newPipe(stdout, true), newPipe(stderr, false)
	p.mu.Lock()
	p.running, p.stdin = true, stdin
	if p.doomed {
		killGroup(p.cmd.Process.Pid)
	}
	p.mu.Unlock()
	go p.wait() // ends with the process
	return nil
}

// wait reaps the process, and ends what it left in its group before that: as
// long as it is not reaped, the group's number is its own.
func (p *process) wait() {
	if awaitExit(p.cmd.Process) {
		p.mu.Lock()
		killGroup(p.cmd.Process.Pid)
		p.running = false
		p.mu.Unlock()
	}
	err := p.cmd.Wait()
	p.mu.Lock()
	p.running, p.waitErr = false, err
	p.mu.Unlock()
	p.closeStdin()
	p.stdout.endWithin(pipeTime)
	p.stderr.endWithin(pipeTime)
	close(p.done)
}

// kill ends the process and its group at once.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doomed = true
	if p.running {
		killGroup(p.cmd.Process.Pid)
	}
}

func (p *process) started() bool { return p.cmd.Process != nil }

func (p *process) expectEnd() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = true
}

func (p *process) closeStdin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stdin != nil {
		p.stdin.Close()
		p.stdin = nil
	}
}

// err says how the process ended; nil where that was asked for.
func (p *process) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.expected {
		return nil
	}
	return atom.Errorf(errdefs.ErrUnavailable, "plugin %s ended: %s%s", p.path, exitText(p.waitErr), p.stderr.lastWords())
}

// explain says what kept the plugin from its handshake.
func (p *process) explain(err error) error {
	if !p.started() {
		return err
	}
	first := p.stdout.firstLine()
	// A plugin that ended is seen by the end of its stdout, before it is
	// reaped.
	ended := false
	select {
	case <-p.done:
		ended = true
	case <-time.After(pipeTime):
	}
	switch {
	case strings.Contains(err.Error(), "incompatible API version"):
		return otherMajor(first)
	case first != "" && !looksLikeHandshake(first):
		return fmt.Errorf("it printed %q where a plugin prints its handshake%s; is it an engine plugin of atom-router?", first, p.stderr.lastWords())
	case first != "":
		return fmt.Errorf("its handshake: %w%s; is it an engine plugin of atom-router?", err, p.stderr.lastWords())
	case ended:
		p.mu.Lock()
		defer p.mu.Unlock()
		return fmt.Errorf("it ended before its handshake: %s%s; is it an engine plugin of atom-router?", exitText(p.waitErr), p.stderr.lastWords())
	}
	return fmt.Errorf("%w%s", err, p.stderr.lastWords())
}

func (p *process) lastWords() string {
	if p.stderr == nil {
		return ""
	}
	return p.stderr.lastWords()
}

// otherMajor says who is to upgrade where the handshake offers none of the
// protocol's versions that this router speaks.
func otherMajor(handshake string) error {
	fields := strings.Split(handshake, "|")
	major, err := strconv.Atoi(fields[min(1, len(fields)-1)])
	switch {
	case err != nil:
		return fmt.Errorf("its handshake, %q, names no version of the plugin protocol; is it an engine plugin of atom-router?", handshake)
	case major > ProtocolMajor:
		return fmt.Errorf("it speaks version %d of the plugin protocol and this router version %d: upgrade the router", major, ProtocolMajor)
	}
	return fmt.Errorf("it speaks version %d of the plugin protocol and this router version %d: upgrade the plugin", major, ProtocolMajor)
}

// looksLikeHandshake tells go-plugin's line from anything else.
func looksLikeHandshake(line string) bool { return strings.Count(line, "|") >= 3 }

// exitText is how a process ended, in words.
func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// cannotStart says why a binary cannot be executed, and what to do.
func cannotStart(err error) error {
	var path *os.PathError
	reason := err
	if errors.As(err, &path) {
		reason = path.Err
	}
	switch {
	case errors.Is(err, os.ErrPermission):
		return errors.New("it cannot be executed; is it executable (chmod +x)?")
	case strings.Contains(reason.Error(), "exec format error"):
		return errors.New("it is no program for this machine (exec format error)")
	}
	return fmt.Errorf("it cannot be started: %w", reason)
}

// Wait implements runner.AttachedRunner. How the process ended is told by
// Process.Err, and logged by whoever supervises it.
func (p *process) Wait(context.Context) error {
	<-p.done
	return nil
}

// Kill implements runner.AttachedRunner.
func (p *process) Kill(context.Context) error {
	if !p.started() {
		return nil
	}
	p.kill()
	<-p.done
	return nil
}

// Stdout implements runner.Runner.
func (p *process) Stdout() io.ReadCloser { return p.stdout }

// Stderr implements runner.Runner.
func (p *process) Stderr() io.ReadCloser { return newEntries(p.stderr) }

// Name implements runner.Runner.
func (p *process) Name() string { return p.path }

// ID implements runner.AttachedRunner.
func (p *process) ID() string {
	if !p.started() {
		return ""
	}
	return fmt.Sprint(p.cmd.Process.Pid)
}

// Diagnose implements runner.Runner; explain says more.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost implements runner.AddrTranslator.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin implements runner.AddrTranslator.
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

func closeFiles(files ...*os.File) {
	for _, f := range files {
		f.Close()
	}
}
