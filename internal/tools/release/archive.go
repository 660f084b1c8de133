package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// archive is a tar whose bytes depend on nothing but what is put in.
type archive struct {
	release *release
	dir     string // all is below it
	tar     *tar.Writer
}

func (a *archive) add(name string, mode int64, content []byte) error {
	h := &tar.Header{
		Name: a.dir + "/" + name, Mode: mode, Size: int64(len(content)), ModTime: a.release.date,
		Typeflag: tar.TypeReg, Format: tar.FormatUSTAR,
	}
	if err := a.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err := a.tar.Write(content)
	return err
}

// addFile adds a file of this machine; of its mode only whether it can be
// executed is kept.
func (a *archive) addFile(name, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	return a.add(name, mode, content)
}

// writeArchive writes the programs that are in a directory, what stands beside
// them, and the licences of what they were linked from.
func (r *release) writeArchive(name, programs string, built []program, licences []licence) (err error) {
	f, err := os.Create(filepath.Join(r.out, name+".tar.gz"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	gz, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	a := &archive{release: r, dir: name, tar: tar.NewWriter(gz)}
	for _, p := range built {
		if err := a.addFile(p.name, filepath.Join(programs, p.name)); err != nil {
			return err
		}
	}
	for _, file := range r.files {
		if err := a.addFile(file, file); err != nil {
			return err
		}
	}
	for _, l := range licences {
		if err := a.add("licenses/"+l.name, 0o644, l.text); err != nil {
			return err
		}
	}
	return errors.Join(a.tar.Close(), gz.Close())
}

// writeSums writes what `sha256sum --check SHA256SUMS` reads.
func (r *release) writeSums() error {
	paths, err := r.made()
	if err != nil {
		return err
	}
	slices.Sort(paths)
	var text strings.Builder
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(content), filepath.Base(path))
	}
	return os.WriteFile(filepath.Join(r.out, sums), []byte(text.String()), 0o644)
}
