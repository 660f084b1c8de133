//go:build linux

package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
	"github.com/atom-router/atom-router/router"
)

// createOnce as the first argument makes this test binary a router that does
// one Create, which it reads from stdin.
const createOnce = "create-once"

// killedOwner is whose atoms TestKilledInCreate makes.
const killedOwner = "killed"

// killable is a Create for a process that is killed in it.
type killable struct {
	Name    string   `json:"name"`
	Plugin  string   `json:"plugin"`
	Config  settings `json:"config"`
	Request struct {
		Image   string   `json:"image"`
		Key     string   `json:"key"`
		Program string   `json:"program"`
		Command []string `json:"command"`
	} `json:"request"`
}

func (k *killable) request() *atom.EngineCreateRequest {
	r := &atom.EngineCreateRequest{Image: k.Request.Image, Key: k.Request.Key, Command: k.Request.Command}
	r.Spec.Entrypoint = []string{k.Request.Program}
	r.Spec.Labels = map[string]string{label: k.Name, "key": k.Request.Key}
	return r
}

func createMain() {
	var k killable
	if err := json.NewDecoder(os.Stdin).Decode(&k); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	e, err := routerOver(killedOwner, router.Backend{Name: k.Name, Plugin: k.Plugin, Settings: k.Config})
	if err == nil {
		// Its plugin is there before the clock runs.
		if _, err = e.Lookup(&atom.EngineLookupRequest{Key: k.Request.Key}); errdefs.IsNotFound(err) {
			fmt.Println("ready")
			_, err = e.Create(k.request())
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("created")
	time.Sleep(time.Minute) // until it is killed
}

// Plugin or router are killed at any moment of a Create: whoever then asks
// again under the same Key finds or makes one atom, and its job runs once.
func TestKilledInCreate(t *testing.T) {
	t.Run("process", func(t *testing.T) {
		runs := filepath.Join(t.TempDir(), "runs")
		k := killable{Name: "host", Plugin: "process", Config: settings{"state_dir": t.TempDir()}}
		k.Request.Image, k.Request.Program = "none", "/bin/sh"
		k.Request.Command = []string{"-c", "echo ran >> " + runs + ".$0"}
		killed(t, k, 30, 20*time.Millisecond, func(key string) error {
			text, err := os.ReadFile(runs + "." + key)
			if err == nil && string(text) != "ran\n" {
				err = fmt.Errorf("it ran %d times", strings.Count(string(text), "\n"))
			}
			return err
		})
	})
	t.Run("docker", func(t *testing.T) {
		k := killable{Name: "docker", Plugin: "docker", Config: settings{"host": testenv.Docker(t)}}
		k.Request.Image, k.Request.Program = testenv.Image(t), "/probe"
		k.Request.Command = []string{"exit", "0"}
		killed(t, k, 16, 500*time.Millisecond, nil)
	})
	t.Run("kube", func(t *testing.T) {
		k := killable{Name: "kube", Plugin: "kube", Config: settings{"kubeconfig": kubespace.New(t, nil).Kubeconfig}}
		k.Request.Image, k.Request.Program = testenv.KubeImage(t), "/probe"
		k.Request.Command = []string{"exit", "0"}
		killed(t, k, 12, 30*time.Millisecond, nil)
	})
}

// killed makes so many atoms; under each, plugin and router in turn are killed
// within a time.
func killed(t *testing.T, k killable, times int, within time.Duration, once func(key string) error) {
	// Each round has a router of its own: one whose plugin dies again and
	// again waits ever longer before it starts another.
	fresh := func() *router.Engine {
		e, err := routerOver(killedOwner, router.Backend{Name: k.Name, Plugin: k.Plugin, Settings: k.Config})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	interrupted := 0
	for n := range times {
		k.Request.Key = "key-" + strconv.Itoa(n)
		if once != nil {
			k.Request.Command = append(k.Request.Command[:2:2], k.Request.Key)
		}
		e := fresh()
		after := time.Duration(random.Int64N(int64(within)))
		if n%2 == 0 {
			if err := killRouter(t, k, after); err != nil {
				t.Fatal(err)
			}
		} else {
			if _, err := e.Lookup(&atom.EngineLookupRequest{Key: k.Request.Key, Context: t.Context()}); !errdefs.IsNotFound(err) {
				t.Errorf("%s, before it: %v", k.Request.Key, err)
			}
			pid := pluginOf(t, k.Name, 0)
			time.AfterFunc(after, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		}
		a, err := e.Create(k.request())
		for tries := 0; errdefs.IsUnavailable(err) && tries < 50; tries++ {
			interrupted++
			time.Sleep(100 * time.Millisecond)
			a, err = e.Create(k.request())
		}
		if err != nil {
			t.Fatalf("%s, killed after %v: %v", k.Request.Key, after, err)
		}
		end, err := e.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: t.Context()})
		if err != nil || end.Result() != atom.Success {
			t.Errorf("%s, killed after %v, ended as %s", k.Request.Key, after, describeEnd(end, err))
		}
		if once != nil {
			if err := once(k.Request.Key); err != nil {
				t.Errorf("%s, killed after %v: %v", k.Request.Key, after, err)
			}
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	e := fresh()
	defer e.Close()
	list, err := e.List(&atom.EngineListRequest{Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	atoms := make(map[string]int)
	for _, a := range list {
		atoms[atom.InfoOf(a).Labels["key"]]++
		if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true}); err != nil {
			t.Error(err)
		}
	}
	for key, n := range atoms {
		if n != 1 {
			t.Errorf("%s has %d atoms", key, n)
		}
	}
	if len(atoms) != times {
		t.Errorf("%d keys of %d have atoms", len(atoms), times)
	}
	t.Logf("%d creates had to be asked again by their caller", interrupted)
}

// killRouter kills a router so long after it has begun a Create.
func killRouter(t *testing.T, k killable, after time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	order, err := json.Marshal(k)
	if err != nil {
		return err
	}
	cmd := exec.Command(self, createOnce)
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(order)), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	word := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(out, word); err != nil {
		t.Errorf("the router said %q: %v", word, err)
	}
	time.Sleep(after)
	err = cmd.Process.Kill()
	_ = cmd.Wait() // killed, as it should be
	return err
}
