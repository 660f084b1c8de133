package docker

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// Config is what an operator writes in a backend's config block. Its zero
// value is the machine's own daemon with the defaults below.
type Config struct {
	Host         string            `hcl:"host,optional" doc:"Daemon to use, as in unix:///var/run/docker.sock or tcp://build1:2376. Wins over context and environment." default:"$DOCKER_HOST, else the docker CLI's current context, else unix:///var/run/docker.sock"`
	Context      string            `hcl:"context,optional" doc:"Docker CLI context whose daemon to use." default:"$DOCKER_CONTEXT, else the docker CLI's current one"`
	ConfigDir    string            `hcl:"docker_config,optional" doc:"Directory of the docker CLI's config.json: contexts, registry credentials, credential helpers." default:"$DOCKER_CONFIG, else ~/.docker"`
	TLS          *TLS              `hcl:"tls,block" doc:"Certificates for a daemon that is reached over TCP."`
	RegistryAuth []RegistryAuth    `hcl:"registry_auth,block" doc:"Credentials of one image registry. Wins over docker_config."`
	Network      string            `hcl:"network,optional" doc:"Network that containers join: a network's name, bridge, host or none." default:"the daemon's default"`
	Runtime      string            `hcl:"runtime,optional" doc:"OCI runtime, as the daemon knows it." default:"the daemon's default"`
	StopTimeout  string            `hcl:"stop_timeout,optional" doc:"Grace between SIGTERM and SIGKILL where neither the request nor the atom says; rounded up to seconds." default:"10s"`
	LogDriver    string            `hcl:"log_driver,optional" doc:"local keeps output byte for byte, and so does Podman's k8s-file; json-file replaces invalid UTF-8." default:"local; on Podman k8s-file"`
	LogMaxSize   string            `hcl:"log_max_size,optional" doc:"Size of one log file of an atom, as in 64m; older output is dropped when log_max_files of them are full." default:"512m"`
	LogMaxFiles  int               `hcl:"log_max_files,optional" doc:"Number of log files kept for each atom. Podman keeps one, of the size of them all." default:"4"`
	Labels       map[string]string `hcl:"labels,optional" doc:"Labels put on every container beside the atom's own, which win."`
	Env          map[string]string `hcl:"env,optional" doc:"Variables set in every container; the atom's own win." sensitive:"true"`
	ExtraHosts   []string          `hcl:"extra_hosts,optional" doc:"Lines for /etc/hosts of every container, as name:address."`
}

// TLS says how to trust a daemon reached over TCP, and how to be trusted.
type TLS struct {
	CA     string `hcl:"ca,optional" doc:"File of the certificate authority that signed the daemon's certificate." default:"the system's authorities"`
	Cert   string `hcl:"cert,optional" doc:"File of the client certificate."`
	Key    string `hcl:"key,optional" doc:"File of the client certificate's key."`
	Verify *bool  `hcl:"verify,optional" doc:"Whether the daemon's certificate is checked." default:"true"`
}

// RegistryAuth is the account used at one image registry.
type RegistryAuth struct {
	Server   string `hcl:"server,label" doc:"Registry as images name it: ghcr.io, registry.example:5000, docker.io."`
	Username string `hcl:"username" doc:"Account."`
	Password string `hcl:"password" doc:"Password or token." sensitive:"true"`
}

// settings is a Config that was found valid, with its defaults filled in.
type settings struct {
	Config
	stopTimeout time.Duration
	logSize     int64 // of one file, in bytes
}

const (
	defaultStopTimeout = 10 * time.Second
	defaultLogDriver   = "local"
	// A job's output is worth more than the disk it takes: Docker's own
	// default of 100 MB silently drops the beginning of what is larger.
	defaultLogMaxSize  = "512m"
	defaultLogMaxFiles = 4
)

// settle checks c and fills in defaults. All mistakes come at once, each an
// *atom.FieldError.
func settle(c Config) (settings, error) {
	s := settings{Config: c, stopTimeout: defaultStopTimeout}
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &atom.FieldError{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if c.StopTimeout != "" {
		d, err := time.ParseDuration(c.StopTimeout)
		switch {
		case err != nil:
			wrong("stop_timeout", "%q is not a duration; write one as in \"30s\" or \"2m\"", c.StopTimeout)
		case d <= 0:
			wrong("stop_timeout", "%s is not above zero", c.StopTimeout)
		default:
			s.stopTimeout = d
		}
	}
	if !slices.Contains([]string{"", "local", "json-file", podmanLogDriver}, s.LogDriver) {
		wrong("log_driver", "%q is neither local nor json-file, nor Podman's k8s-file: the output of other drivers cannot be read back whole", c.LogDriver)
	}
	if s.LogMaxSize == "" {
		s.LogMaxSize = defaultLogMaxSize
	}
	size, err := parseSize(s.LogMaxSize)
	switch {
	case err != nil:
		wrong("log_max_size", "%v", err)
	case size < 64<<10:
		wrong("log_max_size", "%s is too small; at least 64k, or lines of the usual 16 KiB pieces would rotate at once", s.LogMaxSize)
	}
	switch {
	case c.LogMaxFiles < 0:
		wrong("log_max_files", "%d is negative", c.LogMaxFiles)
	case c.LogMaxFiles == 0:
		s.LogMaxFiles = defaultLogMaxFiles
	}
	s.logSize = size
	seen := make(map[string]bool, len(c.RegistryAuth))
	for i, a := range c.RegistryAuth {
		field := fmt.Sprintf("registry_auth[%d].", i)
		server := registryKey(a.Server)
		switch {
		case server == "":
			wrong(field+"server", "is empty")
		case seen[server]:
			wrong(field+"server", "%q has credentials already", a.Server)
		}
		seen[server] = true
		if a.Username == "" {
			wrong(field+"username", "is empty")
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		if k == "" || k == atom.Label || strings.HasPrefix(k, atom.Label+".") || strings.HasPrefix(k, atom.Label+"/") {
			wrong(fmt.Sprintf("labels[%q]", k), "labels under %q are reserved", atom.Label)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.Contains(c.Env[k], "\x00") {
			wrong(fmt.Sprintf("env[%q]", k), "is no variable: a name holds neither '=' nor NUL and is not empty, a value holds no NUL")
		}
	}
	for i, h := range c.ExtraHosts {
		if name, addr, ok := strings.Cut(h, ":"); !ok || name == "" || addr == "" {
			wrong(fmt.Sprintf("extra_hosts[%d]", i), "%q is not of the form name:address", h)
		}
	}
	if t := c.TLS; t != nil && (t.Cert == "") != (t.Key == "") {
		wrong("tls", "cert and key belong together; one of them is missing")
	}
	if c.Host != "" && c.Context != "" {
		wrong("context", "host and context both name a daemon; leave one out")
	}
	return s, errors.Join(errs...)
}

// logOptions are a log driver's.
func (s settings) logOptions(driver string) map[string]string {
	if driver == podmanLogDriver {
		// There is one file, which begins anew when it is full.
		return map[string]string{"max-size": strconv.FormatInt(s.logSize*int64(s.LogMaxFiles), 10)}
	}
	options := map[string]string{"max-size": strconv.FormatInt(s.logSize, 10), "max-file": strconv.Itoa(s.LogMaxFiles)}
	if driver == "local" || s.LogMaxFiles > 1 {
		// Compressing costs the daemon more than the disk is worth. With one
		// file json-file refuses the option, and local its own default.
		options["compress"] = "false"
	}
	return options
}

// parseSize reads a number of bytes with an optional unit of 1024s: k, m, g,
// each also as kb or kib.
func parseSize(text string) (int64, error) {
	lower := strings.ToLower(strings.TrimSpace(text))
	digits := strings.TrimRight(lower, "bikmg")
	factor, ok := map[string]int64{
		"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10,
		"m": 1 << 20, "mb": 1 << 20, "mib": 1 << 20, "g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30,
	}[lower[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n <= 0 || n > (1<<62)/factor {
		return 0, fmt.Errorf("%q is not a size; write one as in \"64m\" or \"1g\"", text)
	}
	return n * factor, nil
}

// wholeSeconds rounds up: Docker takes no fractions, and less than was asked
// for would be no grace.
func wholeSeconds(d time.Duration) int {
	return int((d + time.Second - 1) / time.Second)
}
