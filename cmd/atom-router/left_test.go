package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
)

// scene is where one test runs the router, and where it looks for what that
// left behind.
type scene struct {
	work  string           // all processes have it in their environment or arguments
	tmp   string           // TMPDIR
	host  string           // DOCKER_HOST; "" for none
	kube  *kubespace.Space // nil for none
	owner string           // of containers and pods
	// daemons is where those are that the verbs asked; "" for none.
	daemons string
}

// left waits for all to be gone that is going, and says what is not: plugins,
// shims, jobs and sockets, and with atoms these too.
func (s *scene) left(atoms bool) error {
	var err error
	if s.daemons != "" {
		if err := endDaemons(s.daemons); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if err = s.look(atoms); err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *scene) look(atoms bool) error {
	var errs []error
	for pid, what := range s.processes() {
		errs = append(errs, fmt.Errorf("left behind: process %d: %s", pid, what))
	}
	sockets, _ := filepath.Glob(filepath.Join(s.tmp, "*"))
	for _, path := range sockets {
		errs = append(errs, fmt.Errorf("left behind: %s", path))
	}
	if !atoms {
		return errors.Join(errs...)
	}
	for _, path := range s.directories() {
		errs = append(errs, fmt.Errorf("left behind: atom %s", path))
	}
	containers, err := s.containers()
	for _, id := range containers {
		errs = append(errs, fmt.Errorf("left behind: container %s", id))
	}
	pods, perr := s.pods()
	for _, name := range pods {
		errs = append(errs, fmt.Errorf("left behind: pod %s", name))
	}
	return errors.Join(append(errs, err, perr)...)
}

// processes are those of this test but for the test itself.
func (s *scene) processes() map[int]string {
	found := map[int]string{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		// One that ends meanwhile is none, and so is a zombie, which has no
		// environment.
		args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if bytes.Contains(args, []byte(s.work+"/")) || bytes.Contains(env, []byte(s.work+"/")) {
			found[pid] = strings.ReplaceAll(string(args), "\x00", " ")
		}
	}
	return found
}

// directories are those of the process engine's atoms.
func (s *scene) directories() []string {
	dirs, _ := filepath.Glob(filepath.Join(s.work, "*", "atom-router", "*", "atom-*"))
	return dirs
}

// containers are the IDs of the owner's containers.
func (s *scene) containers() ([]string, error) {
	if s.host == "" {
		return nil, nil
	}
	filters, err := json.Marshal(map[string][]string{"label": {atom.LabelOwner + "=" + s.owner}})
	if err != nil {
		return nil, err
	}
	var list []struct{ ID string }
	err = s.docker(http.MethodGet, "/containers/json?all=1&filters="+url.QueryEscape(string(filters)), &list)
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids, err
}

// pods are the names of the owner's pods.
func (s *scene) pods() ([]string, error) {
	if s.kube == nil {
		return nil, nil
	}
	list, err := s.kube.Admin.CoreV1().Pods(s.kube.Name).List(context.Background(), metav1.ListOptions{LabelSelector: atom.LabelOwner + "=" + s.owner})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range list.Items {
		names = append(names, p.Name)
	}
	return names, nil
}

// removeAtoms ends what a test that failed half-way left running.
func (s *scene) removeAtoms() {
	for pid := range s.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, dir := range s.directories() {
		_ = os.RemoveAll(dir)
	}
	ids, _ := s.containers()
	for _, id := range ids {
		_ = s.docker(http.MethodDelete, "/containers/"+id+"?force=1&v=1", nil)
	}
	// Pods go with their namespace.
}

// docker is one call of the daemon's API.
func (s *scene) docker(method, path string, out any) error {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", strings.TrimPrefix(s.host, "unix://"))
		},
	}}
	req, err := http.NewRequest(method, "http://docker"+path, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(text, out)
}
