package docker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"

	"github.com/atom-router/atom-router/atom"
)

// dockerHub is how the docker CLI's files and helpers call docker.io.
const dockerHub = "https://index.docker.io/v1/"

// helperTimeout bounds a credential helper: one that asks a person never
// ends.
const helperTimeout = 30 * time.Second

// credentials finds the account for a registry: the backend's config, then a
// credential helper of the docker CLI's config, then that config's own auths.
// Files and helpers are asked at each pull: tokens in them are short-lived.
type credentials struct {
	fixed map[string]RegistryAuth // by registryKey
	dir   string                  // the docker CLI's; "" where there is none
}

func newCredentials(auths []RegistryAuth, dir string) *credentials {
	c := &credentials{fixed: make(map[string]RegistryAuth, len(auths)), dir: dir}
	for _, a := range auths {
		c.fixed[registryKey(a.Server)] = a
	}
	return c
}

// registryKey is a registry's host, however it is written.
func registryKey(server string) string {
	s := strings.TrimSpace(strings.ToLower(server))
	s = strings.TrimPrefix(strings.TrimPrefix(s, "https://"), "http://")
	s, _, _ = strings.Cut(s, "/")
	switch s {
	case "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		return "docker.io"
	}
	return s
}

// cliConfig is what concerns us of the docker CLI's config.json.
type cliConfig struct {
	CurrentContext string             `json:"currentContext"`
	Auths          map[string]cliAuth `json:"auths"`
	CredHelpers    map[string]string  `json:"credHelpers"`
	CredsStore     string             `json:"credsStore"`
}

type cliAuth struct {
	Auth          string `json:"auth"` // base64 of user:password
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// readCLIConfig reads config.json of the docker CLI's directory; one that is
// not there is empty.
func readCLIConfig(dir string) (cliConfig, error) {
	file := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return cliConfig{}, nil
	}
	var c cliConfig
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return cliConfig{}, &atom.FieldError{Field: "docker_config", Reason: fmt.Sprintf("reading %s: %v", file, err)}
	}
	return c, nil
}

// header is the X-Registry-Auth for an image; "" pulls without an account.
func (c *credentials) header(ctx context.Context, named reference.Named) (string, error) {
	auth, err := c.lookup(ctx, reference.Domain(named))
	if err != nil || auth == (registry.AuthConfig{}) {
		return "", err
	}
	return registry.EncodeAuthConfig(auth)
}

func (c *credentials) lookup(ctx context.Context, host string) (registry.AuthConfig, error) {
	key := registryKey(host)
	server := host
	if key == "docker.io" {
		server = dockerHub
	}
	if a, ok := c.fixed[key]; ok {
		return registry.AuthConfig{Username: a.Username, Password: a.Password, ServerAddress: server}, nil
	}
	if c.dir == "" {
		return registry.AuthConfig{}, nil
	}
	file, err := readCLIConfig(c.dir)
	if err != nil {
		return registry.AuthConfig{}, err
	}
	helper := file.CredsStore
	for name, h := range file.CredHelpers {
		if registryKey(name) == key {
			helper = h
		}
	}
	if helper != "" {
		auth, found, err := askHelper(ctx, helper, server)
		if err != nil || found {
			return auth, err
		}
	}
	for name, a := range file.Auths {
		if registryKey(name) != key {
			continue
		}
		auth := registry.AuthConfig{
			Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken, ServerAddress: server,
		}
		if a.Auth != "" {
			text, err := base64.StdEncoding.DecodeString(a.Auth)
			user, password, ok := strings.Cut(strings.TrimRight(string(text), "\x00"), ":")
			if err != nil || !ok {
				return registry.AuthConfig{}, &atom.FieldError{Field: "docker_config", Reason: fmt.Sprintf("auths of %s in %s is not base64 of user:password", name, c.dir)}
			}
			auth.Username, auth.Password = user, password
		}
		if auth.Username == "" && auth.IdentityToken == "" && auth.RegistryToken == "" {
			continue // the CLI leaves empty entries beside a credential store
		}
		return auth, nil
	}
	return registry.AuthConfig{}, nil
}

// askHelper runs docker-credential-NAME get, which reads a server's address
// and answers with JSON. Not knowing the server is no error.
func askHelper(ctx context.Context, name, server string) (registry.AuthConfig, bool, error) {
	program := "docker-credential-" + name
	if strings.ContainsAny(name, `/\`) {
		return registry.AuthConfig{}, false, &atom.FieldError{Field: "docker_config", Reason: fmt.Sprintf("%q is no credential helper's name", name)}
	}
	bounded, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	cmd := exec.CommandContext(bounded, program, "get")
	cmd.WaitDelay = time.Second // a helper's own children may hold its output
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(server), &out, &complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return registry.AuthConfig{}, false, endOf(ctx)
		}
		said := strings.TrimSpace(out.String() + " " + complaint.String())
		if strings.Contains(said, "credentials not found") {
			return registry.AuthConfig{}, false, nil
		}
		return registry.AuthConfig{}, false, atom.Errorf(errdefs.ErrFailedPrecondition, "credential helper %s for %s: %w: %.200s", program, server, err, said)
	}
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		// Its answer may hold a secret and is not quoted.
		return registry.AuthConfig{}, false, atom.Errorf(errdefs.ErrFailedPrecondition, "credential helper %s for %s answered something else than JSON", program, server)
	}
	if answer.Username == "<token>" {
		return registry.AuthConfig{IdentityToken: answer.Secret, ServerAddress: server}, true, nil
	}
	return registry.AuthConfig{Username: answer.Username, Password: answer.Secret, ServerAddress: server}, true, nil
}
