package main

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// program is one that was built, and what the go command noted in it.
type program struct {
	name string
	info *debug.BuildInfo
}

// modules are those that the program was linked from, but for its own.
func (p program) modules() []*debug.Module {
	var all []*debug.Module
	for _, m := range p.info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		all = append(all, m)
	}
	return all
}

// modulesOf are the modules of all the programs, by path.
func modulesOf(built []program) []*debug.Module {
	all := make(map[string]*debug.Module)
	for _, p := range built {
		for _, m := range p.modules() {
			all[m.Path] = m
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *debug.Module) int { return cmp.Compare(a.Path, b.Path) })
}

// purl names a Go module to those who look up its defects
// (https://github.com/package-url/purl-spec).
func purl(path, version string) string { return "pkg:golang/" + path + "@" + version }

// writeSBOM writes what a target's programs were linked from, in CycloneDX's
// format: each program, and by which modules it depends on.
func (r *release) writeSBOM(name, goos, arch string, built []program) (err error) {
	bom := cdx.NewBOM()
	root := cdx.Component{
		BOMRef: product, Type: cdx.ComponentTypeApplication, Name: product, Version: r.version,
		PackageURL: purl(built[0].info.Main.Path, r.version) + "?goos=" + goos + "&goarch=" + arch,
	}
	bom.Metadata = &cdx.Metadata{Timestamp: r.date.Format(time.RFC3339), Component: &root}

	goVersion := strings.TrimPrefix(built[0].info.GoVersion, "go")
	std := purl("std", goVersion)
	components := []cdx.Component{{BOMRef: std, Type: cdx.ComponentTypeLibrary, Name: "std", Version: goVersion, PackageURL: std}}
	for _, m := range modulesOf(built) {
		ref := purl(m.Path, m.Version)
		components = append(components, cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: ref})
	}
	var programs []string
	var dependencies []cdx.Dependency
	for _, p := range built {
		components = append(components, cdx.Component{BOMRef: p.name, Type: cdx.ComponentTypeApplication, Name: p.name, Version: r.version})
		programs = append(programs, p.name)
		on := []string{std}
		for _, m := range p.modules() {
			on = append(on, purl(m.Path, m.Version))
		}
		dependencies = append(dependencies, cdx.Dependency{Ref: p.name, Dependencies: &on})
	}
	dependencies = append([]cdx.Dependency{{Ref: root.BOMRef, Dependencies: &programs}}, dependencies...)
	bom.Components, bom.Dependencies = &components, &dependencies

	f, err := os.Create(filepath.Join(r.out, name+".cdx.json"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return cdx.NewBOMEncoder(f, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
}
