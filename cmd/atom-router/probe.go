package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom/atomtest"
)

func (a *app) probeCommand() *cobra.Command {
	ref := "atomtest/probe:1"
	cmd := &cobra.Command{
		Use:   "probe [flags] FILE",
		Short: "Write the image that plugin test runs, as an archive",
		Long: `Write the probe image, which the atoms of plugin test run, as an archive that
docker load, podman load and ctr images import take. Its program is this one,
by another name: it has to be a static program for Linux, and of the kind of
machine that the atoms run on.`,
		Example: `  atom-router plugin probe probe.tar && docker load -i probe.tar
  atom-router plugin probe --image registry.example/probe:1 probe.tar`,
		Args: exactly(1, "FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return writeProbe(args[0], ref) },
	}
	cmd.Flags().StringVar(&ref, "image", ref, "what the image is called: `IMAGE`")
	return cmd
}

// writeProbe writes the probe image into a file.
func writeProbe(path, ref string) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if program, err := elf.Open(self); err == nil {
		libraries, lerr := program.ImportedLibraries()
		if err := errors.Join(lerr, program.Close()); err != nil {
			return err
		}
		if len(libraries) > 0 {
			return fmt.Errorf("this atom-router needs libraries (%s) that the image has not; use one that is built with CGO_ENABLED=0", libraries[0])
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(path) // half an archive is none
		}
	}()
	return atomtest.WriteProbeImage(f, self, ref)
}
