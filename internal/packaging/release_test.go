package packaging

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var programs = []string{"atom-router", "atom-plugin-docker", "atom-plugin-kube", "atom-plugin-process"}

// TestReleaseFiles: what `make release` leaves, and that its checksums are
// theirs.
func TestReleaseFiles(t *testing.T) {
	name := filepath.Base(build(t))
	if want := "atom-router_" + describe(t) + "_linux_" + runtime.GOARCH; name != want {
		t.Errorf("the archive is called %s, want %s", name, want)
	}
	text, err := os.ReadFile(filepath.Join(made.dist, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for _, file := range []string{name + ".cdx.json", name + ".tar.gz"} {
		content, err := os.ReadFile(filepath.Join(made.dist, file))
		if err != nil {
			t.Fatal(err)
		}
		want += fmt.Sprintf("%x  %s\n", sha256.Sum256(content), file)
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("SHA256SUMS (-want +got):\n%s", diff)
	}
}

// describe is the checkout's version.
func describe(t *testing.T) string {
	return must(t, "git", "describe", "--tags", "--always", "--dirty")
}

// TestReleaseArchive: what is in it, whose it is, and that what the README
// points at is there too.
func TestReleaseArchive(t *testing.T) {
	top := build(t)
	f, err := os.Open(filepath.Join(made.dist, filepath.Base(top)+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]int64{}
	for r := tar.NewReader(gz); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		dir, rest, _ := strings.Cut(h.Name, "/")
		if dir != filepath.Base(top) || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Typeflag != tar.TypeReg {
			t.Errorf("entry %s of %d:%d (%q), type %c", h.Name, h.Uid, h.Gid, h.Uname, h.Typeflag)
		}
		modes[rest] = h.Mode
	}
	want := []string{"LICENSE", "README.md", "CHANGELOG.md", "packaging/image/Dockerfile", "licenses/go/LICENSE"}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)[^):]*\)`).FindAllSubmatch(readme, -1) {
		want = append(want, string(link[1]))
	}
	for _, file := range want {
		if inside := func(name string) bool { return strings.HasPrefix(name, file+"/") }; slices.ContainsFunc(slices.Collect(maps.Keys(modes)), inside) {
			continue // a directory
		}
		if mode, ok := modes[file]; !ok || mode != 0o644 {
			t.Errorf("%s is missing from the archive, or its mode %o is not 644", file, mode)
		}
	}
	for _, p := range programs {
		if modes[p] != 0o755 {
			t.Errorf("program %s is missing from the archive, or its mode %o is not 755", p, modes[p])
		}
	}
}

// TestReleasePrograms: they are static, and tell what they were built from.
func TestReleasePrograms(t *testing.T) {
	top := build(t)
	for _, p := range programs {
		f, err := elf.Open(filepath.Join(top, p))
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
			t.Errorf("%s needs a dynamic linker", p)
		}
		f.Close()
	}
	checkVersion(t, must(t, filepath.Join(top, "atom-router"), "version", "-o", "json"))
}

// checkVersion checks what `version -o json` of a release prints.
func checkVersion(t *testing.T, text string) {
	t.Helper()
	type version struct {
		Version, Commit, OS, Arch string
		Modified                  bool
	}
	want := version{Version: describe(t), Commit: must(t, "git", "rev-parse", "HEAD"), OS: "linux", Arch: runtime.GOARCH}
	want.Modified = strings.HasSuffix(want.Version, "-dirty")
	var got version
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("version (-want +got):\n%s", diff)
	}
}

// TestReleaseSBOM: it names the modules that each program was linked from, no
// more and no less, and of each the archive has the licence.
func TestReleaseSBOM(t *testing.T) {
	top := build(t)
	text, err := os.ReadFile(filepath.Join(made.dist, filepath.Base(top)+".cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat, SpecVersion string
		Components             []struct {
			Ref                       string `json:"bom-ref"`
			Type, Name, Version, Purl string
		}
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	if bom.BOMFormat != "CycloneDX" {
		t.Errorf("its format is %q", bom.BOMFormat)
	}
	named := map[string]string{} // by reference: module and version
	for _, c := range bom.Components {
		if c.Type == "library" {
			named[c.Ref] = c.Name + " " + c.Version
		}
	}
	listed := map[string][]string{}
	for _, d := range bom.Dependencies {
		for _, ref := range d.DependsOn {
			if named[ref] != "" {
				listed[d.Ref] = append(listed[d.Ref], named[ref])
			}
		}
		slices.Sort(listed[d.Ref])
	}
	for _, p := range programs {
		lines := strings.Split(must(t, "go", "version", "-m", filepath.Join(top, p)), "\n")
		_, goVersion, _ := strings.Cut(lines[0], ": go")
		want := []string{"std " + goVersion}
		for _, line := range lines[1:] {
			if f := strings.Fields(line); f[0] == "dep" {
				want = append(want, f[1]+" "+f[2])
				if found, _ := filepath.Glob(filepath.Join(top, "licenses", f[1], "*")); len(found) == 0 {
					t.Errorf("no licence of %s, which %s was linked from", f[1], p)
				}
			}
		}
		slices.Sort(want)
		if len(want) < 10 {
			t.Fatalf("go version -m tells of no modules of %s: %q", p, want)
		}
		if diff := cmp.Diff(want, listed[p]); diff != "" {
			t.Errorf("modules of %s (-go version -m, +SBOM):\n%s", p, diff)
		}
	}
}

// TestReleaseReproducible: another checkout of the same commit, elsewhere,
// gives the same bytes.
func TestReleaseReproducible(t *testing.T) {
	build(t)
	elsewhere := filepath.Join(t.TempDir(), "another", "checkout")
	must(t, "git", "clone", "--quiet", ".", elsewhere)
	// What is not committed yet is part of what is built.
	if change := must(t, "git", "diff", "HEAD", "--binary"); change != "" {
		patch := filepath.Join(t.TempDir(), "patch")
		if err := os.WriteFile(patch, []byte(change+"\n\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		must(t, "git", "-C", elsewhere, "apply", "--index", patch)
	}
	if err := runMake(elsewhere, "release", "TARGETS=linux/"+runtime.GOARCH); err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(made.dist, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(filepath.Join(elsewhere, "dist", "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sums, again) {
		t.Errorf("two checkouts of one commit give\n%s\nand\n%s", sums, again)
	}
}

// TestReleaseRefusesTargets: a mistake in TARGETS is said, and leaves nothing
// that looks like a release.
func TestReleaseRefusesTargets(t *testing.T) {
	for target, want := range map[string]string{
		"linux":        `target "linux" is not OS/ARCH`,
		"linux/vax":    "linux/vax: go build: exit status",
		"":             "no targets",
		"../x/../../y": "unsupported GOOS/GOARCH pair",
	} {
		dist := filepath.Join(t.TempDir(), "dist")
		err := runMake(root, "release", "DIST="+dist, "TARGETS="+target)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("TARGETS=%s: %v, want %q", target, err, want)
		}
		if files, _ := filepath.Glob(dist + "/*"); len(files) > 0 {
			t.Errorf("TARGETS=%s left %q", target, files)
		}
	}
}
