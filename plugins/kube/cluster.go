package kube

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/atom-router/atom-router/atom"
)

// connect finds the cluster that c names and how to talk to it, and the
// namespace. It asks nobody yet. What is wrong with c are *atom.FieldErrors;
// that c names none, and there is none to be found, is Unavailable: tomorrow
// there may be one.
func connect(c Config) (*rest.Config, string, error) {
	if c.InCluster {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, "", &atom.FieldError{Field: "in_cluster", Reason: "this is not a pod with a service account: " + err.Error()}
		}
		return config, namespaceOr(c.Namespace, podNamespace()), nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = expandHome(c.Kubeconfig)
	raw, err := rules.Load()
	field := "kubeconfig"
	if err != nil {
		return nil, "", &atom.FieldError{Field: field, Reason: err.Error()}
	}
	if len(raw.Contexts) == 0 && len(raw.Clusters) == 0 {
		if c.Kubeconfig == "" && c.Context == "" {
			if config, err := rest.InClusterConfig(); err == nil {
				return config, namespaceOr(c.Namespace, podNamespace()), nil
			}
			if len(present(rules.Precedence)) == 0 {
				return nil, "", atom.Errorf(errdefs.ErrUnavailable, "there is no cluster: no %s, and this is no pod of one", strings.Join(rules.Precedence, " or "))
			}
		}
		files := []string{rules.ExplicitPath}
		if c.Kubeconfig == "" {
			files = present(rules.Precedence)
		}
		return nil, "", &atom.FieldError{Field: field, Reason: strings.Join(files, ", ") + " names no cluster"}
	}
	if _, ok := raw.Contexts[c.Context]; c.Context != "" && !ok {
		return nil, "", &atom.FieldError{Field: "context", Reason: "there is no context " + c.Context + "; the kubeconfig has " + contexts(raw)}
	}
	config := clientcmd.NewNonInteractiveClientConfig(*raw, c.Context, &clientcmd.ConfigOverrides{}, rules)
	if c.Context == "" && raw.CurrentContext == "" {
		return nil, "", &atom.FieldError{Field: "context", Reason: "the kubeconfig has no current context; name one of " + contexts(raw)}
	}
	out, err := config.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, "", &atom.FieldError{Field: field, Reason: "context " + cmp.Or(c.Context, raw.CurrentContext) + " belongs to a cluster that the kubeconfig does not have"}
	}
	if err != nil {
		return nil, "", &atom.FieldError{Field: field, Reason: err.Error()}
	}
	theirs, _, err := config.Namespace()
	if err != nil {
		return nil, "", &atom.FieldError{Field: field, Reason: err.Error()}
	}
	return out, namespaceOr(c.Namespace, theirs), nil
}

// expandHome writes out a path that begins as shells' do.
func expandHome(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}

// present are those of the files that there are.
func present(files []string) []string {
	return slices.DeleteFunc(slices.Clone(files), func(f string) bool {
		_, err := os.Stat(f)
		return errors.Is(err, os.ErrNotExist)
	})
}

func contexts(c *clientcmdapi.Config) string {
	names := slices.Sorted(maps.Keys(c.Contexts))
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func namespaceOr(asked, found string) string { return cmp.Or(asked, found, "default") }

// podNamespace is where the pod that this runs in is
// (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/).
func podNamespace() string {
	text, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
