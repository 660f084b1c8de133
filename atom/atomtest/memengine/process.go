package memengine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/internal/steps"
	"github.com/atom-router/atom-router/atom/container"
)

// process plays the probe program (steps.Main says what its steps do).
type process struct {
	*record
	args     []string
	env      map[string]string
	cwd      string
	uid, gid int
	limit    int64 // of memory, in bytes; 0 is none
	mounts   []mounted
	failure  string // why it cannot start; "" where it can
}

// mount makes the file systems that the atom sees. The engine's lock is held.
func (p *process) mount(e *Engine, mounts []container.Mount) {
	for _, m := range mounts {
		fs := &files{bytes: make(map[string]string)}
		if m.Type == container.MountTypeVolume {
			if e.volumes[m.Source] == nil {
				e.volumes[m.Source] = fs
			}
			fs = e.volumes[m.Source]
		}
		p.mounts = append(p.mounts, mounted{fs, m.Target, m.ReadOnly})
	}
}

// run is the process's whole life.
func (p *process) run() {
	if p.failure != "" {
		p.end(atom.Exit{NeverStarted: true}, p.failure)
		return
	}
	if !p.begin() {
		return
	}
	args := p.args[1:]
	if len(args) == 0 {
		p.write(atom.Stdout, []byte(steps.DefaultLine))
	}
	for len(args) > 0 {
		step := args
		if i := slices.Index(args, steps.Separator); i >= 0 {
			step, args = args[:i], args[i+1:]
		} else {
			args = nil
		}
		if len(step) == 0 {
			continue
		}
		if err := p.step(step[0], step[1:]); err != nil {
			p.write(atom.Stderr, fmt.Appendf(nil, "probe: %s: %v\n", step[0], err))
			p.exit(1)
			return
		}
		select {
		case <-p.ended:
			return
		default:
		}
	}
	p.exit(0)
}

func (p *process) step(verb string, args []string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v (arguments %q)", r, args)
		}
	}()
	switch verb {
	case "print":
		p.write(atom.Stdout, []byte(strings.Join(args, " ")+"\n"))
	case "eprint":
		p.write(atom.Stderr, []byte(strings.Join(args, " ")+"\n"))
	case "write":
		p.write(atom.Stdout, []byte(args[0]))
	case "ewrite":
		p.write(atom.Stderr, []byte(args[0]))
	case "lines":
		word := "line"
		if len(args) > 2 {
			word = args[2]
		}
		return p.repeat(args, func(i int) { p.write(atom.Stdout, fmt.Appendf(nil, "%s %d\n", word, i)) })
	case "both":
		return p.repeat(append(args, "0")[:2], func(i int) {
			p.write(atom.Stdout, fmt.Appendf(nil, "out %d\n", i))
			p.write(atom.Stderr, fmt.Appendf(nil, "err %d\n", i))
		})
	case "pour":
		return p.pour(args)
	case "sleep":
		return p.sleep(args[0])
	case "exit":
		code, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		p.exit(code)
	case "trap":
		return p.trap(args)
	case "note":
		p.handle(func() { p.write(atom.Stdout, []byte(strings.Join(args, " ")+"\n")) })
	case "ignore":
		p.handle(func() {})
	case "raise":
		number, ok := map[string]int{"HUP": 1, "INT": 2, "KILL": 9, "TERM": 15}[args[0]]
		if !ok {
			return fmt.Errorf("signal %q is not known", args[0])
		}
		p.exit(128 + number)
	case "info":
		return p.print(steps.Info{Args: p.args, Env: p.env, Cwd: p.cwd, UID: p.uid, GID: p.gid})
	case "args":
		return p.print(args)
	case "cat":
		text, err := p.read(args[0])
		if err != nil {
			return err
		}
		p.write(atom.Stdout, []byte(text))
	case "put":
		return p.store(args[0], args[1])
	case "tryput":
		answer := "written\n"
		if p.store(args[0], args[1]) != nil {
			answer = "refused\n"
		}
		p.write(atom.Stdout, []byte(answer))
	case "allocate":
		mib, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return err
		}
		if p.limit > 0 && mib<<20 > p.limit {
			code := 128 + 9
			p.end(atom.Exit{Code: &code, OutOfMemory: true}, "out of memory")
		}
	case "spawn":
		// Nothing outlives a process here.
	default:
		return fmt.Errorf("no such step")
	}
	return nil
}

func (p *process) repeat(args []string, f func(int)) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for i := range n {
		if i > 0 {
			if err := p.sleep(args[1]); err != nil {
				return err
			}
		}
		f(i)
	}
	return nil
}

func (p *process) sleep(duration string) error {
	d, err := time.ParseDuration(duration)
	if err != nil || d <= 0 {
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.ended:
	}
	return nil
}

func (p *process) pour(args []string) error {
	size, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	seed, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return err
	}
	var out, errs []byte
	if args[3] != "err" {
		out = steps.Known(steps.Kind(args[1]), seed, size)
		seed++
	}
	if args[3] != "out" {
		errs = steps.Known(steps.Kind(args[1]), seed, size)
	}
	for len(out)+len(errs) > 0 {
		n, m := min(len(out), 13<<10+7), min(len(errs), 13<<10+7)
		p.write(atom.Stdout, out[:n])
		p.write(atom.Stderr, errs[:m])
		out, errs = out[n:], errs[m:]
	}
	return nil
}

func (p *process) trap(args []string) error {
	code, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	words := strings.Join(args[1:], " ")
	p.handle(func() {
		p.update(func() {
			if words != "" && !p.info.State.Done() {
				p.writeLocked(atom.Stdout, []byte(words+"\n"))
			}
			p.endLocked(atom.Exit{Code: &code}, "")
		})
	})
	return nil
}

// handle sets what SIGTERM does.
func (p *process) handle(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onTerm = f
}

func (p *process) print(v any) error {
	text, err := json.Marshal(v)
	p.write(atom.Stdout, append(text, '\n'))
	return err
}

func (p *process) read(name string) (string, error) {
	m, rest := locate(p.mounts, name)
	if m == nil {
		return "", fmt.Errorf("open %s: no such file or directory", name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.bytes[rest]
	if !ok {
		return "", fmt.Errorf("open %s: no such file or directory", name)
	}
	return text, nil
}

func (p *process) store(name, text string) error {
	m, rest := locate(p.mounts, name)
	switch {
	case m == nil:
		return nil // the atom's own file system, gone with it
	case m.readOnly:
		return fmt.Errorf("open %s: read-only file system", name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes[rest] = text
	return nil
}
