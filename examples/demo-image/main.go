// Command demo-image gives the Docker daemon at $DOCKER_HOST an image to run,
// without a registry: that of the conformance suite's probe program. With the
// argument "remove" it takes the image away again. It prints the image's name.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/atom-router/atom-router/atom/atomtest"
)

const image = "atom-router/probe:demo"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo-image:", err)
		os.Exit(1)
	}
	fmt.Println(image)
}

func run(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	socket, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://")
	if !ok {
		return errors.New("DOCKER_HOST is no unix socket")
	}
	if len(args) == 1 && args[0] == "remove" {
		return call(ctx, socket, http.MethodDelete, "/images/"+image, nil)
	}
	dir, err := os.MkdirTemp("", "demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	probe, err := atomtest.BuildProbeFor(ctx, dir, "linux", runtime.GOARCH)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := atomtest.WriteProbeImage(&archive, probe, image); err != nil {
		return err
	}
	return call(ctx, socket, http.MethodPost, "/images/load?quiet=1", &archive)
}

// call is one call of Docker's API, of which little enough is needed here to do
// without its client.
func call(ctx context.Context, socket, method, path string, body io.Reader) error {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-tar")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || bytes.Contains(text, []byte(`"error"`))) {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return err
}
