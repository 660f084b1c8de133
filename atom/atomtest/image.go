package atomtest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// What the probe image says of itself; promises about images compare with it.
const (
	imageCommandLine = "the image's own command\n"
	imageEnvKey      = "PROBE_IMAGE"
	imageEnvValue    = "from the image"
	imageWorkDir     = "/work"
	imageUser        = "worker" // uid and gid 1000 in its /etc/passwd
)

// WriteProbeImage writes an image of the probe program as an archive that
// `docker load` and `ctr images import` take, without a registry. The program
// must be built for Linux (see BuildProbeFor). The same program gives the
// same bytes and so the same digest.
//
// The image's ENTRYPOINT is the program, its CMD prints a line, its WORKDIR
// is /work, which everybody may write to, and its /etc/passwd knows root and
// worker (1000).
func WriteProbeImage(w io.Writer, probePath, ref string) error {
	program, err := os.ReadFile(probePath)
	if err != nil {
		return fmt.Errorf("reading the probe program: %w", err)
	}
	arch, err := architecture(program)
	if err != nil {
		return fmt.Errorf("%s is no program for Linux, build it with GOOS=linux: %w", probePath, err)
	}
	layer, err := probeLayer(program)
	if err != nil {
		return err
	}
	layerID := digest(layer)
	config, err := json.Marshal(imageConfig(arch, layerID))
	if err != nil {
		return err
	}
	if !strings.Contains(ref[strings.LastIndexByte(ref, '/')+1:], ":") {
		ref += ":latest"
	}
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	configName, layerName := digest(config)+".json", layerID+"/layer.tar"
	manifest, err := json.Marshal([]entry{{configName, []string{ref}, []string{layerName}}})
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	for _, f := range []file{
		{layerID + "/", 0o755, nil}, {layerName, 0o644, layer}, {configName, 0o644, config}, {"manifest.json", 0o644, manifest},
	} {
		if err := f.write(tw); err != nil {
			return fmt.Errorf("writing the probe image: %w", err)
		}
	}
	return tw.Close()
}

// imageConfig is what the image says of itself (the OCI image config, which
// Docker's archives share).
func imageConfig(arch, layerID string) any {
	type (
		runtime struct {
			Entrypoint, Cmd, Env []string
			WorkingDir           string
		}
		rootfs struct {
			Type    string   `json:"type"`
			DiffIDs []string `json:"diff_ids"`
		}
		history struct {
			Created   time.Time `json:"created"`
			CreatedBy string    `json:"created_by"`
		}
	)
	return struct {
		Architecture string    `json:"architecture"`
		OS           string    `json:"os"`
		Created      time.Time `json:"created"`
		Config       runtime   `json:"config"`
		RootFS       rootfs    `json:"rootfs"`
		History      []history `json:"history"`
	}{
		arch, "linux", imageTime,
		runtime{
			Entrypoint: []string{"/probe"}, Cmd: []string{"write", imageCommandLine},
			Env:        []string{"PATH=/", imageEnvKey + "=" + imageEnvValue},
			WorkingDir: imageWorkDir,
		},
		rootfs{"layers", []string{"sha256:" + layerID}},
		[]history{{imageTime, "atom-router conformance suite"}},
	}
}

// imageTime stands for every time in the image, which must not depend on when
// it is written.
var imageTime = time.Unix(0, 0).UTC()

func probeLayer(program []byte) ([]byte, error) {
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, f := range []file{
		{"etc/", 0o755, nil},
		{"etc/group", 0o644, []byte("root:x:0:\nworker:x:1000:\n")},
		{"etc/passwd", 0o644, []byte("root:x:0:0:root:/:/probe\nworker:x:1000:1000:worker:/work:/probe\n")},
		{"probe", 0o755, program},
		{"tmp/", 0o1777, nil},
		{"work/", 0o1777, nil},
	} {
		if err := f.write(tw); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// file is one entry of a tar archive; a name that ends in '/' is a directory.
type file struct {
	name string
	mode int64
	data []byte
}

func (f file) write(tw *tar.Writer) error {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data)),
		ModTime: imageTime, Format: tar.FormatUSTAR,
	}
	if strings.HasSuffix(f.name, "/") {
		h.Typeflag = tar.TypeDir
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err := tw.Write(f.data)
	return err
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// architecture is what the image must name for a daemon to run the program.
func architecture(program []byte) (string, error) {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return "", err
	}
	switch f.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	}
	return "", fmt.Errorf("machine %v is not known", f.Machine)
}
