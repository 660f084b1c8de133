package docker

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/client"

	"github.com/atom-router/atom-router/atom"
)

// endpoint is a daemon's address and how to trust it.
type endpoint struct {
	host string
	tls  *tls.Config // nil: plain
}

// environment is what the docker CLI would look at beside its arguments, so
// that tests can set one without touching their own process.
type environment struct {
	get  func(string) string
	home string
}

func hostEnvironment() environment {
	home, _ := os.UserHomeDir() // "" leaves ~/.docker out
	return environment{get: os.Getenv, home: home}
}

// configDir is the docker CLI's own directory; "" where there is no home.
func (env environment) configDir(c Config) string {
	switch {
	case c.ConfigDir != "":
		return c.ConfigDir
	case env.get("DOCKER_CONFIG") != "":
		return env.get("DOCKER_CONFIG")
	case env.home != "":
		return filepath.Join(env.home, ".docker")
	}
	return ""
}

// resolve finds the daemon as the docker CLI does: the config, DOCKER_HOST,
// the chosen context, the default socket. It opens no connection.
func (env environment) resolve(c Config) (endpoint, error) {
	ep, err := env.choose(c)
	if err != nil {
		return endpoint{}, err
	}
	field := "host"
	if c.Context != "" {
		field = "context"
	}
	scheme, addr, ok := strings.Cut(ep.host, "://")
	switch {
	case !ok || addr == "":
		return endpoint{}, &atom.FieldError{Field: field, Reason: fmt.Sprintf("%q is not a daemon's address; write one as in unix:///var/run/docker.sock or tcp://build1:2376", ep.host)}
	case scheme == "ssh":
		return endpoint{}, &atom.FieldError{Field: field, Reason: fmt.Sprintf("%q: daemons are not reached over ssh; forward the daemon's socket (ssh -L) and name the forwarded one", ep.host)}
	case scheme != "unix" && scheme != "tcp" && scheme != "http" && scheme != "https":
		return endpoint{}, &atom.FieldError{Field: field, Reason: fmt.Sprintf("%q: the scheme is none of unix, tcp, http, https", ep.host)}
	}
	if _, err := client.ParseHostURL(ep.host); err != nil {
		return endpoint{}, &atom.FieldError{Field: field, Reason: err.Error()}
	}
	if c.TLS != nil {
		if ep.tls, err = clientTLS(*c.TLS); err != nil {
			return endpoint{}, err
		}
		if scheme == "unix" {
			return endpoint{}, &atom.FieldError{Field: "tls", Reason: fmt.Sprintf("%s is a socket of this machine, which speaks no TLS", ep.host)}
		}
	}
	if scheme == "https" && ep.tls == nil {
		ep.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return ep, nil
}

func (env environment) choose(c Config) (endpoint, error) {
	if c.Host != "" {
		return endpoint{host: c.Host}, nil
	}
	if host := env.get("DOCKER_HOST"); host != "" && c.Context == "" {
		ep := endpoint{host: host}
		if dir := env.get("DOCKER_CERT_PATH"); dir != "" && !strings.HasPrefix(host, "unix:") && c.TLS == nil {
			verify := env.get("DOCKER_TLS_VERIFY") != ""
			t, err := clientTLS(TLS{
				CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), Verify: &verify,
			})
			if err != nil {
				return endpoint{}, fmt.Errorf("DOCKER_CERT_PATH: %w", err)
			}
			ep.tls = t
		}
		return ep, nil
	}
	name, dir := c.Context, env.configDir(c)
	if name == "" {
		name = env.get("DOCKER_CONTEXT")
	}
	if name == "" && dir != "" {
		file, err := readCLIConfig(dir)
		if err != nil {
			return endpoint{}, err
		}
		name = file.CurrentContext
	}
	if name == "" || name == "default" {
		return endpoint{host: client.DefaultDockerHost}, nil
	}
	return contextEndpoint(dir, name)
}

// contextEndpoint reads a context out of the docker CLI's store, which keeps
// each under the SHA-256 of its name.
func contextEndpoint(dir, name string) (endpoint, error) {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	file := filepath.Join(dir, "contexts", "meta", id, "meta.json")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return endpoint{}, &atom.FieldError{Field: "context", Reason: fmt.Sprintf("there is no docker context %q in %s", name, dir)}
	}
	if err != nil {
		return endpoint{}, &atom.FieldError{Field: "context", Reason: err.Error()}
	}
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := json.Unmarshal(text, &meta); err != nil {
		return endpoint{}, &atom.FieldError{Field: "context", Reason: fmt.Sprintf("%s: %v", file, err)}
	}
	docker, ok := meta.Endpoints["docker"]
	if !ok || docker.Host == "" {
		return endpoint{}, &atom.FieldError{Field: "context", Reason: fmt.Sprintf("the docker context %q names no Docker daemon", name)}
	}
	ep := endpoint{host: docker.Host}
	certs := filepath.Join(dir, "contexts", "tls", id, "docker")
	verify := !docker.SkipTLSVerify
	t := TLS{CA: present(certs, "ca.pem"), Cert: present(certs, "cert.pem"), Key: present(certs, "key.pem"), Verify: &verify}
	if t.CA != "" || t.Cert != "" {
		if ep.tls, err = clientTLS(t); err != nil {
			return endpoint{}, fmt.Errorf("docker context %q: %w", name, err)
		}
	}
	return ep, nil
}

// present is the path of a file that is there, or "".
func present(dir, name string) string {
	p := filepath.Join(dir, name)
	if _, err := os.Stat(p); err != nil {
		return ""
	}
	return p
}

func clientTLS(t TLS) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.Verify != nil && !*t.Verify}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, &atom.FieldError{Field: "tls.ca", Reason: err.Error()}
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, &atom.FieldError{Field: "tls.ca", Reason: fmt.Sprintf("%s holds no certificate in PEM form", t.CA)}
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, &atom.FieldError{Field: "tls.cert", Reason: err.Error()}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
