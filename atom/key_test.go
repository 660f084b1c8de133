package atom

import (
	"context"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/atom-router/atom-router/atom/container"
)

// Names and hashes are stored with atoms that outlive releases: what is
// written here never changes. Another form of the hash needs another version.
func TestNativeNameIsPinned(t *testing.T) {
	for _, c := range []struct{ owner, key, want string }{
		{"", "k", "atom-6feckbo4lwhh4qkb6hpbc4f44k"},
		{"default", "k", "atom-6feckbo4lwhh4qkb6hpbc4f44k"},
		{"fleet-a", "run 7/step 1", "atom-eqvt5sg7k6poyruexzhiwatgrk"},
	} {
		if got := NativeName(c.owner, c.key); got != c.want {
			t.Errorf("%q, %q: %s, want %s", c.owner, c.key, got, c.want)
		}
	}
	valid := regexp.MustCompile(`^atom-[a-z2-7]{26}$`)
	seen := map[string]string{}
	for _, c := range [][2]string{{"a", "b"}, {"a", "B"}, {"ab", ""}, {"a", "b "}, {"A", "b"}, {"a", "\x00b"}, {"b", "a"}} {
		name := NativeName(c[0], c[1])
		if other, ok := seen[name]; ok || !valid.MatchString(name) {
			t.Errorf("%q: %s, as for %q", c, name, other)
		}
		seen[name] = c[0] + "/" + c[1]
	}
}

func full() *EngineCreateRequest {
	return &EngineCreateRequest{
		Name: "n", Image: "i", Command: []string{"a", "b"},
		Spec: container.Spec{
			Env: map[string]string{"B": "2", "A": "1"}, WorkDir: "/w", Mounts: []container.Mount{{Type: container.MountTypeBind, Source: "/s", Target: "/t", ReadOnly: true}},
			Entrypoint: []string{"e"}, User: "u", Resources: container.Resources{CPU: 0.5, Memory: 64 << 20, GPUs: 1},
			Labels: map[string]string{"l": "v"}, PullPolicy: container.PullNever, StopTimeout: 1500 * time.Millisecond,
		},
	}
}

func TestHashIsPinned(t *testing.T) {
	for want, r := range map[string]*EngineCreateRequest{
		"v1.8341d267d35991e1fc7f050df4fb0d2e9cb04ee6": {},
		"v1.3c7590e6cf4476a4eb42bb6107735907b2991083": full(),
	} {
		if got := r.Hash(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestHashLeavesOutWhatRoutersFillIn(t *testing.T) {
	r := full()
	want := r.Hash()
	r.Context, r.Owner, r.Key, r.Rule, r.Progress = context.Background(), "o", "k", "r", func(Progress) {}
	if got := r.Hash(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	empty := &EngineCreateRequest{Command: []string{}, Spec: container.Spec{
		Env: map[string]string{}, Mounts: []container.Mount{}, Entrypoint: []string{}, Labels: map[string]string{},
	}}
	if empty.Hash() != (&EngineCreateRequest{}).Hash() {
		t.Error("empty collections count")
	}
}

// Every field of the request and its Spec changes the hash: a new one that
// nobody thought of fails here.
func TestHashSeesEveryField(t *testing.T) {
	filledIn := map[string]bool{"Context": true, "Owner": true, "Key": true, "Rule": true, "Progress": true, "FreshKey": true, "AskedAgain": true}
	var check func(path string, r *EngineCreateRequest, v reflect.Value)
	check = func(path string, r *EngineCreateRequest, v reflect.Value) {
		for i := range v.NumField() {
			name, f := v.Type().Field(i).Name, v.Field(i)
			if filledIn[name] {
				continue
			}
			if f.Kind() == reflect.Struct {
				check(path+name+".", r, f)
				continue
			}
			before, old := r.Hash(), reflect.New(f.Type()).Elem()
			old.Set(f)
			f.SetZero()
			if r.Hash() == before {
				t.Errorf("%s%s does not count", path, name)
			}
			f.Set(old)
		}
	}
	r := full()
	check("", r, reflect.ValueOf(r).Elem())
	m := full()
	before := m.Hash()
	mount := reflect.ValueOf(&m.Spec.Mounts[0]).Elem()
	for i := range mount.NumField() {
		old := reflect.New(mount.Field(i).Type()).Elem()
		old.Set(mount.Field(i))
		mount.Field(i).SetZero()
		if m.Hash() == before {
			t.Errorf("Mount.%s does not count", mount.Type().Field(i).Name)
		}
		mount.Field(i).Set(old)
	}
}

func TestNewKey(t *testing.T) {
	if a, b := NewKey(), NewKey(); a == b || ValidateKey(a) != nil || len(a) < 26 {
		t.Errorf("%q, %q", a, b)
	}
}
