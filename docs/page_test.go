// Package docs holds the tests of the pages beside it: what they show is run.
package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// block is a fenced block of a page: a listing of a file, or a session in a
// shell.
type block struct {
	line int
	kind string // "console", or the listing's language
	file string // of a listing
	text string
}

// blocks are a page's, in order.
func blocks(t *testing.T, page string) []block {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	var now *block
	for i, line := range strings.SplitAfter(string(text), "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && now == nil:
			kind, file, _ := strings.Cut(strings.TrimSpace(info), " ")
			now = &block{line: i + 1, kind: kind, file: file}
		case fence:
			all = append(all, *now)
			now = nil
		case now != nil:
			now.text += line
		}
	}
	if now != nil || len(all) == 0 {
		t.Fatalf("%s: %d blocks, the last one open: %t", page, len(all), now != nil)
	}
	return all
}

// step is a command of a session, and what it is to print.
type step struct{ command, want string }

func steps(session string) []step {
	var all []step
	for line := range strings.Lines(session) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, step{command: strings.TrimSuffix(command, "\n")})
		} else if len(all) > 0 {
			all[len(all)-1].want += line
		}
	}
	return all
}

// matches reports whether output is what a page shows, where "…" alone in a
// line stands for any lines, and within one for any text.
func matches(want, output string) bool {
	var pattern strings.Builder
	for line := range strings.Lines(want) {
		if line == "…\n" {
			pattern.WriteString(`(?:.*\n)*`)
			continue
		}
		parts := strings.Split(line, "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		pattern.WriteString(strings.Join(parts, ".*"))
	}
	return regexp.MustCompile(`^` + pattern.String() + `$`).MatchString(output)
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		want, output string
		match        bool
	}{
		{"a\n", "a\n", true}, {"a\n", "b\n", false}, {"a\n", "a\nb\n", false}, {"", "b\n", false},
		{"a … c\n", "a b c\n", true}, {"a … c\n", "a b\n c\n", false},
		{"…\nc\n", "a\nb\nc\n", true}, {"…\nc\n", "c\n", true}, {"…\nc\n", "a\n", false}, {"a.\n", "ab\n", false},
	} {
		if got := matches(c.want, c.output); got != c.match {
			t.Errorf("%q and %q match: %t", c.want, c.output, got)
		}
	}
}

// mark stands between the outputs of a session's commands.
const mark = "~~~ next ~~~"

// session runs a block's commands in one shell and compares what each prints
// to stdout and stderr.
func session(t *testing.T, page, dir string, env []string, b block) {
	t.Helper()
	all := steps(b.text)
	var script strings.Builder
	for _, s := range all {
		script.WriteString(s.command + "\n__code=$?; echo '" + mark + "'; (exit $__code)\n")
	}
	// A file and not a pipe, which what runs on in the background would hold.
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, out, out
	_ = cmd.Run() // a command that is to fail is the page's affair
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	outputs := strings.Split(string(text), mark+"\n")
	if len(outputs) != len(all)+1 {
		t.Fatalf("%s:%d: the session ended early: %s", page, b.line, text)
	}
	for i, s := range all {
		if !matches(s.want, outputs[i]) {
			t.Errorf("%s:%d: $ %s\nprints\n%s\nand the page says\n%s", page, b.line, s.command, outputs[i], s.want)
		}
	}
}

// scene is an environment with atom-router on its PATH, and an empty directory.
func scene(t *testing.T) (dir string, env []string) {
	t.Helper()
	tmp, err := os.MkdirTemp("", "ard") // short: sockets are in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(tmp, "bin")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/", "./cmd/atom-router")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir = filepath.Join(tmp, "empty")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "ATOM_ROUTER="+root, "TMPDIR="+tmp,
		"ATOM_ROUTER_CONFIG=", "XDG_STATE_HOME="+filepath.Join(tmp, "state"), "GOWORK=off", "GOFLAGS=", "NO_COLOR=1")
}

// TestTutorial does what writing-a-plugin.md does: it starts in an empty
// directory, writes each listing, runs each command, and compares.
func TestTutorial(t *testing.T) {
	const page = "writing-a-plugin.md"
	dir, env := scene(t)
	t.Cleanup(func() { // where it failed half-way
		end := exec.Command("bash", "-c", "[ ! -f pid ] || kill -9 $(cat pid) 2> /dev/null")
		end.Dir = dir
		_ = end.Run()
	})
	follow(t, page, dir, env)
}

// TestLibrary does what library.md does. Its program is the one in examples.
func TestLibrary(t *testing.T) {
	const page, program = "library.md", "examples/library/main.go"
	seen := false
	for _, b := range blocks(t, page) {
		if b.file != program {
			continue
		}
		seen = true
		text, err := os.ReadFile(filepath.Join("..", program))
		if err != nil {
			t.Fatal(err)
		}
		if b.text != string(text) {
			t.Errorf("%s:%d: this is not %s: copy that here", page, b.line, program)
		}
	}
	if !seen {
		t.Fatalf("%s does not show %s", page, program)
	}
	dir, env := scene(t)
	follow(t, page, dir, env)
}

// follow writes each listing of a page and runs each command.
func follow(t *testing.T, page, dir string, env []string) {
	t.Helper()
	for _, b := range blocks(t, page) {
		switch {
		case b.kind == "console" && strings.HasPrefix(b.text, "$ "):
			session(t, page, dir, env, b)
		case b.file != "":
			path := filepath.Join(dir, b.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s:%d: a block that is neither a session nor a file", page, b.line)
		}
		if t.Failed() {
			return // the rest would follow from it
		}
	}
}
