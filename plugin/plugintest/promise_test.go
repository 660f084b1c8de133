package plugintest

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
)

// breaks is which promises each wrong breaks; all of them are broken by some.
func breaks() map[string][]string {
	return map[string][]string{
		"served by hand":      {"a plugin that no host started says so on stderr and ends with an error"},
		"socket elsewhere":    {"the first line on stdout is the handshake"},
		"another version":     {"of the versions that its host offers it chooses the one that it speaks"},
		"strangers welcome":   {"it answers nobody but the host that started it"},
		"unwell":              {"its health service says that it serves"},
		"a type that is none": {"it describes itself before it is configured"},
		"more than described": {"what it can do now is among what it describes as the most"},
		"any config":          {"a setting that there is not is refused by its name", "a setting of another type is refused by its name"},
		"small messages":      {"a message of 60 MiB is taken"},
		"descriptors leaked":  {"calls that were cancelled leave no descriptor behind"},
		"SIGCONT ends it":     {"a plugin that stood still goes on where it was"},
		"children left":       {"what it started in its process group ends with it"},
		"few pings":           {"a host that pings it every ten seconds is not turned away"},

		"serves at once":         {"until it is configured other calls are FailedPrecondition"},
		"one config alone":       {"a good config is taken after a bad one", "a setting of another type is refused by its name"},
		"everything twice":       {"a create that a kill cut short makes one atom when it is asked again"},
		"unknown fields refused": {"fields that it does not know are ignored", "a message of 60 MiB is taken"},
		"few threads":            {"many waits and logs leave room for other calls", "calls that were cancelled leave room for others"},
		"socket needed":          {"it serves on when its socket is gone from the disk"},
		"SIGTERM ends it":        {"SIGINT and SIGTERM are left to its host"},
		"atoms in memory": {
			"an atom outlives a plugin that is killed, and the next one finds it",
			"two plugins of one backend see the same atoms",
		},
		"stdin ignored": {
			"it ends when its stdin does, with calls under way", "it ends when its stdin does, before it is configured",
			"one that stood still while its host went ends when it goes on", "a plugin that is asked to end does so",
			"what it started in its process group ends with it",
		},
	}
}

// TestPromises: plugins that are right, made with plugin.Serve and by hand,
// keep all that they claim; two that do half of the wrongs each break those
// promises and no others.
func TestPromises(t *testing.T) {
	leftNothing(t)
	t.Cleanup(func() { // before that
		sockets, _ := filepath.Glob(filepath.Join(os.TempDir(), "[0-9]*")) // of those that put them elsewhere
		for _, path := range sockets {
			os.Remove(path)
		}
	})
	second := []string{
		"serves at once", "one config alone", "unknown fields refused", "few threads", "socket needed",
		"SIGTERM ends it", "atoms in memory", "everything twice", "stdin ignored",
	}
	var first []string
	for wrong := range breaks() {
		if !slices.Contains(second, wrong) {
			first = append(first, wrong)
		}
	}
	// Most of it is waiting, and more of it at the same time than there are
	// processors for parallel tests.
	var all sync.WaitGroup
	for _, wrong := range [][]string{nil, first, second} {
		b := &byHand{wrong: wrongs{"atoms in memory": slices.Contains(wrong, "atoms in memory")}}
		c := Candidate{Command: append([]string{self(t), "as-by-hand"}, wrong...), Config: []byte(`{"word": "hello"}`)}
		all.Go(func() { breaksOnly(t, c, b.capabilities(), wrong...) })
	}
	served := Candidate{Command: []string{self(t), "as-plugin"}}
	all.Go(func() { breaksOnly(t, served, atom.Capabilities{atom.CapImages, atom.CapDelete}) })
	all.Wait()
}

// TestEveryPromiseCanBeBroken: what no wrong breaks has not been seen to fail.
func TestEveryPromiseCanBeBroken(t *testing.T) {
	var broken []string
	for _, promises := range breaks() {
		broken = append(broken, promises...)
	}
	for _, p := range Promises(Candidate{Command: []string{"/x"}}) {
		if !slices.Contains(broken, p.Name) {
			t.Errorf("no wrong breaks %q", p.Name)
		}
	}
}

// breaksOnly wants a plugin to break the promises that these wrongs break, and
// to keep all others that it claims.
func breaksOnly(t *testing.T, c Candidate, caps atom.Capabilities, wrong ...string) {
	t.Helper()
	c.Env = []string{"GORACE"}
	tidier := memengine.New() // it knows no atoms: those of the plugin end with that
	defer tidier.Close()
	want := make(map[string]bool)
	for _, w := range wrong {
		for _, promise := range breaks()[w] {
			want[promise] = true
		}
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, p := range Promises(c) {
		if len(caps.Missing(p.Needs)) > 0 {
			continue
		}
		all.Go(func() { // waited for below
			slots <- struct{}{}
			defer func() { <-slots }()
			env := &atomtest.Env{Engine: tidier, Capabilities: caps, Image: memengine.Image, Program: memengine.Program, Owner: "exam"}
			if err := p.Verify(t.Context(), env); err != nil != want[p.Name] {
				t.Errorf("%q: %s: %v; want it broken: %v", c.Command[1:], p.Name, err, want[p.Name])
			}
		})
	}
	all.Wait()
}
