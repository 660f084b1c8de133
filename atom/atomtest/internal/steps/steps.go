// Package steps is what the conformance suite's probe program does: the verbs
// that promises are checked with.
package steps

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// DefaultLine is what a probe without arguments prints.
const DefaultLine = "probe\n"

// Info is what the verb `info` prints, as one line of JSON.
type Info struct {
	Args []string          // os.Args, the program first
	Env  map[string]string // as the process received it
	Cwd  string
	UID  int
	GID  int
}

// Separator stands between two steps, as an argument of its own.
const Separator = ";"

// Main runs the steps that args describe, one after the other, and returns
// the exit code: that of `exit`, 1 after a step that failed, or else 0.
//
//	print WORD…            the words and a newline to stdout; eprint: to stderr
//	write TEXT             the text alone to stdout; ewrite: to stderr
//	lines N INTERVAL [WORD] "WORD i" N times, to stdout
//	clock N INTERVAL       when it is, in nanoseconds since 1970, N times, to stdout
//	both N [INTERVAL]      "out i" to stdout and "err i" to stderr, N times
//	pour SIZE KIND SEED out|err|both
//	                       known bytes (see Known); both: in turns, seed and seed+1
//	sleep DURATION
//	await PATH             until the file is there
//	exit N
//	trap N [WORD…]         on SIGTERM prints the words and exits N
//	note WORD…             on SIGTERM prints the words and goes on
//	ignore                 on SIGTERM does nothing
//	raise SIGNAL           sends it to itself
//	info                   an Info
//	args WORD…             the words as JSON
//	cat PATH               a file's content
//	put PATH TEXT          writes a file
//	tryput PATH TEXT       writes a file, and prints "written" or "refused"
//	allocate MIB           takes and touches so much memory in a child, then goes
//	                       on; or ends with 137, a while after the child was killed
//	spawn DURATION         a grandchild that holds stdout and stderr for so long
//
// SIGTERM ends it otherwise, also where it is the first process of a
// container, to which the default action of signals does not apply.
func Main(args []string, stdout, stderr io.Writer) int {
	onTerm(func() {
		code, _ := raise("TERM")
		os.Exit(code)
	})
	if len(args) == 0 {
		fmt.Fprint(stdout, DefaultLine)
		return 0
	}
	for len(args) > 0 {
		step := args
		if i := slices.Index(args, Separator); i >= 0 {
			step, args = args[:i], args[i+1:]
		} else {
			args = nil
		}
		if len(step) == 0 {
			continue
		}
		code, err := run(step[0], step[1:], stdout, stderr)
		if err != nil {
			fmt.Fprintf(stderr, "probe: %s: %v\n", step[0], err)
			return 1
		}
		if code >= 0 {
			return code
		}
	}
	return 0
}

// goOn is the code of a step after which the next one follows.
const goOn = -1

// run does one step.
func run(verb string, args []string, stdout, stderr io.Writer) (code int, err error) {
	// A missing argument is the caller's mistake; one check here instead of
	// one in every verb.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v (arguments %q)", r, args)
		}
	}()
	switch verb {
	case "print":
		_, err = fmt.Fprintln(stdout, strings.Join(args, " "))
	case "eprint":
		_, err = fmt.Fprintln(stderr, strings.Join(args, " "))
	case "write":
		_, err = io.WriteString(stdout, args[0])
	case "ewrite":
		_, err = io.WriteString(stderr, args[0])
	case "lines":
		return goOn, lines(args, stdout)
	case "clock":
		return goOn, clock(args, stdout)
	case "both":
		return goOn, both(args, stdout, stderr)
	case "pour":
		return goOn, pour(args, stdout, stderr)
	case "sleep":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return goOn, err
		}
		time.Sleep(d)
	case "await":
		return goOn, await(args[0])
	case "exit":
		return strconv.Atoi(args[0])
	case "trap":
		code, err := strconv.Atoi(args[0])
		if err != nil {
			return goOn, err
		}
		onTerm(func() {
			if len(args) > 1 {
				fmt.Fprintln(stdout, strings.Join(args[1:], " "))
			}
			os.Exit(code)
		})
	case "note":
		onTerm(func() { fmt.Fprintln(stdout, strings.Join(args, " ")) })
	case "ignore":
		onTerm(func() {})
	case "raise":
		return raise(args[0])
	case "info":
		return goOn, info(stdout)
	case "args":
		return goOn, json.NewEncoder(stdout).Encode(args)
	case "cat":
		text, err := os.ReadFile(args[0])
		if err != nil {
			return goOn, err
		}
		_, err = stdout.Write(text)
		return goOn, err
	case "put":
		return goOn, os.WriteFile(args[0], []byte(args[1]), 0o644)
	case "tryput":
		answer := "written"
		if os.WriteFile(args[0], []byte(args[1]), 0o644) != nil {
			answer = "refused"
		}
		_, err = fmt.Fprintln(stdout, answer)
	case "allocate":
		return allocateInChild(args[0])
	case "hold":
		return goOn, allocate(args[0])
	case "spawn":
		return goOn, spawn(args[0])
	default:
		err = fmt.Errorf("no such step")
	}
	return goOn, err
}

func await(path string) error {
	for {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// paced are how many lines a step writes, and how far apart.
func paced(args []string) (n int, interval time.Duration, err error) {
	if n, err = strconv.Atoi(args[0]); err != nil {
		return 0, 0, err
	}
	interval, err = time.ParseDuration(args[1])
	return n, interval, err
}

func lines(args []string, stdout io.Writer) error {
	n, interval, err := paced(args)
	if err != nil {
		return err
	}
	word := "line"
	if len(args) > 2 {
		word = args[2]
	}
	for i := range n {
		if i > 0 {
			time.Sleep(interval)
		}
		if _, err := fmt.Fprintf(stdout, "%s %d\n", word, i); err != nil {
			return err
		}
	}
	return nil
}

func clock(args []string, stdout io.Writer) error {
	n, interval, err := paced(args)
	if err != nil {
		return err
	}
	for i := range n {
		if i > 0 {
			time.Sleep(interval)
		}
		if _, err := fmt.Fprintln(stdout, time.Now().UnixNano()); err != nil {
			return err
		}
	}
	return nil
}

func both(args []string, stdout, stderr io.Writer) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var interval time.Duration
	if len(args) > 1 {
		if interval, err = time.ParseDuration(args[1]); err != nil {
			return err
		}
	}
	for i := range n {
		if i > 0 {
			time.Sleep(interval)
		}
		if _, err := fmt.Fprintf(stdout, "out %d\n", i); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(stderr, "err %d\n", i); err != nil {
			return err
		}
	}
	return nil
}

func pour(args []string, stdout, stderr io.Writer) error {
	size, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	seed, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return err
	}
	kind, where := Kind(args[1]), args[3]
	type flow struct {
		w    io.Writer
		rest []byte
	}
	var flows []*flow
	switch where {
	case "out":
		flows = []*flow{{stdout, Known(kind, seed, size)}}
	case "err":
		flows = []*flow{{stderr, Known(kind, seed, size)}}
	case "both":
		flows = []*flow{{stdout, Known(kind, seed, size)}, {stderr, Known(kind, seed+1, size)}}
	default:
		return fmt.Errorf("%q is none of out, err, both", where)
	}
	// Pieces that fit neither pages nor frames of 16 KiB.
	for open := true; open; {
		open = false
		for _, f := range flows {
			n := min(len(f.rest), 13<<10+7)
			if _, err := f.w.Write(f.rest[:n]); err != nil {
				return err
			}
			f.rest = f.rest[n:]
			open = open || len(f.rest) > 0
		}
	}
	return nil
}

func info(stdout io.Writer) error {
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	env := make(map[string]string)
	for _, e := range os.Environ() {
		k, v, _ := strings.Cut(e, "=")
		env[k] = v
	}
	return json.NewEncoder(stdout).Encode(Info{Args: os.Args, Env: env, Cwd: cwd, UID: os.Getuid(), GID: os.Getgid()})
}

// onTerm makes f what SIGTERM does from now on.
func onTerm(f func()) {
	c := make(chan os.Signal, 1)
	signal.Reset(syscall.SIGTERM)
	signal.Notify(c, syscall.SIGTERM)
	go func() { // lives as long as the process; one that was replaced gets no more signals
		for range c {
			f()
		}
	}()
}

// raise dies of a signal. The first process of a container is immune to its
// own signals: it ends with the code that a shell would give.
func raise(name string) (int, error) {
	sig, err := parseSignal(name)
	if err != nil {
		return goOn, err
	}
	if os.Getpid() == 1 {
		return 128 + int(sig), nil
	}
	signal.Reset(sig)
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		return goOn, err
	}
	time.Sleep(time.Second) // until it arrives
	return 128 + int(sig), nil
}

func parseSignal(name string) (syscall.Signal, error) {
	switch name {
	case "TERM":
		return syscall.SIGTERM, nil
	case "KILL":
		return syscall.SIGKILL, nil
	case "INT":
		return syscall.SIGINT, nil
	case "HUP":
		return syscall.SIGHUP, nil
	}
	return 0, fmt.Errorf("signal %q is not known", name)
}
