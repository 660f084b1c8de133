package docker

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	spec "github.com/atom-router/atom-router/atom/container"
)

// registryServer is a registry with one image, jobs:1, behind an account. The
// second half of its layer arrives when it is let go of.
type registryServer struct {
	*httptest.Server
	user, password string
	blobs          map[string][]byte
	manifest       []byte
	manifests      atomic.Int32
	hold           chan struct{} // nil: layers are served at once
	broken         bool          // layers end early
}

func newRegistry(t *testing.T, user, password string) *registryServer {
	r := &registryServer{user: user, password: password, blobs: make(map[string][]byte)}
	var layer, packed bytes.Buffer
	w := tar.NewWriter(&layer)
	// Each registry's layer is its own: a daemon fetches none that it has.
	text := make([]byte, 1<<20)
	rand.NewChaCha8(sha256.Sum256([]byte(t.Name()))).Read(text)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(text))}), second(w.Write(text)), w.Close()); err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(&packed)
	if err := errors.Join(second(z.Write(layer.Bytes())), z.Close()); err != nil {
		t.Fatal(err)
	}
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{"Cmd":["/file"]},"rootfs":{"type":"layers","diff_ids":[%q]}}`, digest(layer.Bytes()))
	r.blobs[digest(config)], r.blobs[digest(packed.Bytes())] = config, packed.Bytes()
	r.manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",`+
		`"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%d,"digest":%q},`+
		`"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":%d,"digest":%q}]}`,
		len(config), digest(config), packed.Len(), digest(packed.Bytes()))
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func second(_ int, err error) error { return err }

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

func (r *registryServer) host() string { return r.Listener.Addr().String() }

func (r *registryServer) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if user, password, _ := q.BasicAuth(); user != r.user || password != r.password {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		return
	}
	_, blob, isBlob := strings.Cut(q.URL.Path, "/v2/jobs/blobs/")
	switch {
	case q.URL.Path == "/v2/":
	case q.URL.Path == "/v2/jobs/manifests/1" || q.URL.Path == "/v2/jobs/manifests/"+digest(r.manifest):
		if q.Method == http.MethodGet {
			r.manifests.Add(1)
		}
		w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
		w.Header().Set("Docker-Content-Digest", digest(r.manifest))
		_, _ = w.Write(r.manifest)
	case isBlob && r.blobs[blob] != nil:
		text := r.blobs[blob]
		layer := text[0] == 0x1f
		if layer && r.hold != nil {
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
			_, _ = w.Write(text[:len(text)/2])
			w.(http.Flusher).Flush()
			text = text[len(text)/2:]
			select {
			case <-r.hold:
			case <-q.Context().Done():
				return
			}
		}
		if layer && r.broken {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write(text)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
	}
}

// createFrom makes an atom of the registry's image, which has nothing to run:
// once it was pulled, the start fails.
func createFrom(ctx context.Context, e *Engine, image string) error {
	_, err := e.Create(&atom.EngineCreateRequest{Image: image, Context: ctx, Spec: spec.Spec{PullPolicy: spec.PullAlways}})
	return err
}

func pulled(err error) bool { return strings.Contains(fmt.Sprint(err), "could not be started") }

func testPull(t *testing.T, d *dockerd) {
	t.Run("registry_auth", func(t *testing.T) {
		r := newRegistry(t, "joe", "secret")
		e := d.engine(t, Config{RegistryAuth: []RegistryAuth{{Server: r.host(), Username: "joe", Password: "secret"}}})
		if err := createFrom(t.Context(), e, r.host()+"/jobs:1"); !pulled(err) {
			t.Fatal(err)
		}
		if err := createFrom(t.Context(), e, r.host()+"/jobs:2"); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "jobs:2") {
			t.Fatalf("no such tag: %v", err)
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		r := newRegistry(t, "joe", "secret")
		e := d.engine(t, Config{RegistryAuth: []RegistryAuth{{Server: r.host(), Username: "joe", Password: "wrong"}}})
		err := createFrom(t.Context(), e, r.host()+"/jobs:1")
		if !errdefs.IsPermissionDenied(err) || strings.Contains(err.Error(), "wrong") {
			t.Fatal(err)
		}
	})
	t.Run("credential helper", func(t *testing.T) {
		r := newRegistry(t, "joe", "secret")
		dir := t.TempDir()
		script := "#!/bin/sh\nread server\n[ \"$1 $server\" = \"get " + r.host() + "\" ] || { echo credentials not found in native keychain; exit 1; }\n" +
			`echo '{"ServerURL":"x","Username":"joe","Secret":"secret"}'` + "\n"
		if err := errors.Join(
			os.WriteFile(filepath.Join(dir, "docker-credential-test"), []byte(script), 0o755),
			os.WriteFile(filepath.Join(dir, "config.json"), fmt.Appendf(nil, `{"credHelpers":{%q:"test"}}`, r.host()), 0o600),
		); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		e := d.engine(t, Config{ConfigDir: dir})
		if err := createFrom(t.Context(), e, r.host()+"/jobs:1"); !pulled(err) {
			t.Fatal(err)
		}
	})
	t.Run("shared", func(t *testing.T) {
		r := newRegistry(t, "", "")
		r.hold = make(chan struct{})
		e := d.engine(t, Config{})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := createFrom(t.Context(), e, r.host()+"/jobs:1"); !pulled(err) {
					t.Error(err)
				}
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() { left <- createFrom(ctx, e, r.host()+"/jobs:1") }()
		eventually(t, "all six wait for one pull", func() bool {
			e.pulls.mu.Lock()
			defer e.pulls.mu.Unlock()
			p := e.pulls.on[r.host()+"/jobs:1"]
			return p != nil && p.wanted == 6
		})
		cancel() // one leaves, the pull goes on
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(r.hold)
		wg.Wait()
		if n := r.manifests.Load(); n != 1 {
			t.Errorf("%d pulls", n)
		}
	})
	t.Run("progress", func(t *testing.T) {
		r := newRegistry(t, "", "")
		r.hold = make(chan struct{})
		e := d.engine(t, Config{})
		image := r.host() + "/jobs:1"
		halfway := make(chan struct{}, 2)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				var told []atom.Progress
				half := false
				_, err := e.Create(&atom.EngineCreateRequest{
					Image: image, Spec: spec.Spec{PullPolicy: spec.PullAlways},
					Progress: func(p atom.Progress) {
						told = append(told, p)
						if !half && p.Done > 0 && p.Done < p.Total {
							half = true
							halfway <- struct{}{}
						}
					},
				})
				if !pulled(err) {
					t.Error(err)
				}
				if len(told) < 2 || !half {
					t.Errorf("told %+v", told)
					return
				}
				if want := (atom.Progress{Phase: atom.PhasePulling, Text: "pulling " + image}); told[0] != want {
					t.Errorf("at first %+v", told[0])
				}
			})
		}
		for range 2 {
			select {
			case <-halfway:
			case <-time.After(time.Minute):
				t.Error("nobody told of half the layer within a minute")
			}
		}
		close(r.hold)
		wg.Wait()
	})
	t.Run("an error inside the report", func(t *testing.T) {
		r := newRegistry(t, "", "")
		r.broken = true
		err := createFrom(t.Context(), d.engine(t, Config{}), r.host()+"/jobs:1")
		if err == nil || pulled(err) || !strings.Contains(err.Error(), "jobs:1") {
			t.Fatal(err)
		}
		t.Log(err)
	})
	t.Run("no registry", func(t *testing.T) {
		err := createFrom(t.Context(), d.engine(t, Config{}), "127.0.0.1:1/jobs:1")
		if !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Fatal(err)
		}
	})
}
