package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/atom-router/atom-router/internal/tracing"
	"github.com/atom-router/atom-router/router/config"
)

// farVariable has each verb of a script ask a daemon with the config that it
// would have read, which is started when a verb needs it and goes on until
// nothing-left or the script's end.
const farVariable = "ATOM_TEST_FAR"

// farMain is main, through a daemon where that is asked for.
func farMain() {
	if dir := os.Getenv(farVariable); dir != "" {
		if address := daemonFor(dir, os.Args[1:]); address != "" {
			os.Args = append([]string{os.Args[0], "--address=" + address}, os.Args[1:]...)
		}
	}
	main()
}

// daemonFor returns the daemon for a command line, "" where the verb asks
// none, or where its config serves no daemon: that it says by itself.
func daemonFor(dir string, args []string) string {
	a := &app{tracer: &tracing.Tracer{}}
	cmd, rest, err := a.root().Find(args)
	asks := []string{"run", "create", "get", "list", "logs", "wait", "stop", "delete", "explain", "backends"}
	if err != nil || !slices.Contains(asks, cmd.Name()) || cmd.ParseFlags(rest) != nil {
		return ""
	}
	if _, given := a.endpoint(); given {
		return ""
	}
	path, err := config.Find(a.configPath)
	if err != nil {
		return ""
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PWD=") || strings.HasPrefix(v, "OLDPWD=") })
	slices.Sort(environ)
	sum := sha256.Sum256([]byte(path + "\x00" + string(text) + "\x00" + strings.Join(environ, "\x00")))
	home := filepath.Join(dir, hex.EncodeToString(sum[:4]))
	socket := filepath.Join(home, "atom-router", "engine.sock")
	address := "unix://" + socket
	if err := os.MkdirAll(home, 0o700); err != nil {
		panic(err)
	}
	// Verbs in the background come at the same time; one of them starts it.
	lock, err := os.Create(filepath.Join(home, "lock"))
	if err != nil {
		panic(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		panic(err)
	}
	if conn, err := net.Dial("unix", socket); err == nil {
		_ = conn.Close()
		return address
	}
	log, err := os.Create(filepath.Join(home, "log"))
	if err != nil {
		panic(err)
	}
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	serve := exec.Command(self, "serve", "-c", path)
	serve.Args[0] = os.Args[0]
	serve.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+home, farVariable+"=")
	serve.Stdout, serve.Stderr = log, log
	serve.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := serve.Start(); err != nil {
		panic(err)
	}
	ended := make(chan struct{})
	go func() { _ = serve.Wait(); close(ended) }()
	if err := os.WriteFile(filepath.Join(home, "pid"), []byte(strconv.Itoa(serve.Process.Pid)), 0o600); err != nil {
		panic(err)
	}
	for {
		if conn, err := net.Dial("unix", socket); err == nil {
			_ = conn.Close()
			return address
		}
		select {
		case <-ended:
			return ""
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// endDaemons ends those that a script's verbs started.
func endDaemons(dir string) error {
	pids, err := filepath.Glob(filepath.Join(dir, "*", "pid"))
	if err != nil {
		return err
	}
	for _, path := range pids {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		pid, err := strconv.Atoi(string(text))
		if err != nil {
			return err
		}
		_ = syscall.Kill(pid, syscall.SIGTERM)
		for deadline := time.Now().Add(time.Minute); alive(pid); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				log, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "log"))
				return fmt.Errorf("the daemon %d does not end; its log:\n%s", pid, log)
			}
		}
	}
	return os.RemoveAll(dir)
}

// alive reports whether a process runs; one that nobody waits for has ended.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
