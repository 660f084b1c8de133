package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/atom-router/atom-router/atom"
)

func TestConfigMistakes(t *testing.T) {
	for name, test := range map[string]struct {
		c      Config
		fields []string
	}{
		"none":    {Config{}, nil},
		"timeout": {Config{StopTimeout: "10"}, []string{"stop_timeout"}},
		"several": {Config{StopTimeout: "-1s", LogDriver: "syslog", LogMaxSize: "big", LogMaxFiles: -1},
			[]string{"stop_timeout", "log_driver", "log_max_size", "log_max_files"}},
		"size too small": {Config{LogMaxSize: "1k"}, []string{"log_max_size"}},
		"labels":         {Config{Labels: map[string]string{atom.LabelOwner: "x"}}, []string{"labels[\"cloud.caesium.owner\"]"}},
		"auth": {Config{RegistryAuth: []RegistryAuth{{Server: "docker.io", Username: "a"}, {Server: "https://index.docker.io/v1/"}}},
			[]string{"registry_auth[1].server", "registry_auth[1].username"}},
		"tls":         {Config{Host: "tcp://x:1", TLS: &TLS{Cert: "c"}}, []string{"tls"}},
		"tls file":    {Config{Host: "tcp://x:1", TLS: &TLS{CA: "/none"}}, []string{"tls.ca"}},
		"tls unix":    {Config{Host: "unix:///x", TLS: &TLS{}}, []string{"tls"}},
		"host":        {Config{Host: "/var/run/docker.sock"}, []string{"host"}},
		"ssh":         {Config{Host: "ssh://x"}, []string{"host"}},
		"context":     {Config{Context: "none"}, []string{"context"}},
		"extra hosts": {Config{ExtraHosts: []string{"x"}}, []string{"extra_hosts[0]"}},
	} {
		e, err := newEngine(test.c, environment{get: func(string) string { return "" }, home: t.TempDir()}, nil)
		if err == nil {
			e.Close()
		}
		var got []string
		for _, f := range atom.AsFieldErrors(err) {
			got = append(got, f.Field)
		}
		if !slices.Equal(got, test.fields) {
			t.Errorf("%s: got %v (%v), want %v", name, got, err, test.fields)
		}
	}
}

func TestHost(t *testing.T) {
	home := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(home, ".docker", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"current", "other"} {
		sum := sha256.Sum256([]byte(name))
		write("contexts/meta/"+hex.EncodeToString(sum[:])+"/meta.json", `{"Name":"`+name+`","Endpoints":{"docker":{"Host":"unix:///`+name+`"}}}`)
	}
	write("config.json", `{"currentContext":"current"}`)
	for name, test := range map[string]struct {
		c    Config
		env  map[string]string
		want string
	}{
		"config wins":            {Config{Host: "unix:///mine"}, map[string]string{"DOCKER_HOST": "unix:///env"}, "unix:///mine"},
		"config's context":       {Config{Context: "other"}, map[string]string{"DOCKER_HOST": "unix:///env"}, "unix:///other"},
		"environment":            {Config{}, map[string]string{"DOCKER_HOST": "unix:///env", "DOCKER_CONTEXT": "other"}, "unix:///env"},
		"environment's context":  {Config{}, map[string]string{"DOCKER_CONTEXT": "other"}, "unix:///other"},
		"current context":        {Config{}, nil, "unix:///current"},
		"default context":        {Config{Context: "default"}, nil, "unix:///var/run/docker.sock"},
		"another config, no use": {Config{ConfigDir: t.TempDir()}, nil, "unix:///var/run/docker.sock"},
	} {
		ep, err := environment{get: func(k string) string { return test.env[k] }, home: home}.resolve(test.c)
		if err != nil || ep.host != test.want {
			t.Errorf("%s: got %q, %v, want %q", name, ep.host, err, test.want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"64k": 64 << 10, "512m": 512 << 20, "1g": 1 << 30, "1GiB": 1 << 30, "10": 10, "10MB": 10 << 20} {
		if got, err := parseSize(text); got != want || err != nil {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "m", "-1m", "1.5g", "1t", "99999999999g", "1 m", "1mm"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: got %d", text, got)
		}
	}
}
