// Command release builds the programs for other machines: for each target an
// archive with what belongs to them, an SBOM of what was linked into them, and
// the checksums of all that. Run at the root of a checkout; the same commit
// gives the same bytes with the same Go.
//
//	release -version V -tags T -ldflags F -out DIR -targets "linux/amd64 …" PACKAGE…
package main

import (
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// sums is the file of the checksums.
const sums = "SHA256SUMS"

// product names the archives and what they unpack to.
const product = "atom-router"

// beside is what stands in an archive beside the programs, as far as git
// tracks it.
var beside = []string{"LICENSE", "README.md", "CHANGELOG.md", "docs", "examples", "packaging"}

// release is what all targets have in common.
type release struct {
	version  string
	tags     string
	ldflags  string
	out      string
	packages []string
	date     time.Time // of the commit: no clock is read
	files    []string  // that stand beside the programs
}

func main() {
	r := release{}
	flag.StringVar(&r.version, "version", "unknown", "")
	flag.StringVar(&r.tags, "tags", "", "of go build")
	flag.StringVar(&r.ldflags, "ldflags", "", "of go build")
	flag.StringVar(&r.out, "out", "dist", "directory; what an earlier release left in it is removed")
	targets := flag.String("targets", "", "OS/ARCH, separated by spaces")
	flag.Parse()
	r.packages = flag.Args()
	if err := r.run(strings.Fields(*targets)); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (r *release) run(targets []string) error {
	if len(targets) == 0 || len(r.packages) == 0 {
		return fmt.Errorf("no targets or no packages to build")
	}
	seconds, err := output(nil, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return err
	}
	r.date = time.Unix(unix, 0).UTC()
	tracked, err := output(nil, "git", append([]string{"ls-files", "--"}, beside...)...)
	if err != nil {
		return err
	}
	r.files = strings.Fields(tracked)
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	if err := r.clear(); err != nil {
		return err
	}
	for _, target := range targets {
		goos, arch, ok := strings.Cut(target, "/")
		if !ok {
			return fmt.Errorf("target %q is not OS/ARCH", target)
		}
		if err := r.build(goos, arch); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return r.writeSums()
}

// made are the files of this or an earlier release, but for the checksums.
func (r *release) made() ([]string, error) { return filepath.Glob(filepath.Join(r.out, product+"_*")) }

func (r *release) clear() error {
	old, err := r.made()
	for _, path := range append(old, filepath.Join(r.out, sums)) {
		if e := os.Remove(path); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// build makes a target's archive and SBOM.
func (r *release) build(goos, arch string) error {
	name := strings.Join([]string{product, r.version, goos, arch}, "_")
	programs, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(programs)
	// What the go command would note of git depends on the kind of checkout.
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-tags", r.tags, "-ldflags", r.ldflags, "-o", programs + "/"}, r.packages...)
	// The micro-architecture is said too, so that whoever builds has no say
	// in it.
	env := []string{"CGO_ENABLED=0", "GOOS=" + goos, "GOARCH=" + arch, "GOAMD64=v1", "GOARM64=v8.0"}
	if _, err := output(env, "go", args...); err != nil {
		return err
	}
	var built []program
	for _, p := range r.packages {
		path := filepath.Join(programs, filepath.Base(p))
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return err
		}
		built = append(built, program{name: filepath.Base(p), info: info})
	}
	licences, err := licencesOf(modulesOf(built))
	if err != nil {
		return err
	}
	if err := r.writeArchive(name, programs, built, licences); err != nil {
		return err
	}
	return r.writeSBOM(name, goos, arch, built)
}

// output runs a command and returns what it printed, without the last newline.
func output(env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return strings.TrimSuffix(string(text), "\n"), nil
}
