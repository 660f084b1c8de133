package realtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/plugins/kube"
)

// rotation: a follow loses nothing, and whoever comes back too late is told.
//
// What Kubernetes itself loses is kept out of it, however slow the machine is.
// A follow (ReadLogs in k8s.io/cri-client/pkg/logs) opens the new file as soon
// as it is there, and reads neither what the runtime still writes to the old
// one nor a file that was rotated away before it looked. So the job writes only
// when it is told to, a burst at a time, while the kubelet is stopped; and the
// next one only when everybody has turned to the new file.
func rotation(t *testing.T, c *testenv.Cluster, s space) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	r := rotated{Cluster: c, gate: t.TempDir()}
	e := s.engine(t, kube.Config{AllowHostPath: true})
	word := func(i int) string { return strings.Repeat(strconv.Itoa(i), 500) }
	// Parts 0 and 1 are too small for a rotation, 2 to 4 are each large
	// enough, and 5 is what the newest file has at the end.
	sizes := []int{20, 20, 200, 200, 200, 20}
	var command []string
	for i, n := range sizes {
		command = append(command, "await", "/gate/"+strconv.Itoa(i), ";", "lines", strconv.Itoa(n), "0s", word(i), ";")
	}
	job := request(t, append(command, "exit", "0")...)
	job.Spec.Mounts = []container.Mount{{Type: container.MountTypeBind, Source: r.gate, Target: "/gate", ReadOnly: true}}
	id := create(t, e, job).ID()
	running(t, s, e, id)
	s.Eventually(t, "the log to be there", func() (err error) {
		r.log, err = one(filepath.Join(c.PodLogs(), s.Name+"_*", containerName, "0.log"))
		return err
	})
	follow, err := e.Logs(&atom.EngineLogsRequest{ID: id, Context: ctx})
	if err != nil {
		t.Fatal(err)
	}
	defer follow.Close()

	// Where nothing was rotated, who resumes goes on where he was.
	cursor := ""
	for i := range 2 {
		r.open(t, i)
		expect(t, follow, linesOf(0, sizes[i], word(i)))
		s.Eventually(t, "the follow to watch for a new file", r.watched)
		cursor = resume(t, ctx, e, id, cursor, linesOf(0, sizes[i], word(i)))
	}
	for i := 2; i < 5; i++ {
		s.Eventually(t, "the follow to watch for a new file", r.watched)
		before := r.rotations
		r.whileStopped(t, func() {
			r.open(t, i)
			s.Eventually(t, "the burst to be in the log", func() error { return r.holds(word(i) + " " + strconv.Itoa(sizes[i]-1) + "\n") })
		})
		expect(t, follow, linesOf(0, sizes[i], word(i)))
		s.Eventually(t, "the log to be rotated", func() error {
			return errors.Join(r.look(), unless(r.rotations > before, "it was not"))
		})
		s.Eventually(t, "everybody to turn to the new file", r.turned)
	}
	// The file of the cursor is not served any more.
	for _, noFollow := range []bool{true, false} {
		late, err := e.Logs(&atom.EngineLogsRequest{ID: id, Cursor: cursor, NoFollow: noFollow, Context: ctx})
		if err != nil {
			t.Fatal(err)
		}
		defer late.Close()
		if !noFollow {
			r.open(t, 5)
		}
		if text, err := io.ReadAll(late); len(text) > 0 || !errdefs.IsDataLoss(err) {
			t.Errorf("resuming in what was rotated away (noFollow %t) gives %d bytes, %.100q, and %v", noFollow, len(text), text, err)
		}
	}
	expect(t, follow, linesOf(0, sizes[5], word(5)))
	if rest, err := io.ReadAll(follow); err != nil || len(rest) > 0 {
		t.Errorf("after the last line come %.100q and %v", rest, err)
	}
	if r.rotations != 3 {
		t.Errorf("the log was rotated %d times, not after each of 3 bursts", r.rotations)
	}
}

// expect reads as many bytes as are wanted.
func expect(t *testing.T, in io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(in, got)
	i := 0
	for i < n && got[i] == want[i] {
		i++
	}
	if err != nil || i < n {
		t.Fatalf("the follow did not give each line once: of %d bytes it has %d; after %d comes %.100q, %v", len(want), n, i, got[i:n], err)
	}
}

// resume opens the log at a cursor, reads what is wanted and no more, and
// returns the cursor behind it.
func resume(t *testing.T, ctx context.Context, e *kube.Engine, id, cursor, want string) string {
	t.Helper()
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: id, Cursor: cursor, Context: ctx})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	for given := 0; given < len(want); {
		chunk, err := logs.(*atom.LogReader).Next()
		if err != nil || !strings.HasPrefix(want[given:], string(chunk.Data)) {
			t.Fatalf("with cursor %q, after %d bytes, comes %.100q, %v", cursor, given, chunk.Data, err)
		}
		given, cursor = given+len(chunk.Data), chunk.Cursor
	}
	return cursor
}

// rotated is a log that the kubelet rotates, as the node sees it.
type rotated struct {
	*testenv.Cluster
	gate      string // where the job looks for what it may do
	log       string
	names     map[string]bool
	rotations int
}

// open lets the job go on to a part.
func (r *rotated) open(t *testing.T, part int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.gate, strconv.Itoa(part)), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// whileStopped stops the kubelet meanwhile: it neither rotates nor reads.
func (r *rotated) whileStopped(t *testing.T, do func()) {
	t.Helper()
	if err := r.Signal(testenv.Kubelet, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Signal(testenv.Kubelet, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}()
	do()
}

// holds reports whether the newest file ends with a line.
func (r *rotated) holds(line string) error {
	text, err := os.ReadFile(r.log)
	return errors.Join(err, unless(bytes.HasSuffix(text, []byte(line)), fmt.Sprintf("of %d bytes the last are %q", len(text), text[max(0, len(text)-20):])))
}

// look counts the rotations. Of the files it leaves the newest alone, packs
// the one before and removes the others, the next time.
func (r *rotated) look() error {
	files, err := filepath.Glob(r.log + ".*-*")
	for _, f := range files {
		if name := strings.TrimSuffix(strings.TrimSuffix(f, ".gz"), ".tmp"); !r.names[name] {
			if r.names == nil {
				r.names = make(map[string]bool)
			}
			r.names[name] = true
			r.rotations++
		}
	}
	return err
}

// turned reports whether nobody holds a rotated file any more: neither the
// runtime, to write to it, nor a follow.
func (r *rotated) turned() error {
	if _, err := os.Stat(r.log); err != nil {
		return err
	}
	open, err := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range open {
		if file, err := os.Readlink(fd); err == nil && strings.HasPrefix(file, r.log+".") {
			return fmt.Errorf("%s is %s", fd, file)
		}
	}
	return err
}

// watched reports whether somebody, who can only be a follow, is told of new
// files beside the log.
func (r *rotated) watched() error {
	dir, err := os.Stat(filepath.Dir(r.log))
	if err != nil {
		return err
	}
	watch := fmt.Sprintf("inotify wd:1 ino:%x ", dir.Sys().(*syscall.Stat_t).Ino)
	infos, err := filepath.Glob("/proc/[0-9]*/fdinfo/*")
	for _, info := range infos {
		if text, err := os.ReadFile(info); err == nil && bytes.Contains(text, []byte(watch)) {
			return nil
		}
	}
	return errors.Join(err, errors.New("nobody watches"))
}

func unless(ok bool, what string) error {
	if ok {
		return nil
	}
	return errors.New(what)
}

// one is the path that a pattern matches.
func one(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%w: %s matches %q", fs.ErrNotExist, pattern, found)
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}
